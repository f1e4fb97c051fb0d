#!/bin/sh
# cscc without a code generator: it builds, reads, checks and prints, and says what it cannot do.
# release only: the other tree would test the same
. "$CSC_SOURCE/tests/lib.sh"

case_builds_and_checks_without_llvm() {
    tree=$CSC_SOURCE/build/no-llvm
    expect 0 cmake -S "$CSC_SOURCE" -B "$tree" -G Ninja -DCSC_LLVM=OFF -DCSC_TESTS=OFF -DCMAKE_BUILD_TYPE=Debug
    expect 0 nice ninja -C "$tree" cscc
    lacks out "warning:"
    cp "$tree/cscc" . # away from the other tree's lib/
    tree=$PWD
    digits=$CSC_SOURCE/examples/digits/digits.csc
    expect 0 "$tree/cscc" doctor
    has out "code generator   missing"
    expect 0 "$tree/cscc" check "$digits"
    expect 0 "$tree/cscc" check "$digits" --emit=op,loop
    expect 0 "$tree/cscc" inspect "$digits"
    for c in train eval build; do
        expect 1 "$tree/cscc" $c "$digits"
        has err "error[E0813]"
    done
    if command -v ldd >/dev/null; then
        ldd "$tree/cscc" >libs
        lacks libs LLVM
    fi
}
run_cases
