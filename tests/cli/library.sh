#!/bin/sh
# Built libraries: from C, from Python through ctypes, without a linker.
. "$CSC_SOURCE/tests/lib.sh"
digits=$CSC_SOURCE/examples/digits/digits.csc
images=$CSC_SOURCE/examples/data/digits-images-idx3-ubyte.gz

needs_code() { if "$CSCC" doctor | grep -q 'code generator *missing'; then skip "no code generator was built in"; fi; }
trained() {
    needs_code
    if [ ! -e "$CSC_WORK/w.safetensors" ]; then
        "$CSCC" train "$digits" --out run --epochs 4 >/dev/null 2>&1
        cp run/best.safetensors "$CSC_WORK/w.safetensors"
    fi
    cp "$CSC_WORK/w.safetensors" .
}

case_library_from_c() {
    trained
    expect 0 "$CSCC" build "$digits" --weights w.safetensors --embed-weights -o digits.so
    expect 0 cc -O2 -std=c11 -Wall -Wextra -Werror -I . "$CSC_SOURCE/examples/digits/main.c" -o classify ./digits.so -lz -lm
    expect 0 ./classify "$images" "$CSC_SOURCE/examples/data/digits-labels-idx1-ubyte.gz"
    has out "of 359 held-out digits are right"
    c=$(cut -d' ' -f1 out)
    expect 0 "$CSCC" eval "$digits" --weights w.safetensors --json
    ours=$(sed -n 's/.*"accuracy[^"]*": \([0-9.]*\).*/\1/p' out)
    [ "$(echo "$c $ours" | awk '{ d = $1 - $2 * 359; print (d < 1.5 && d > -1.5) }')" = 1 ] || fail "C counts $c right, eval says $ours"
}
case_header_stands_alone() {
    needs_code
    expect 0 "$CSCC" build "$digits"
    has out "backward: workspace" # the memory plan
    [ -s digits.so ] && [ -s digits.h ]
    printf '#include "digits.h"\nint main(void) { return DIGITS_IN_X != 64 || DIGITS_OUT_LOGITS != 10 || DIGITS_AT_LOGITS_BIAS < 0; }\n' >t.c
    expect 0 cc -std=c99 -Wall -Wextra -Werror -pedantic t.c -o t ./digits.so -lm
    expect 0 ./t
    if command -v g++ >/dev/null; then expect 0 g++ -fsyntax-only -Wall -Werror -x c++ digits.h; fi
}
case_needs_libc_and_libm_only() {
    needs_code
    command -v readelf >/dev/null || skip "readelf is not here"
    expect 0 "$CSCC" build "$digits"
    readelf -d digits.so | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' >needed
    if grep -vE '^lib(c|m)\.so' needed; then fail "more than libc and libm"; fi
    readelf --dyn-syms -W digits.so | awk '$7 != "UND" && $5 == "GLOBAL" { print $8 }' | grep -v '^$' >exported
    [ "$(cat exported)" = csc_model_query ] || fail "exports $(tr '\n' ' ' <exported)"
}
case_same_library_twice() {
    needs_code
    expect 0 "$CSCC" build "$digits" -o a.so
    expect 0 "$CSCC" build "$digits" -o b.so
    cmp a.so b.so
}
case_library_from_python() {
    trained
    command -v python3 >/dev/null || skip "python3 is not here"
    expect 0 "$CSCC" build "$digits" --weights w.safetensors --embed-weights -o digits.so
    gzip -dc "$images" | tail -c +17 | head -c $((64 * 7)) >seven
    { printf '\000\000\010\003\000\000\000\007\000\000\000\010\000\000\000\010'; cat seven; } >seven.idx
    expect 0 "$CSCC" run "$digits" seven.idx --weights w.safetensors -o seven.npy
    expect 0 python3 "$CSC_SOURCE/tests/cli/library.py" ./digits.so seven seven.npy
    has out "forward equal, gradients equal"
}
case_inspect_library() {
    needs_code
    command -v python3 >/dev/null || skip "python3 is not here"
    expect 0 "$CSCC" build "$digits" -o digits.so
    expect 0 "$CSCC" inspect digits.so
    python3 -c 'import json; i = json.load(open("out")); assert {e["name"] for e in i["entries"]} >= {"forward", "backward"}, i["entries"]'
}
case_levels_of_processors() {
    needs_code
    for cpu in x86-64-v2 x86-64-v3 x86-64-v4 x86-64-v4+amx; do expect 0 "$CSCC" build "$digits" --cpu $cpu -o $cpu.so; done
    expect 1 "$CSCC" build "$digits" --cpu z80
    has err "error[E0809]"
}
case_no_linker() {
    needs_code
    mkdir nothing
    expect 1 env PATH="$PWD/nothing" "$CSCC" build "$digits"
    has err "error[E0810]"
    has err "binutils"
    [ ! -e digits.so ]
}
case_output_into_nowhere() {
    needs_code
    expect 1 "$CSCC" build "$digits" -o gone/digits.so
    has err "error[E0814]"
    mkdir digits.so
    expect 1 "$CSCC" build "$digits" -o digits.so
}
case_open_dimensions_must_be_said() {
    needs_code
    printf 'model m {\n    input X : real[1, H, W]\n    output Y = 2 * X\n}\n' >m.csc
    expect 1 "$CSCC" build m.csc
    has err "--set H="
    expect 0 "$CSCC" build m.csc --set H=8 --set W=9
}
case_code_generator_is_opened_on_demand() {
    needs_code
    if command -v readelf >/dev/null; then
        readelf -d "$CSCC" >needed
        lacks needed LLVM
    fi
    cp "$CSCC" alone # without lib/ beside it
    expect 0 ./alone check "$digits"
    expect 0 ./alone doctor
    has out "code generator   missing (train, eval, run, build: libcscc-llvm.so is not in"
    expect 1 ./alone build "$digits"
    has err "error[E0813]"
    has err "copy the whole of a build"
    mkdir -p there/bin there/lib
    cp "$CSCC" there/bin/
    cp "${CSCC%/*}/lib/libcscc-llvm.so" there/lib/
    expect 0 there/bin/cscc build "$digits"
    echo damaged >there/lib/libcscc-llvm.so
    expect 1 there/bin/cscc build "$digits" -o x.so
    has err "error[E0813]"
}
case_cached_code_needs_no_generator() {
    trained
    mkdir -p there/lib
    cp "$CSCC" there/
    cp -p "${CSCC%/*}/lib/libcscc-llvm.so" there/lib/
    expect 0 there/cscc eval "$digits" --weights w.safetensors
    cut -d'(' -f1-2 out >first
    truncate -s 100 there/lib/libcscc-llvm.so # another file, were it opened; the key holds its size and time
    cp -p "${CSCC%/*}/lib/libcscc-llvm.so" there/whole
    touch -r there/whole there/lib/libcscc-llvm.so
    truncate -s "$(wc -c <there/whole)" there/lib/libcscc-llvm.so
    touch -r there/whole there/lib/libcscc-llvm.so
    expect 0 there/cscc eval "$digits" --weights w.safetensors
    cut -d'(' -f1-2 out >second
    cmp first second
}
case_embedding_needs_weights() {
    needs_code
    expect 1 "$CSCC" build "$digits" --embed-weights
    has err "error[E0804]"
}
run_cases
