#!/bin/sh
# Programs that are checked, looked at, and refused: files, imports, printing of every stage.
. "$CSC_SOURCE/tests/lib.sh"
digits=$CSC_SOURCE/examples/digits/digits.csc

small() { # a model that needs no data
    cat >small.csc <<'P'
model small(n: int = 4) {
    input X : real[n]
    dictionary D = dense(W) where { param W : real[n, 6] = normal(0.3) }
    lasso G : X ~ D * G { lambda = 0.1; prox = soft; step = 0.5; solve = ista(unfold: 2) }
    output G
}
P
}

case_check_digits() {
    expect 0 "$CSCC" check "$digits"
    has out "model digits"
    [ ! -s err ]
}
case_check_a_model_without_recipe() {
    small
    expect 0 "$CSCC" check small.csc
    expect 0 "$CSCC" check small.csc --set n=9
    expect 1 "$CSCC" check small.csc --set m=9
}
case_missing_file() {
    expect 1 "$CSCC" check nothing.csc
    has err "error[E0802]"
    has err "'nothing.csc' cannot be read"
}
case_folder_as_program() {
    mkdir folder.csc
    expect 1 "$CSCC" check folder.csc
    has err "it is a folder"
}
case_device_as_program() {
    expect 1 "$CSCC" check /dev/zero
    has err "no ordinary file"
}
case_unreadable_file() {
    [ "$(id -u)" != 0 ] || skip "root may read everything"
    small
    chmod 0 small.csc
    expect 1 "$CSCC" check small.csc
    has err "Permission denied"
}
case_empty_program() {
    : >empty.csc
    expect 1 "$CSCC" check empty.csc
    has err "error["
}
case_binary_as_program() {
    head -c 20000 "$CSCC" >junk.csc
    expect 1 "$CSCC" check junk.csc
    has err "error["
}
case_nul_in_program() {
    printf 'model m {\n input X : real[4]\n \000 output Y = X\n}\n' >nul.csc
    expect 1 "$CSCC" check nul.csc
    has err "nul.csc:3:"
}
case_imports_are_found_beside_the_file() {
    mkdir sub
    echo 'function twice(x) = 2 * x' >sub/mine.csc
    printf 'import "mine.csc"\nmodel m {\n    input X : real[4]\n    output Y = twice(X)\n}\n' >sub/main.csc
    expect 0 "$CSCC" check sub/main.csc
}
case_imports_in_a_ring() {
    printf 'import "b.csc"\nfunction fa(x) = x\n' >a.csc
    printf 'import "a.csc"\nmodel m {\n    input X : real[4]\n    output Y = fa(X)\n}\n' >b.csc
    expect 0 "$CSCC" check b.csc
}
case_import_of_nothing() {
    printf 'import "gone.csc"\nimport std.network\nmodel m {\n    input X : real[4]\n    output Y = X\n}\n' >m.csc
    expect 1 "$CSCC" check m.csc
    has err "m.csc:1:"
    has err "error[E0802]"
    has err "m.csc:2:"
    has err "error[E0803]"
    has err "did you mean 'std.networks'"
}
case_emit_every_stage() {
    small
    expect 0 "$CSCC" check small.csc --emit=ast
    has out "model small"
    expect 0 "$CSCC" check small.csc --emit=op
    has out "# entry forward"
    expect 0 "$CSCC" check small.csc --stop-after=build --emit=op
    has out "# entry forward"
    expect 0 "$CSCC" check small.csc --emit=loop
    [ -s out ]
    if "$CSCC" doctor | grep -q 'code generator *missing'; then return 0; fi
    expect 0 "$CSCC" check small.csc --emit=llvm
    has out "define"
    expect 0 "$CSCC" check small.csc --emit=asm
    has out ".text"
    expect 0 "$CSCC" check small.csc --emit=obj -o small.o
    head -c 4 small.o | grep -q ELF
}
case_printed_program_reads_back() {
    expect 0 "$CSCC" check "$digits" --emit=ast
    cp out again.csc
    expect 0 "$CSCC" check again.csc --emit=ast
    cmp out again.csc
}
case_stop_after_and_times() {
    small
    expect 1 "$CSCC" check small.csc --stop-after=unfld
    has err "did you mean 'unfold'"
    expect 0 "$CSCC" check small.csc --time-passes
    has err "build"
    has err "sema"
    expect 0 "$CSCC" check small.csc --stop-after=read
}
case_json_of_mistakes() {
    command -v python3 >/dev/null || skip "python3 is not here"
    printf 'model m {\n    input X : real[4]\n    output Y = rleu(X)\n}\n' >m.csc
    expect 1 "$CSCC" check m.csc --json
    python3 -c '
import json
l = json.load(open("out"))
assert l and l[0]["severity"] == "error" and l[0]["line"] == 3 and l[0]["file"] == "m.csc", l'
}
case_operators_and_adjoints_agree() {
    command -v python3 >/dev/null || skip "python3 is not here"
    for p in "$CSC_SOURCE/tests/accept/algebra.csc" "$CSC_SOURCE/examples/new_structure/new_structure.csc" "$digits"; do
        expect 0 "$CSCC" check "$p" --json
        python3 -c '
import json
l = json.load(open("out"))["operators"]
assert l and all(o["difference"] < 1e-14 for o in l), l'
    done
    expect 0 "$CSCC" check "$digits" --remarks
    has err "the operator D.2 from real[32, 4, 4] to real[16, 8, 8] and its adjoint agree"
}
case_winograd_is_named_and_can_be_left_out() {
    model=$CSC_SOURCE/examples/res_csc/res_csc.csc
    expect 0 "$CSCC" check "$model" --cpu x86-64-v4 --remarks
    has err "products with 3x3 taps by Winograd's transforms (--direct: none)"
    expect 0 "$CSCC" check "$model" --cpu x86-64-v4 --remarks --direct
    lacks err Winograd
}
case_inspect_program() {
    expect 0 "$CSCC" inspect "$digits"
    has out "logits"
    has out "parameters:"
}
case_inspect_json() {
    command -v python3 >/dev/null || skip "python3 is not here"
    expect 0 "$CSCC" inspect "$digits" --json
    python3 -c '
import json
i = json.load(open("out"))
assert i["model"] == "digits" and i["inputs"][0]["shape"] == [1, 8, 8] and i["outputs"][0]["shape"] == [10]
assert any(p["name"] == "logits.weight" for p in i["params"]), [p["name"] for p in i["params"]]'
}
case_inspect_of_neither() {
    echo hello >x.txt
    expect 1 "$CSCC" inspect x.txt
    has err "neither a program nor a checkpoint nor a library"
    echo hello >x.safetensors
    expect 1 "$CSCC" inspect x.safetensors
}
case_doctor() {
    expect 0 "$CSCC" doctor
    has out "linker"
    has out "threads"
}
run_cases
