# The harness of tests/cli/*.sh. A script sources this, defines functions case_NAME, and ends with run_cases. A case is a subshell
# under `set -e` in an empty folder of its own: any command that fails, fails it. See tests/run for the variables.
: "${CSC_SOURCE:?}" "${CSCC:?}" "${CSC_WORK:?}"

# expect RC COMMAND...: runs it, output in files out and err, and demands the exit code
expect() {
    want=$1
    shift
    got=0
    "$@" >out 2>err </dev/null || got=$?
    if [ "$got" != "$want" ]; then
        fail "exit code $got instead of $want: $* :: $(head -c 300 err | tr '\n' ' ')"
    fi
}
has() { grep -qF -- "$2" "$1" || fail "'$2' is missing in $1: $(head -c 300 "$1" | tr '\n' ' ')"; }
lacks() { if grep -qF -- "$2" "$1"; then fail "'$2' must not be in $1"; fi; }
fail() {
    echo "$*"
    exit 1
}
skip() {
    echo "$*"
    exit 77
}
run_cases() {
    bad=0
    for c in $(sed -n 's/^case_\([A-Za-z0-9_]*\)().*/\1/p' "$0"); do
        case $c in *"${CSC_CASE-}"*) ;; *) continue ;; esac
        dir=$CSC_WORK/$c
        mkdir -p "$dir"
        (
            cd "$dir" || exit 2
            set -e
            case_$c
        ) >"$CSC_WORK/$c.log" 2>&1
        rc=$?
        case $rc in
        0) echo "ok $c" ;;
        77) echo "skip $c: $(tail -n 1 "$CSC_WORK/$c.log")" ;;
        *)
            echo "FAIL $c: $(tail -n 1 "$CSC_WORK/$c.log" | tr -d '\n') [exit $rc]"
            bad=1
            ;;
        esac
    done
    return $bad
}
