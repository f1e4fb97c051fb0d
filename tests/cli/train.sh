#!/bin/sh
# Training on the digits that ship with the project: accuracy, bits, interruption, resumption, full disks.
. "$CSC_SOURCE/tests/lib.sh"
digits=$CSC_SOURCE/examples/digits/digits.csc

needs_code() { if "$CSCC" doctor | grep -q 'code generator *missing'; then skip "no code generator was built in"; fi; }
t() { "$CSCC" train "$digits" --out "$@"; }
same_tensors() { # the header holds times and is left out
    for f in "$1" "$2"; do
        n=$(od -An -tu8 -N8 "$f" | tr -d ' ')
        tail -c +$((n + 9)) "$f" >"$f.data"
    done
    cmp "$1.data" "$2.data"
}

case_digits_reach_97_percent() {
    needs_code
    case $CSC_TREE in *san) epochs=4 want=90 ;; *) epochs=20 want=97 ;; esac
    expect 0 t run --epochs $epochs --atoms atoms.png
    for f in best.safetensors last.safetensors metrics.jsonl; do [ -s run/$f ] || fail "$f is missing"; done
    head -c 4 atoms.png | grep -q PNG
    expect 0 "$CSCC" eval "$digits" --weights run/best.safetensors
    acc=$(sed -n 's|.*accuracy([^)]*) \([0-9.]*\) %.*|\1|p' out)
    [ "$(echo "$acc $want" | awk '{ print ($1 >= $2) }')" = 1 ] || fail "accuracy is '$acc': $(cat out)"
    has out "359 test samples"
}
case_atoms_are_those_of_the_best() {
    needs_code
    sed -e 's/adam(lr: 3e-3, schedule: cosine(to: 1e-5))/sgd(lr: 0.05, clip: 1, schedule: step_decay(by: 40, at: [2]))/' \
        -e "s|\.\./data|$CSC_SOURCE/examples/data|g" "$digits" >late.csc # the third epoch makes it worse
    expect 0 "$CSCC" train late.csc --out run --epochs 3 --atoms atoms.png
    expect 0 "$CSCC" inspect run/best.safetensors --atoms best.png
    expect 0 "$CSCC" inspect run/last.safetensors --atoms last.png
    cmp atoms.png best.png
    if cmp -s best.png last.png; then fail "best and last are the same: the test shows nothing"; fi
}
case_same_bits_for_any_number_of_threads() {
    needs_code
    expect 0 t one --epochs 1 --threads 1
    has err "memory: workspace"
    expect 0 t three --epochs 1 --threads 3
    same_tensors one/last.safetensors three/last.safetensors
    expect 0 t other --epochs 1 --seed 2
    if (same_tensors one/last.safetensors other/last.safetensors); then fail "another seed gives the same bits"; fi
}
case_resume_continues_bit_by_bit() {
    needs_code
    expect 0 t whole --epochs 3
    expect 0 t parts --epochs 3 --steps 20
    expect 0 t parts --epochs 3 --steps 61 --resume
    expect 0 t parts --epochs 3 --resume
    same_tensors whole/last.safetensors parts/last.safetensors
}
case_resume_after_kill() {
    needs_code
    expect 0 t whole --epochs 3
    tries=0
    while [ $tries -lt 6 ]; do
        tries=$((tries + 1))
        resume=
        [ -e killed/last.safetensors ] && resume=--resume
        "$CSCC" train "$digits" --out killed --epochs 3 $resume >/dev/null 2>err &
        pid=$!
        sleep 0.$((tries * 13 % 9 + 1))
        if ! kill -9 $pid 2>/dev/null; then break; fi
        wait $pid || true
    done
    resume=
    [ -e killed/last.safetensors ] && resume=--resume
    expect 0 t killed --epochs 3 $resume
    same_tensors whole/last.safetensors killed/last.safetensors
}
case_resume_of_nothing() {
    needs_code
    expect 1 t fresh --epochs 1 --resume
    has err "error[E0807]"
}
case_resume_of_damage() {
    needs_code
    expect 0 t run --epochs 1
    head -c 1000 run/last.safetensors >x
    mv x run/last.safetensors
    expect 1 t run --epochs 2 --resume
    has err "error[E0807]"
}
case_ctrl_c_saves_and_leaves() {
    needs_code
    "$CSCC" train "$digits" --out run --epochs 5000 >out 2>err &
    pid=$!
    n=0
    while ! grep -q '^epoch' out && [ $n -lt 300 ]; do
        sleep 0.1
        n=$((n + 1))
    done
    kill -INT $pid
    rc=0
    wait $pid || rc=$?
    [ $rc = 130 ] || fail "exit code $rc: $(cat err)"
    has err "--resume"
    [ -s run/last.safetensors ]
    expect 0 "$CSCC" inspect run/last.safetensors
}
case_progress_only_on_a_terminal() {
    needs_code
    expect 0 t run --epochs 1
    if grep -q "$(printf '\r')" err; then fail "a progress line was written to a file"; fi
}
case_json_metrics() {
    needs_code
    command -v python3 >/dev/null || skip "python3 is not here"
    expect 0 t run --epochs 2 --json
    python3 -c '
import json
rows = [json.loads(l) for l in open("out")]
assert len(rows) == 2 and rows[1]["epoch"] == 2 and rows[1]["test"]["loss"] > 0, rows
[json.loads(l) for l in open("run/metrics.jsonl")]'
}
case_missing_data() {
    needs_code
    expect 1 t run --data nowhere
    has err "error[E0805]"
    has err "nowhere"
}
case_no_train_block() {
    needs_code
    printf 'model m {\n    input X : real[4]\n    output Y = X\n}\n' >m.csc
    expect 1 "$CSCC" train m.csc
    has err "error[E0806]"
}
case_run_folder_is_a_file() {
    needs_code
    echo x >run
    expect 1 t run --epochs 1
    has err "error[E0814]"
}
case_full_disk() {
    needs_code
    got=0
    (ulimit -f 8; t run --epochs 1 >out 2>err) || got=$?
    [ $got = 2 ] || fail "exit code $got: $(cat err)"
    [ ! -e run/best.safetensors ] || "$CSCC" inspect run/best.safetensors >/dev/null
}
case_numbers_that_run_away() {
    needs_code
    sed -e 's/adam(lr: 3e-3, schedule: cosine(to: 1e-5))/sgd(lr: 1e18)/' -e "s|\.\./data|$CSC_SOURCE/examples/data|g" "$digits" >wild.csc
    expect 1 "$CSCC" train wild.csc --epochs 3
    has err "error[E0811]"
}
case_two_processes_at_once() {
    needs_code
    "$CSCC" train "$digits" --out a --epochs 2 >/dev/null 2>&1 &
    p=$!
    "$CSCC" train "$digits" --out b --epochs 2 >/dev/null 2>&1 &
    q=$!
    wait $p
    wait $q
    same_tensors a/last.safetensors b/last.safetensors
}
case_eval_needs_weights() {
    needs_code
    expect 1 "$CSCC" eval "$digits"
    has err "error[E0804]"
    expect 1 "$CSCC" eval "$digits" --weights nothing.safetensors
    has err "nothing.safetensors"
}
case_weights_at_another_count() {
    needs_code
    expect 0 t run --epochs 1
    expect 0 "$CSCC" eval "$digits" --weights run/best.safetensors --set unfold=0
    expect 0 "$CSCC" eval "$digits" --weights run/best.safetensors --set unfold=4
}
case_run_classifies_files() {
    needs_code
    expect 0 t run --epochs 6
    expect 0 "$CSCC" run "$digits" "$CSC_SOURCE/examples/data/digits-images-idx3-ubyte.gz" --weights run/best.safetensors
    [ "$(wc -l <out)" = 1797 ]
    sed -n 's/.* 0: \([0-9]\) .*/\1/p' out >first
    [ "$(head -n 1 first)" = 0 ] || fail "the first digit is a zero: $(head -n 1 out)"
    expect 1 "$CSCC" run "$digits" --weights run/best.safetensors
    expect 1 "$CSCC" run "$digits" "$CSC_SOURCE/examples/data/digits-labels-idx1-ubyte.gz" --weights run/best.safetensors
    has err "error[E0808]"
}
case_compiled_code_is_kept() {
    needs_code
    export CSC_CACHE="$PWD/cache"
    expect 0 t one --epochs 1 --time-passes
    [ "$(ls cache | wc -l)" = 1 ]
    expect 0 t two --epochs 1 --time-passes
    [ "$(sed -n 's/^llvm  *\([0-9]*\)\..*/\1/p' err)" = 0 ] || fail "compiled again: $(cat err)"
    same_tensors one/last.safetensors two/last.safetensors
    expect 0 t three --epochs 1 --set unfold=0
    [ "$(ls cache | wc -l)" = 2 ]
    for f in cache/*; do # damaged: not used
        head -c 2000 "$f" >x
        mv x "$f"
    done
    expect 0 t four --epochs 1
    same_tensors one/last.safetensors four/last.safetensors
    CSC_CACHE=off expect 0 t five --epochs 1
    same_tensors one/last.safetensors five/last.safetensors
}
case_tunables_compile_nothing_again() {
    needs_code
    printf 'model m {\n    input X : real[1, H, W]\n    tunable a = 1\n    output Y = a * X\n}\n' >m.csc
    export CSC_CACHE="$PWD/cache"
    coins=$CSC_SOURCE/examples/data/pictures/coins.png
    expect 0 "$CSCC" run m.csc "$coins" -o one.png
    expect 0 "$CSCC" run m.csc "$coins" -o half.png --tune a=0.5 --time-passes
    [ "$(sed -n 's/^llvm  *\([0-9]*\)\..*/\1/p' err)" = 0 ] || fail "compiled again: $(cat err)"
    if cmp -s one.png half.png; then fail "the tunable changed nothing"; fi
    expect 1 "$CSCC" run m.csc "$coins" -o x.png --tune b=0.5
}
case_run_standardizes_as_training_did() {
    needs_code
    sed -e "s|\.\./data|$CSC_SOURCE/examples/data|g" -e 's/    minimize /    augment = [standardize]\n    minimize /' "$digits" >std.csc
    expect 0 "$CSCC" train std.csc --epochs 6 --out run
    expect 0 "$CSCC" eval std.csc --weights run/best.safetensors
    expect 0 "$CSCC" run std.csc "$CSC_SOURCE/examples/data/digits-images-idx3-ubyte.gz" --weights run/best.safetensors --json
    command -v python3 >/dev/null || skip "python3 is not here"
    python3 -c '
import gzip, json, sys
want = gzip.open(sys.argv[1]).read()[8:]
right = sum(r["label"] == want[i] for i, r in enumerate(json.load(open("out"))))
assert right > 0.95 * len(want), right' "$CSC_SOURCE/examples/data/digits-labels-idx1-ubyte.gz"
}
run_cases
