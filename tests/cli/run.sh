#!/bin/sh
# cscc run on pictures and arrays: sizes that are open, several files, what does not fit.
. "$CSC_SOURCE/tests/lib.sh"
pictures=$CSC_SOURCE/examples/data/pictures

needs_code() { if "$CSCC" doctor | grep -q 'code generator *missing'; then skip "no code generator was built in"; fi; }
invert() { printf 'model m(c: int = 1) {\n    input X : real[c, H, W]\n    output Y = 1 - X\n}\n' >m.csc; }

case_pictures_of_any_size() {
    needs_code
    invert
    expect 0 "$CSCC" run m.csc "$pictures/coins.png" -o once.png
    has out "real[1, 303, 384]"
    expect 0 "$CSCC" run m.csc once.png -o twice.png
    expect 0 "$CSCC" run m.csc twice.png -o thrice.png
    cmp once.png thrice.png
    if cmp -s once.png twice.png; then fail "nothing was inverted"; fi
}
case_masks() { # photographs of any size beside masks: learned at one size, answered in the photograph's own
    needs_code
    printf 'model m {\n    input X : real[1, H, W]\n    output Y = X > 0.5 ? 1 : 0\n}\n' >bright.csc
    mkdir photographs
    cp "$pictures/coins.png" "$pictures/camera.png" photographs
    expect 0 "$CSCC" run bright.csc photographs/coins.png photographs/camera.png -o masks
    cat >m.csc <<'END'
model m {
    input X : real[1, H, W]
    label y : class[2, H, W]
    let s = conv2d(X, 2, k: 1)
    output mask = s[2..2] > s[1..1] ? 1 : 0
}
train m {
    data      = images("photographs", targets: "masks", size: [24, 32], gray: true)
    minimize  = pixel_cross_entropy(s, y)
    optimizer = adam(lr: 0.3)
    epochs    = 60
    report    = [mean_iou(s, y), pixel_accuracy(s, y), mean_accuracy(s, y)]
}
END
    expect 0 "$CSCC" train m.csc --out run --threads 1
    has out "pixel_accuracy(s, y) 9"
    expect 0 "$CSCC" run m.csc --weights run/best.safetensors photographs/coins.png photographs/camera.png -o said
    has out "said/coins.png real[1, 303, 384]"
    expect 0 "$CSCC" run m.csc --weights run/best.safetensors --set H=303 --set W=384 photographs/coins.png -o whole.png
    if cmp -s whole.png said/coins.png; then fail "the size of training was not taken"; fi
    cp masks/coins.png masks/camera.png
    expect 1 "$CSCC" train m.csc --out run2
    has err "photographs/camera.png is 512 x 512, and masks/camera.png that belongs to it is 384 x 303"
    rm masks/camera.png
    expect 1 "$CSCC" train m.csc --out run2
    has err "masks has no picture that belongs to camera.png"
}
case_several_files_go_to_a_folder() {
    needs_code
    invert
    expect 0 "$CSCC" run m.csc "$pictures/coins.png" "$pictures/camera.png" "$pictures/brick.png" -o results
    for f in coins camera brick; do [ -s results/$f.png ] || fail "$f.png is missing"; done
    echo x >file
    expect 1 "$CSCC" run m.csc "$pictures/coins.png" "$pictures/camera.png" -o file
}
case_colour() {
    needs_code
    invert
    expect 0 "$CSCC" run m.csc --set c=3 "$pictures/chelsea.png" -o x.png
    has out "real[3, 300, 451]"
    expect 0 "$CSCC" run m.csc "$pictures/chelsea.png" -o gray.png
    has out "real[1, 300, 451]"
}
case_arrays() {
    needs_code
    invert
    expect 0 "$CSCC" run m.csc "$pictures/coins.png" -o y.npy
    [ "$(wc -c <y.npy)" = $((128 + 4 * 303 * 384)) ]
    expect 0 "$CSCC" run m.csc y.npy -o z.npy
    expect 0 "$CSCC" run m.csc z.npy -o w.npy
    cmp y.npy w.npy
}
case_sizes_that_do_not_fit() {
    needs_code
    printf 'model m {\n    input X : real[1, 32, 32]\n    output Y = 1 - X\n}\n' >m.csc
    expect 1 "$CSCC" run m.csc "$pictures/coins.png"
    has err "error[E0808]"
    has err "m.csc:2:"
    has err "303"
}
case_weights_serve_every_size() { # the norm of D was found at the size of the training patches
    needs_code
    cat >m.csc <<'P'
model m(atoms: int = 4) {
    input X : real[1, H, W]
    dictionary D = conv(A, pad: full)' where { param A : real[atoms, 1, 5, 5] = normal(1), unit_atoms }
    lasso G : X ~ D * G { lambda = 0.05; prox = soft; step = 0.9 / lipschitz(D); solve = fista(unfold: 3) }
    output Y = D * G
}
train m {
    data      = images("pictures", patch: 24, gray: true)
    minimize  = objective(G)
    optimizer = adam(lr: 1e-2)
    epochs    = 3
    batch     = 2
}
P
    cp -r "$pictures" pictures
    expect 0 "$CSCC" train m.csc --out run
    expect 0 "$CSCC" run m.csc "$pictures/coins.png" "$pictures/brick.png" --weights run/best.safetensors -o results
    [ -s results/brick.png ]
}
blend() { printf 'model m {\n    input X : real[1, H, W]\n    input mask : real[1, H, W]\n    output Y = X * mask\n}\n' >m.csc; }
case_several_inputs() { # a file for each, in the order of the program or by name
    needs_code
    blend
    a=$pictures/coins.png
    printf 'model m {\n    input X : real[1, H, W]\n    output Y = X > 0.5\n}\n' >over.csc
    expect 0 "$CSCC" run over.csc "$a" -o mask.png
    printf 'model m {\n    input X : real[1, H, W]\n    output Y = X * (X > 0.5)\n}\n' >both.csc
    expect 0 "$CSCC" run both.csc "$a" -o want.png
    expect 0 "$CSCC" run m.csc "$a" mask.png -o order.png
    expect 0 "$CSCC" run m.csc --input mask=mask.png --input "X=$a" -o names.png
    expect 0 "$CSCC" run m.csc "$a" --input mask=mask.png -o mixed.png --json
    has out '"inputs": {"X": "'
    has out '"mask": "mask.png"}'
    for f in order names mixed; do cmp want.png $f.png; done
    cmp -s want.png "$a" && fail "nothing was masked"
    expect 0 "$CSCC" run m.csc "$a" mask.png mask.png "$a" -o results
    [ -s results/coins.png ]
    [ -s results/mask.png ]
}
case_inputs_that_do_not_match() {
    needs_code
    blend
    a=$pictures/coins.png
    expect 1 "$CSCC" run m.csc "$a"
    has err "error[E0808]: model m takes a file for each of its inputs X, mask; X was given 1, and mask 0"
    expect 1 "$CSCC" run m.csc "$a" "$a" --input "masc=$a"
    has err "has no input 'masc'"
    has err "did you mean 'mask'?"
    expect 1 "$CSCC" run m.csc --input "X=$a" --input "mask=$a" "$a"
    has err "none is left for"
    expect 1 "$CSCC" run m.csc "$a" "$pictures/camera.png" # two sizes, and H and W are one
    has err "m.csc:3:"
    has err "camera.png' holds real[1, "
    has err "mask must be real[1, 303, 384]"
    printf 'model m {\n    input X : real[1, N, N]\n    output Y = 1 - X\n}\n' >square.csc
    expect 1 "$CSCC" run square.csc "$a"
    has err "no size of the input X is like that"
    printf 'model m {\n    param a : real[2] = 0\n    output Y = a\n}\n' >none.csc
    expect 1 "$CSCC" run none.csc "$a"
    has err "has no input"
}
case_files_that_are_none() {
    needs_code
    invert
    expect 1 "$CSCC" run m.csc missing.png
    has err "missing.png"
    head -c 3000 "$pictures/coins.png" >cut.png
    expect 1 "$CSCC" run m.csc cut.png
    has err "error[E0808]"
    echo hello >text.npy
    expect 1 "$CSCC" run m.csc text.npy
    mkdir folder.png
    expect 1 "$CSCC" run m.csc folder.png
}
run_cases
