#!/bin/sh
# --device cuda through stand-ins for the driver and NVRTC: kernels are built by cc and run here. Same numbers as the processor; what is missing
# is said.
# release only: under the sanitizers cc takes minutes for the kernels; runtime_cuda and the tests of kernel text run there
. "$CSC_SOURCE/tests/lib.sh"
export CSC_CUDA_DRIVER="$CSC_TREE/tests/libshim_cuda.so" CSC_NVRTC="$CSC_TREE/tests/libshim_nvrtc.so"
export TMPDIR="$CSC_WORK"

needs() {
    if "$CSCC" doctor | grep -q 'code generator *missing'; then skip "no code generator was built in"; fi
    [ -e "$CSC_NVRTC" ] || skip "the stand-ins are not built"
}
small() { # the digits, with fewer atoms
    sed -e "s|\.\./data|$CSC_SOURCE/examples/data|g" -e 's/real\[16, 1, 5, 5\]/real[4, 1, 3, 3]/; s/real\[32, 16, 3, 3\]/real[6, 4, 3, 3]/' -e 's/batch     = 32/batch = 200/' \
        "$CSC_SOURCE/examples/digits/digits.csc" >small.csc
}
t() { "$CSCC" train small.csc --device cuda --out "$@"; }
same_tensors() { # the header holds times and is left out
    for f in "$1" "$2"; do
        n=$(od -An -tu8 -N8 "$f" | tr -d ' ')
        tail -c +$((n + 9)) "$f" >"$f.data"
    done
    cmp "$1.data" "$2.data"
}
numbers() { grep '"type":"epoch"' "$1" | tr ',' '\n' | grep -E 'loss|accuracy|sparsity' | sed 's/.*://' >"$2"; }

case_training_gives_the_processors_curve() {
    needs
    small
    expect 0 "$CSCC" train small.csc --out cpu --epochs 2
    expect 0 t gpu --epochs 2
    has err "memory on the device"
    numbers cpu/metrics.jsonl a
    numbers gpu/metrics.jsonl b
    [ "$(wc -l <a)" -eq 16 ] || fail "$(wc -l <a) numbers"
    paste a b | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-4 * (1 + $1)) bad = bad " " $0 } END { if (bad) { print "they differ:" bad; exit 1 } }'
    expect 0 "$CSCC" eval small.csc --weights gpu/best.safetensors --json
    mv out a.json
    expect 0 "$CSCC" eval small.csc --weights gpu/best.safetensors --json --device cuda
    for f in a.json out; do sed 's/.*"loss": \([-+.0-9e]*\),.*/\1/' $f; done | tr '\n' ' ' | awk '{ d = $1 - $2; if (NF != 2 || d * d > 1e-10) { print "losses differ: " $0; exit 1 } }'
    expect 0 "$CSCC" run small.csc "$CSC_SOURCE/examples/data/digits-images-idx3-ubyte.gz" --weights gpu/best.safetensors
    sed 's/(.*//' out >a
    expect 0 "$CSCC" run small.csc "$CSC_SOURCE/examples/data/digits-images-idx3-ubyte.gz" --weights gpu/best.safetensors --device auto
    sed 's/(.*//' out | cmp - a
}
case_resume_continues_bit_by_bit() {
    needs
    small
    expect 0 t whole --epochs 2
    expect 0 t parts --epochs 2 --steps 5
    expect 0 t parts --epochs 2 --steps 6 --resume
    expect 0 env CSC_SHIM_LAZY=1 "$CSCC" train small.csc --device cuda --out parts --epochs 2 --resume
    same_tensors whole/last.safetensors parts/last.safetensors
}
case_random_layers_are_graphs() {
    needs
    small
    sed 's/flatten(G\[2\])/dropout(flatten(G[2]), p: 0.3)/' small.csc >random.csc
    grep -q dropout random.csc
    export CSC_SHIM_LOG="$PWD/log" CSC_SHIM_FLAGS=-O0
    r() { expect 0 env CSC_GRAPHS=$2 "$CSCC" train $1.csc --device cuda --out $3 --epochs 2 --set unfold=0; }
    r random off one
    has log "graph_launches 0 "
    rm log
    r random on graphs
    lacks log "graph_launches 0 "
    grep -q 'node_sets [1-9]' log || fail "$(cat log)"
    same_tensors one/last.safetensors graphs/last.safetensors
    launched=$(sed -n 's/.*graph_launches \([0-9]*\).*/\1/p' log)
    rm log
    r small on plain # as many graphs as without: a step is one
    has log "graph_launches $launched "
    has log "node_sets 0"
}
case_interrupt_saves() {
    needs
    small
    (
        trap - INT
        exec "$CSCC" train small.csc --device cuda --out run --epochs 10000 >out 2>err
    ) &
    pid=$!
    n=0
    while [ ! -s run/last.safetensors ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n + 1)); done
    sleep 0.3
    kill -TERM $pid
    rc=0
    wait $pid || rc=$?
    [ $rc = 130 ] || fail "exit code $rc: $(cat err)"
    has err "stopped; saved"
    expect 0 t run --epochs 10000 --resume --steps 1
}
case_interrupt_while_kernels_compile_ends_at_once() { # there is nothing to save
    needs
    small
    CSC_CACHE=off CSC_SHIM_LOG="$PWD/log" "$CSCC" train small.csc --device cuda --set unfold=0 --out run >out 2>err &
    pid=$!
    n=0
    while [ ! -s log ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n + 1)); done
    kill -TERM $pid
    rc=0
    wait $pid || rc=$?
    [ $rc = 143 ] || fail "exit code $rc: $(cat err)"
    [ ! -e run/last.safetensors ] || fail "it went on until there was something to save"
}
case_out_of_memory_is_said_before() {
    needs
    small
    expect 2 env CSC_SHIM_MEMORY=200000 "$CSCC" train small.csc --device cuda --out run --batch 1000
    has err "a batch of 1000 needs"
    n=$(sed -n 's/.*(--batch \([0-9]*\)).*/\1/p' err)
    expect 0 env CSC_SHIM_MEMORY=200000 "$CSCC" train small.csc --device cuda --out run --batch "$n" --steps 1
}
case_what_is_missing_is_said() {
    needs
    small
    expect 1 env CSC_CUDA_DRIVER=/none.so "$CSCC" train small.csc --device cuda --out run
    has err "error[E0816]"
    has err "no CUDA driver was found; looked for: /none.so"
    expect 1 env CSC_NVRTC=/none.so "$CSCC" train small.csc --device cuda --out run
    has err "NVRTC, which compiles kernels, was not found; looked for: /none.so"
    expect 1 env CSC_SHIM_VERSION=9000 "$CSCC" train small.csc --device cuda:0 --out run
    has err "is for CUDA 9.0; 11.4 or newer is needed"
    expect 1 "$CSCC" train small.csc --device cuda:4 --out run
    has err "there is no device cuda:4"
    expect 1 "$CSCC" train small.csc --device gpu --out run
    has err "there is no device 'gpu'"
    expect 0 env CSC_CUDA_DRIVER=/none.so "$CSCC" train small.csc --device auto --out run --steps 1
    has err "device: cpu, for no CUDA driver was found"
    [ "$(grep -c '^device: ' err)" = 1 ]
    expect 0 env CSC_CUDA_DRIVER=/none.so "$CSCC" doctor
    has out "CUDA             missing (--device cuda: no CUDA driver was found"
    has out "--device auto takes cpu"
    expect 0 "$CSCC" doctor
    has out "--device auto takes cuda:0"
    has out "compute capability 9.0"
    expect 1 env CSC_SHIM_RTC_FAIL=csc_k CSC_CACHE=off "$CSCC" train small.csc --device cuda --out run
    has err "for sm_90a: nvrtcCompileProgram failed: NVRTC_ERROR_COMPILATION"
    grep -Eq ' \((small|solvers)\.csc:[0-9]+\)' err || fail "no line of the model or of the standard library" # whichever kernel fails first
    has err "this one does not compile"
    expect 1 env CSC_SHIM_FAIL=cuModuleLoadData:3 "$CSCC" train small.csc --device cuda --out run
    has err ": cuModuleLoadData failed"
    grep -qE 'csc_k_[0-9a-f]+ \([a-z]+\.csc:[0-9]+\): cuModule' err || fail "no place in the model: $(cat err)"
    expect 1 env CSC_SHIM_FAIL=cuGraphLaunch:2 "$CSCC" train small.csc --device cuda --out run
    has err "cuGraphLaunch failed: CUDA_ERROR_LAUNCH_FAILED"
}
case_nvrtc_of_the_python_on_the_path() {
    [ -e "$CSC_NVRTC" ] || skip "the stand-ins are not built"
    mkdir -p here/bin here/lib/python3.9/site-packages/nvidia/cu12/lib
    cp "$CSC_NVRTC" here/lib/python3.9/site-packages/nvidia/cu12/lib/libnvrtc.so.12
    printf '#!/bin/sh\n' >here/bin/python3
    chmod +x here/bin/python3
    d() { env -u CSC_NVRTC -u VIRTUAL_ENV -u CONDA_PREFIX PATH="$1" "$CSCC" doctor >out 2>err; }
    d "$PATH"
    if ! grep -q 'NVRTC *missing' out; then skip "this machine has an NVRTC of its own"; fi
    d "/none::$PWD/here/bin:$PATH"
    has out "cu12/lib/libnvrtc.so.12"
}
case_kept_kernels_may_be_damaged_and_shared() {
    needs
    small
    expect 0 "$CSCC" train small.csc --out cpu --steps 1
    export CSC_CACHE="$PWD/cache" CSC_SHIM_LOG="$PWD/log"
    r() { "$CSCC" run small.csc "$CSC_SOURCE/examples/data/digits-images-idx3-ubyte.gz" --weights cpu/last.safetensors --device cuda; }
    r >one &
    first=$!
    r >two || fail "the second of two at once"
    wait $first || fail "the first of two at once"
    cmp one two
    rm -f log
    r >three
    lacks log compiled
    for f in cache/kernels/*; do printf xxxx | dd of="$f" bs=1 seek=200 conv=notrunc 2>/dev/null; done
    r >four
    has log compiled
    cmp one four
    expect 0 "$CSCC" cache info
    has out "$CSC_CACHE: "
    expect 0 "$CSCC" cache clear
    has out removed
    expect 0 "$CSCC" cache info
    has out ": 0 files"
    [ "$(stat -c %a cache/kernels)" = 700 ]
}
case_the_first_bad_value_is_named() { # by a program that is compiled then
    needs
    small
    sed 's/lr: 3e-3/lr: 1e30/' small.csc >bad.csc
    expect 1 "$CSCC" train bad.csc --device cuda --set unfold=0 --out run --steps 3
    has err "the first value that is not finite is"
}
case_the_script_for_a_gpu() {
    needs
    sh "$CSC_SOURCE/tests/gpu/run" --shim --build "$CSC_TREE" "$PWD/results" >said 2>&1 || fail "$(tail -n 1 said)"
    has results '"kind": "curve", "name": "small --epochs 1 --set unfold=0", "ok": true'
    has results '"kind": "graphs", "name": "random", "ok": true'
    has results '"kind": "bits", "name": "two runs from one seed", "ok": true'
    lacks results '"ok": false'
}
run_cases
