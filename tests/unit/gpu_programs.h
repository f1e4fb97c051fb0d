/* The examples, made very small, for tests of the GPU back end: X(case, program, options, entries as in gpu_agrees, batch, tolerance in float32). */
#ifndef CSC_TESTS_GPU_PROGRAMS_H
#define CSC_TESTS_GPU_PROGRAMS_H
#define GPU_PROGRAMS(X) \
    X(digits, "digits", "", "fbes", 5, 1e-3) \
    X(digits_unfolded_0, "digits", "--set unfold=0", "fbs", 3, 1e-3) \
    X(digits_unfolded_20, "digits", "--set unfold=20", "fbs", 2, 5e-3) \
    X(ml_ista_mnist, "ml_ista_mnist", "--set unfold=1", "fes", 2, 2e-3) \
    X(msd_csc, "msd_csc", "--set d=3 --set w=4 --set unfold=2", "fbes", 2, 2e-3) \
    X(res_csc, "res_csc", "--set n=1", "fs", 2, 2e-3) \
    X(res_csc_simplified, "res_csc", "--set n=1 --set form=simplified", "s", 2, 2e-3) \
    X(res_csc_plain, "res_csc", "--set n=1 --set form=plain", "f", 2, 2e-3) \
    X(new_structure_pyramid, "new_structure", "", "fb", 1, 2e-3) \
    X(new_structure_separable, "new_structure", "--set form=separable", "fb", 1, 2e-3) \
    X(new_structure_gated, "new_structure", "--set form=gated", "fb", 1, 2e-3) \
    X(lista_cp, "lista_cp", "--set m=25 --set n=50 --set layers=3", "fbesy", 4, 2e-3) \
    X(denoise, "denoise", "--set atoms=6 --set k=5 --set H=14 --set W=17", "fbes", 2, 1e-2) \
    X(unet, "unet", "--set base=2 --set H=18 --set W=32", "fes", 2, 3e-2) \
    X(lista, "lista", "--set m=12 --set n=20 --set layers=3", "fes", 4, 2e-3) \
    X(lista_cpss, "lista", "--set m=12 --set n=20 --set layers=3 --set form=cpss", "fs", 4, 2e-3) \
    X(alista, "alista", "--set m=12 --set n=20 --set layers=3", "fes", 4, 2e-3) \
    X(omp, "omp", "--set atoms=24 --set side=5 --set most=3", "fes", 3, 2e-3) \
    X(dictionary_learning_patch, "dictionary_learning", "--set atoms=24 --set side=5 --set k=5", "fs", 3, 1e-2) \
    X(dictionary_learning_convolutional, "dictionary_learning", "--set atoms=5 --set side=13 --set k=5", "fes", 2, 1e-2) \
    X(multilayer_dictionary, "multilayer_dictionary", "--set a=4 --set b=6 --set c=8", "fs", 2, 1e-2) \
    X(double_sparsity_dct, "double_sparsity", "--set atoms=24 --set side=6", "fs", 3, 1e-2) \
    X(double_sparsity_haar, "double_sparsity", "--set atoms=24 --set side=8 --set base=haar", "fs", 3, 1e-2) \
    X(inpainting, "inpainting", "--set atoms=6 --set k=5 --set H=14 --set W=13", "fes", 2, 1e-2) \
    X(super_resolution, "super_resolution", "--set atoms=5 --set H=14 --set W=12 --set updates=3", "fes", 2, 2e-3) \
    X(reconstruction, "reconstruction", "--set d=2 --set w=3 --set unfold=2", "fes", 2, 2e-3) \
    X(crate, "crate", "--set depth=2 --set width=8 --set heads=2 --set p=4 --set updates=2", "fbes", 3, 2e-3) \
    X(scale_groups, "scale_groups", "--set w=4", "fes", 3, 2e-3) \
    X(sparse_wavelets, "sparse_wavelets", "--set w=4", "fes", 3, 2e-3) \
    X(coarse_to_fine, "coarse_to_fine", "--set w=4", "fes", 3, 2e-3) \
    X(mirrored_atoms, "mirrored_atoms", "--set w=4", "fes", 3, 2e-3) \
    X(lenet, "lenet", "", "fes", 2, 2e-3) \
    X(vgg, "vgg", "--set width=2 --set image=32", "fes", 3, 1e-2) \
    X(resnet, "resnet", "--set layers=10 --set width=3 --set image=8", "fes", 3, 1e-2) \
    X(sdnet, "sdnet", "--set layers=10 --set width=3 --set image=8", "fes", 3, 1e-2) \
    X(sdnet_all, "sdnet", "--set layers=10 --set width=3 --set image=8 --set form=all", "fs", 3, 1e-2) \
    X(ml_csc_cifar, "ml_csc_cifar", "--set unfold=1", "fs", 1, 5e-3) \
    X(scn, "scn", "--set width=4 --set image=12", "fes", 3, 1e-2)
#endif
