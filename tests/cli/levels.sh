#!/bin/sh
# release only: Code for other processors than this one: each level of x86-64 and all of them in one library, aarch64 under qemu.
. "$CSC_SOURCE/tests/lib.sh"
examples=$CSC_SOURCE/examples
needs_code() { if "$CSCC" doctor | grep -q 'code generator *missing'; then skip "no code generator was built in"; fi; }
runner() { # the program that calls a library, for this machine
    cc -O1 -std=gnu11 -Wall -I "$CSC_SOURCE/runtime/include" "$CSC_SOURCE/tests/cli/levels.c" -o levels -ldl
}
same() { # FILE FILE: the same entries, numbers within 1e-4 of their size
    paste -d' ' "$1" "$2" | awk '/^cpu/ { next } { n++; for (i = 2; i <= 3; i++) { d = $i - $(i + 3); if (d < 0) d = -d; s = sqrt($3); if (i == 3) s = $3
        if ($1 != $4 || d > 1e-4 * (s + 1e-3)) { print "differs: " $0; bad = 1 } } } END { exit bad || n < 2 }'
}
level() { # CPU: may this machine run it?
    case $1 in
    x86-64-v2) grep -qw sse4_2 /proc/cpuinfo ;;
    x86-64-v3) grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo ;;
    x86-64-v4) grep -qw avx512vl /proc/cpuinfo && grep -qw avx512bw /proc/cpuinfo ;;
    x86-64-v4+amx) level x86-64-v4 && grep -qw amx_bf16 /proc/cpuinfo && grep -qw avx512_bf16 /proc/cpuinfo ;;
    esac
}

case_each_level_runs() {
    needs_code
    level x86-64-v3 || skip "this processor is no x86-64-v3"
    runner
    for p in digits lista; do
        for cpu in x86-64-v2 x86-64-v3 x86-64-v4 x86-64-v4+amx; do
            expect 0 "$CSCC" build "$examples/$p/$p.csc" --cpu $cpu -o $cpu.so
            level $cpu || continue
            expect 0 ./levels ./$cpu.so 3
            has out "cpu $cpu"
            cp out $p.$cpu
        done
        for cpu in x86-64-v3 x86-64-v4 x86-64-v4+amx; do level $cpu && same $p.x86-64-v2 $p.$cpu; done
    done
}
case_one_library_for_all_levels() {
    needs_code
    level x86-64-v2 || skip "this is no x86-64"
    runner
    expect 0 "$CSCC" build "$examples/digits/digits.csc" --cpu x86-64-v2,x86-64-v3,x86-64-v4,x86-64-v4+amx -o all.so
    [ "$(wc -c <all.so)" -lt 1000000 ] || fail "all.so has $(wc -c <all.so) bytes"
    if command -v readelf >/dev/null; then
        readelf -d all.so | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' >needed
        if grep -vE '^lib(c|m)\.so' needed; then fail "more than libc and libm"; fi
        readelf --dyn-syms -W all.so | awk '$7 != "UND" && $5 == "GLOBAL" { print $8 }' | grep -v '^$' >exported
        [ "$(cat exported)" = csc_model_query ] || fail "exports $(tr '\n' ' ' <exported)"
    fi
    expect 0 ./levels ./all.so 3
    cp out here
    best=x86-64-v2
    for cpu in x86-64-v3 x86-64-v4 x86-64-v4+amx; do level $cpu && best=$cpu; done
    has here "cpu $best"
    expect 1 "$CSCC" build "$examples/digits/digits.csc" --cpu x86-64-v3,x86-64-v2
    has err "error[E0809]"
    expect 1 "$CSCC" train "$examples/digits/digits.csc" --cpu x86-64-v2,x86-64-v3 --out run
    has err "error[E0809]"
    command -v qemu-x86_64 >/dev/null || skip "qemu-x86_64 is not here: older processors were not tried"
    expect 0 qemu-x86_64 -cpu Nehalem ./levels ./all.so 3
    has out "cpu x86-64-v2"
    same here out
}
case_embedded_weights_are_there_once() {
    needs_code
    level x86-64-v2 || skip "this is no x86-64"
    runner
    expect 0 "$CSCC" train "$examples/digits/digits.csc" --epochs 1 --out run
    expect 0 "$CSCC" build "$examples/digits/digits.csc" --weights run/best.safetensors --embed-weights --cpu x86-64-v2,x86-64-v3 -o two.so
    expect 0 ./levels ./two.so 2
    cp out two
    expect 0 "$CSCC" build "$examples/digits/digits.csc" --weights run/best.safetensors --embed-weights --cpu x86-64-v2 -o one.so
    expect 0 ./levels ./one.so 2
    same two out
}
case_aarch64() {
    needs_code
    expect 0 "$CSCC" build "$examples/digits/digits.csc" --cpu aarch64 --emit asm
    has out "fmla"
    expect 1 "$CSCC" train "$examples/digits/digits.csc" --cpu aarch64 --out run
    has err "does not run on this machine"
    command -v qemu-aarch64 >/dev/null || skip "qemu-aarch64 is not here: the code was made, and not run"
    command -v aarch64-linux-gnu-gcc >/dev/null || skip "aarch64-linux-gnu-gcc is not here: the code was made, and not run"
    runner
    aarch64-linux-gnu-gcc -O1 -std=gnu11 -I "$CSC_SOURCE/runtime/include" "$CSC_SOURCE/tests/cli/levels.c" -o levels-arm -ldl
    for p in digits lista; do
        expect 0 "$CSCC" build "$examples/$p/$p.csc" --cpu aarch64 -o arm.so
        expect 0 "$CSCC" build "$examples/$p/$p.csc" --cpu x86-64-v2 -o here.so
        expect 0 ./levels ./here.so 3
        cp out here
        expect 0 qemu-aarch64 -L /usr/aarch64-linux-gnu ./levels-arm ./arm.so 3
        has out "cpu aarch64"
        same here out
    done
}
run_cases
