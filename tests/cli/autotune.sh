#!/bin/sh
# release only: cscc autotune and the file that it leaves beside a program.
. "$CSC_SOURCE/tests/lib.sh"
needs_code() { if "$CSCC" doctor | grep -q 'code generator *missing'; then skip "no code generator was built in"; fi; }
tuned() { # a program of its own with its tiles
    needs_code
    mkdir -p sub
    sed "s|\.\./data|$CSC_SOURCE/examples/data|g" "$CSC_SOURCE/examples/digits/digits.csc" >sub/digits.csc
    if [ ! -e "$CSC_WORK/digits.tiles" ]; then
        expect 0 "$CSCC" autotune sub/digits.csc
        has out "digits.tiles: 6 products measured"
        cp sub/digits.tiles "$CSC_WORK/"
    fi
    cp "$CSC_WORK/digits.tiles" sub/
}
loss() { "$CSCC" eval sub/digits.csc --weights run/best.safetensors --json | sed 's/.*"loss": \([0-9.e-]*\).*/\1/'; }

case_measured_tiles_are_used() {
    tuned
    [ "$(head -n 1 sub/digits.tiles)" = "csc tiles 1" ]
    expect 0 "$CSCC" train sub/digits.csc --epochs 2 --out run --remarks
    has err "come from 'sub/digits.tiles'"
    with=$(loss)
    rm sub/digits.tiles
    without=$(loss)
    echo "$with $without" | awk '{ d = $1 - $2; exit !($1 > 0 && d < 1e-4 && d > -1e-4) }' || fail "loss $with with, $without without"
}
case_any_choice_computes_the_same() { # tiles that nobody measured, of every width
    tuned
    command -v python3 >/dev/null || skip "python3 is not here"
    cat >force.py <<'P'
import sys
lines = open("sub/digits.tiles").read().split("\n")[:3]
kv = int(sys.argv[1])
for out, rows, cols, entries, run in ((16, 8, 8, 5, 5), (32, 4, 4, 5, 80), (10, 1, 32, 1, 512), (512, 1, 32, 1, 10)):
    for flags in ("000", "001", "010"):
        lines.append("tile %d %d %d %d %d %s 0 %d 1 %d" % (out, rows, cols, entries, run, flags, min(kv, (out + 15) // 16), min(cols, 4)))
text, h = "\n".join(lines) + "\n", 14695981039346656037
for c in text.encode():
    h = (h ^ c) * 1099511628211 % 2**64
open("sub/digits.tiles", "w").write(text + "sum %016x\n" % h)
P
    expect 0 "$CSCC" train sub/digits.csc --epochs 1 --out run
    with=$(loss)
    for kv in 1 2; do
        python3 force.py $kv
        without=$(loss)
        echo "$with $without" | awk '{ d = $1 - $2; exit !($1 > 0 && d < 1e-4 && d > -1e-4) }' || fail "loss $with, and $without with tiles of $kv vectors"
    done
}
case_stale_tiles_are_left() {
    tuned
    echo "# another text" >>sub/digits.csc
    expect 0 "$CSCC" build sub/digits.csc --cpu native --remarks
    has err "is for an older text of the program and was not used"
    sed '$d' sub/digits.csc >x && mv x sub/digits.csc
    expect 0 "$CSCC" build sub/digits.csc --cpu x86-64-v2 --remarks
    has err "is for another processor and was not used"
}
case_damaged_tiles_are_refused() {
    tuned
    for how in 's/^sum .*/sum 0123456789abcdef/' '$d' 's/^tile .*/tile 1 2/' '1s/1/2/' 's/^sum /tile 1 1 1 1 1 000 0 1 1 1\nsum /'; do
        sed "$how" "$CSC_WORK/digits.tiles" >sub/digits.tiles
        cmp -s "$CSC_WORK/digits.tiles" sub/digits.tiles && continue # nothing of that kind in it
        expect 1 "$CSCC" build sub/digits.csc
        has err "error[E0815]"
        has err "cscc autotune"
    done
    head -c 40 "$CSC_WORK/digits.tiles" >sub/digits.tiles
    expect 1 "$CSCC" train sub/digits.csc --out run
    has err "error[E0815]"
    : >sub/digits.tiles
    expect 1 "$CSCC" build sub/digits.csc
}
case_help() {
    expect 0 "$CSCC" autotune --help
    has out "PROGRAM.tiles"
    expect 0 "$CSCC" explain E0815
    has out "autotune"
}
run_cases
