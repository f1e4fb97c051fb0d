#!/bin/sh
# The command line: help, versions, mistakes, exit codes, explanations.
. "$CSC_SOURCE/tests/lib.sh"

case_version() {
    expect 0 "$CSCC" --version
    has out "cscc 0."
}
case_help_of_every_command() {
    expect 0 "$CSCC" --help
    for c in check train eval run build inspect explain doctor cache; do
        has out "  $c "
        expect 0 "$CSCC" $c --help
        has out "usage: cscc $c"
        [ ! -s err ]
        expect 0 "$CSCC" --help
    done
}
case_no_command_is_a_mistake() {
    expect 1 "$CSCC"
    has err "usage: cscc COMMAND"
    [ ! -s out ]
}
case_unknown_command_offers_the_nearest() {
    expect 1 "$CSCC" chekc x.csc
    has err "error[E0801]"
    has err "did you mean 'check'"
}
case_unknown_option_offers_the_nearest() {
    expect 1 "$CSCC" train x.csc --epoch 3
    has err "did you mean '--epochs'"
    expect 1 "$CSCC" check x.csc --weights w
    has err "'cscc check' has no option '--weights'"
}
case_values_of_options() {
    expect 1 "$CSCC" train x.csc --epochs
    has err "--epochs needs a value"
    expect 1 "$CSCC" train x.csc --epochs three
    has err "whole number"
    expect 1 "$CSCC" train x.csc --epochs=-1
    expect 1 "$CSCC" train x.csc --epochs 99999999999999999999
    expect 1 "$CSCC" train x.csc --batch 0
    expect 1 "$CSCC" check x.csc --set unfold
    has err "NAME=VALUE"
    expect 1 "$CSCC" check x.csc --set =3
    expect 1 "$CSCC" check x.csc --emit=ast,wat
    has err "'wat'"
    expect 1 "$CSCC" check x.csc --remarks=yes
    has err "takes no value"
}
case_several_mistakes_are_told_at_once() {
    expect 1 "$CSCC" train x.csc --epoch 3 --batch none
    has err "--epochs"
    has err "--batch needs"
}
case_words_missing_or_too_many() {
    expect 1 "$CSCC" check
    has err "'cscc check' needs PROGRAM.csc"
    expect 1 "$CSCC" check a.csc b.csc
    has err "b.csc"
}
case_explain_every_code() {
    expect 0 "$CSCC" explain
    cp out all
    [ "$(wc -l <all)" -ge 10 ]
    for code in $(cut -d' ' -f1 all); do
        expect 0 "$CSCC" explain "$code"
        has out "$code: "
        [ "$(wc -c <out)" -ge 70 ] || fail "$code has no explanation worth the name"
    done
    [ "$(cut -d' ' -f1 all | sort | uniq -d | wc -l)" = 0 ] || fail "a code is given twice: $(cut -d' ' -f1 all | sort | uniq -d | head -n 1)"
}
case_explain_unknown() {
    expect 1 "$CSCC" explain E9999
    has err "no diagnostic 'E9999'"
    expect 0 "$CSCC" explain e0801
}
case_explain_json() {
    command -v python3 >/dev/null || skip "python3 is not here"
    expect 0 "$CSCC" explain --json
    python3 -c 'import json,sys; l = json.load(open("out")); assert all(set(x) == {"code", "title", "explanation"} for x in l) and len(l) > 10'
}
case_full_output_is_noticed() {
    [ -e /dev/full ] || skip "there is no /dev/full"
    got=0
    "$CSCC" explain >/dev/full 2>err || got=$?
    [ $got = 2 ]
    has err "cannot be written"
}
run_cases
