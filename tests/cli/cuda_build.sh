#!/bin/sh
# Code for GPUs without one: --emit=cuda,ptx,cubin, libraries with kernels inside, called through the stand-in driver. The stand-in for NVRTC is
# cc; what only the real one can say is skipped without it.
# release only: a library and cscc under AddressSanitizer do not go together
. "$CSC_SOURCE/tests/lib.sh"
export TMPDIR="$CSC_WORK"
real=${CSC_NVRTC-}
export CSC_CUDA_DRIVER="$CSC_TREE/tests/libshim_cuda.so" CSC_NVRTC="$CSC_TREE/tests/libshim_nvrtc.so"

tiny() { # one layer, one kernel or a few
    cat >tiny.csc <<'END'
model tiny {
    input X : real[8]
    param W : real[4, 8] = normal(0.1)
    output Y = relu(dense(W) * X)
}
END
}
real_nvrtc() {
    unset CSC_NVRTC
    if [ -n "$real" ]; then export CSC_NVRTC="$real"; fi
    if "$CSCC" doctor | grep -q 'NVRTC *missing'; then skip "no NVRTC"; fi
}
case_kernels_as_text_are_c_too() {
    expect 0 "$CSCC" check "$CSC_SOURCE/examples/digits/digits.csc" --set unfold=0 --emit=cuda
    mv out kernels.c
    [ "$(grep -c '^CSC_KERNEL' kernels.c)" -gt 10 ] || fail "few kernels"
    expect 0 cc -std=c11 -O0 -Wall -Wno-unused -DCSC_HOST -c kernels.c
    expect 0 "$CSCC" check "$CSC_SOURCE/examples/digits/digits.csc" --set unfold=0 --target cuda:sm_80 --precision bf16 --emit=loop,cuda
    has out "threads"
    has out "CSC_MMA_BF16("
}
case_cubins_are_files() {
    tiny
    expect 0 "$CSCC" build tiny.csc --emit=cubin --target cuda:sm_80,sm_90
    has out "for sm_80,sm_90a"
    ls tiny.cubin >names
    [ "$(grep -c '\.sm_80\.cubin' names)" -ge 1 ] && [ "$(grep -c '\.sm_80\.cubin' names)" = "$(grep -c '\.sm_90a\.cubin' names)" ]
    expect 1 "$CSCC" build tiny.csc --emit=cubin -o gone/there
    has err "error[E0814]"
}
case_ptx_of_the_real_nvrtc() {
    tiny
    real_nvrtc
    expect 0 "$CSCC" build tiny.csc --emit=ptx
    has out ".target sm_80"
    has out ".entry csc_k_"
    expect 0 "$CSCC" build tiny.csc --emit=cubin --target cuda:sm_90a -o cubins
    for f in cubins/*; do [ "$(head -c 4 "$f" | tail -c 3)" = ELF ]; done
    expect 1 "$CSCC" build tiny.csc --emit=cubin --target cuda:sm_999
    has err "error[E0816]"
    has err "for sm_999"
}
digits() { # with fewer atoms
    sed -e "s|\.\./data|$CSC_SOURCE/examples/data|g" -e 's/real\[16, 1, 5, 5\]/real[4, 1, 3, 3]/; s/real\[32, 16, 3, 3\]/real[6, 4, 3, 3]/' \
        "$CSC_SOURCE/examples/digits/digits.csc" >digits.csc
}
compare() {
    [ -x compare ] || cc -O1 -std=gnu11 -Wall -I "$CSC_SOURCE/runtime/include" "$CSC_SOURCE/tests/cli/compare.c" -o compare -pthread -ldl -lm
    expect "$@"
}
case_a_library_gives_the_processors_numbers() {
    if "$CSCC" doctor | grep -q 'code generator *missing'; then skip "no code generator was built in"; fi
    export CSC_SHIM_FLAGS=-O0
    digits
    expect 0 "$CSCC" train digits.csc --set unfold=0 --steps 2 --out run
    for t in cpu cuda:sm_90a,sm_80; do expect 0 "$CSCC" build digits.csc --set unfold=0 --weights run/last.safetensors --embed-weights --target $t -o ${t%%:*}.so; done
    has out "model digits for cuda:sm_90a,sm_80"
    has out "on the device"
    if command -v readelf >/dev/null; then
        readelf -d cuda.so | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' >needed
        if grep -vE '^lib(c|m)\.so' needed; then fail "more than libc and libm"; fi
        readelf --dyn-syms -W cuda.so | awk '$7 != "UND" && $5 == "GLOBAL" { print $8 }' | grep -v '^$' >exported
        [ "$(cat exported)" = csc_model_query ] || fail "exports $(tr '\n' ' ' <exported)"
    fi
    compare 0 ./compare ./cpu.so ./cuda.so 1e-5
    [ "$(grep -c '^backward, batch' out)" = 4 ]
    compare 0 env CSC_SHIM_LAZY=1 ./compare ./cpu.so ./cuda.so 1e-5
    for cc in 80 86 89 90 120; do # cubins, and PTX where there is none that fits
        compare 0 env CSC_SHIM_CC=$cc ./compare ./cuda.so
        has out "0 "
    done
    # no silent way back to the processor
    compare 0 env CSC_CUDA_DRIVER=/none.so ./compare ./cuda.so
    has out "2 no CUDA driver was found; looked for: /none.so"
    compare 0 env CSC_SHIM_DEVICES=0 ./compare ./cuda.so
    has out "2 "
    has out "no CUDA-capable device"
    compare 0 env CSC_SHIM_CC=75 ./compare ./cuda.so
    has out "2 stand-in 0 has compute capability 7.5; 8.0 or newer is needed"
    compare 0 env CSC_SHIM_MEMORY=5000 ./compare ./cuda.so
    has out "2 out of memory on stand-in 0: a batch of 2 needs"
    has out "; no batch fits"
    compare 0 env CSC_SHIM_FAIL=cuLaunchKernel:2 ./compare ./cuda.so
    has out "2 csc_k_"
    has out ".csc:"
    has out "cuLaunchKernel failed: CUDA_ERROR_LAUNCH_FAILED"
    expect 0 "$CSCC" inspect cuda.so
    has out '"cpu": "cuda:sm_90a,sm_80"'
    mkdir there && cp cuda.h there/digits.h # the example's program, and this library under it
    expect 0 cc -O2 -std=c11 -Wall -Wextra -Werror -I there "$CSC_SOURCE/examples/digits/main.c" -o classify ./cuda.so -lz -lm
    expect 0 ./classify "$CSC_SOURCE/examples/data/digits-images-idx3-ubyte.gz" "$CSC_SOURCE/examples/data/digits-labels-idx1-ubyte.gz"
    has out "of 359 held-out digits are right"
}
case_a_library_of_another_example() {
    if "$CSCC" doctor | grep -q 'code generator *missing'; then skip "no code generator was built in"; fi
    export CSC_SHIM_FLAGS=-O0
    lista="$CSC_SOURCE/examples/lista/lista.csc --set m=12 --set n=20 --set layers=2"
    for t in cpu cuda:sm_80; do expect 0 "$CSCC" build $lista --target $t -o ${t%%:*}.so; done
    compare 0 ./compare ./cpu.so ./cuda.so 1e-5
    compare 0 env CSC_SHIM_CC=80 ./compare ./cuda.so
    has out "0 "
}
case_a_library_by_the_real_nvrtc() {
    tiny
    real_nvrtc
    expect 0 "$CSCC" build tiny.csc --target cuda:sm_80,sm_90a -o tiny.so
    [ "$(wc -c <tiny.so)" -lt 200000 ] || fail "tiny.so has $(wc -c <tiny.so) bytes"
    expect 0 "$CSCC" inspect tiny.so
    compare 0 env CSC_CUDA_DRIVER=/none.so ./compare ./tiny.so
    has out "2 no CUDA driver was found"
}
case_what_cannot_be() {
    tiny
    expect 1 env CSC_NVRTC=/none.so "$CSCC" build tiny.csc --emit=ptx
    has err "error[E0816]"
    has err "NVRTC, which compiles kernels, was not found; looked for: /none.so"
    expect 0 env CSC_NVRTC=/none.so "$CSCC" build tiny.csc --emit=cuda
    expect 1 "$CSCC" build tiny.csc --target cuda:sm_70
    has err "there is no GPU 'sm_70'"
    expect 1 "$CSCC" build tiny.csc --target tpu
    has err "there is no target 'tpu'"
    expect 1 "$CSCC" build tiny.csc --target cuda --emit=asm
    has err "the target is cuda"
    expect 1 "$CSCC" build tiny.csc --precision bf16
    has err "--precision is of code for a GPU"
    expect 1 "$CSCC" check tiny.csc --target cpu --emit=cuda
    has err "is of code for a GPU"
}
run_cases
