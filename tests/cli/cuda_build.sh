#!/bin/sh
# Code for GPUs without one: --emit=cuda,ptx,cubin. The stand-in for NVRTC is cc; what only the real one can say is skipped without it.
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
    unset CSC_NVRTC
    if [ -n "$real" ]; then export CSC_NVRTC="$real"; fi
    if "$CSCC" doctor | grep -q 'NVRTC *missing'; then skip "no NVRTC"; fi
    expect 0 "$CSCC" build tiny.csc --emit=ptx
    has out ".target sm_80"
    has out ".entry csc_k_"
    expect 0 "$CSCC" build tiny.csc --emit=cubin --target cuda:sm_90a -o cubins
    for f in cubins/*; do [ "$(head -c 4 "$f" | tail -c 3)" = ELF ]; done
    expect 1 "$CSCC" build tiny.csc --emit=cubin --target cuda:sm_999
    has err "error[E0816]"
    has err "for sm_999"
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
