/* runtime/python/csc.py loads a model and weights that this library saved, and computes the same. */
#include "check.h"
#include "runtime_toy.h"
#include <unistd.h>

TEST(python) {
    char folder[] = "/tmp/csc-python-XXXXXX", path[100], command[2000], line[300] = "";
    if (system("python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null") != 0) SKIP("python3 (3.8 or newer) is not here");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/w.safetensors", folder);
    csc_context *cx = csc_context_new();
    csc_net *n;
    CHECK(csc_net_new(cx, &toy_model, &toy_info, NULL, &n) == CSC_OK && csc_net_init(n, 3) == CSC_OK && csc_weights_save(n, path) == CSC_OK);
    float x[2][TOY_IN], y[2][TOY_CLASSES];
    for (int i = 0; i < 2 * TOY_IN; i++) x[i / TOY_IN][i % TOY_IN] = (float)(i % 7) / 8;
    CHECK(csc_net_run(n, csc_net_entry(n, "forward"), 2, (const float *const[]){x[0]}, (float *const[]){y[0]}, false) == CSC_OK);
    snprintf(command, sizeof command,
             "PYTHONPATH='%s/runtime/python' PYTHONDONTWRITEBYTECODE=1 python3 -c '\n"
             "import array, csc\n"
             "m = csc.Model(\"%s\", weights=\"%s\")\n"
             "x = array.array(\"f\", [i %% 7 / 8 for i in range(128)])\n"
             "y = m.forward(x)[\"logits\"]\n"
             "z = m.forward([[[list(x[s * 64 + r * 8:s * 64 + r * 8 + 8]) for r in range(8)]] for s in range(2)])[\"logits\"]\n"
             "flat = [float(v) for row in y for v in (row if hasattr(row, \"__len__\") else [row])]\n"
             "flat2 = [float(v) for row in z for v in (row if hasattr(row, \"__len__\") else [row])]\n"
             "m.tunables[\"scale\"] = 2\n"
             "twice = m.forward(x)[\"logits\"]\n"
             "first = float(twice[0][0] if hasattr(twice[0], \"__len__\") else twice[0])\n"
             "kept = len(m._prepared)\n"
             "view = m.parameter(\"logits.bias\")\n"
             "free = len(m._prepared)\n"
             "m.tunables[\"scale\"] = 1\n"
             "def one(): return float(numbers(m.forward(x)[\"logits\"])[0])\n"
             "def numbers(y): return [float(v) for row in y for v in (row if hasattr(row, \"__len__\") else [row])]\n"
             "before = one(); view[0] += 1; seen = one() - before\n"
             "m.hold(); one(); view[0] += 1; stale = one() - before; m.hold(); fresh = one() - before\n"
             "m.load(\"%s\"); loaded = one() == flat[0]\n"
             "print(kept, free, round(seen, 3), round(stale, 3), round(fresh, 3), loaded)\n"
             "try:\n"
             "    m.forward([1, 2, 3])\n"
             "    print(\"taken\")\n"
             "except csc.Error: pass\n"
             "print(len(flat), flat == flat2, first == 2 * flat[0], \"%%.9g %%.9g\" %% (flat[0], flat[19]))\n' 2>&1",
             CSC_SOURCE_DIR, TOY_LIBRARY, path, path);
    FILE *p = popen(command, "r");
    CHECK(p != NULL);
    char *got = fgets(line, sizeof line, p);
    CHECK_STR(line, "1 0 1.0 1.0 2.0 True\n"); /* a view that is written to while the promise holds is not seen */
    got = fgets(line, sizeof line, p);
    CHECK(pclose(p) == 0 && got);
    char want[200];
    snprintf(want, sizeof want, "20 True True %.9g %.9g\n", y[0][0], y[1][9]);
    CHECK_STR(line, want);
    csc_net_free(n);
    csc_context_free(cx);
    unlink(path);
    rmdir(folder);
}

int main(int argc, char **argv) {
    const Case cases[] = {T(python)};
    return run_tests(argc, argv, cases, 1);
}
