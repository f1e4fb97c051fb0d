"""Tables of docs/benchmarks.md from the rows of compare.py: report.py RESULTS MACHINE COMMIT [CURVES]; CURVES gets the picture's numbers."""
import json, sys

rows = {}
for line in open(sys.argv[1]):
    r = json.loads(line)
    rows[(r["group"], r["name"], r.get("batch"), r["threads"])] = r  # measured again: the later
rows = list(rows.values())
groups = [("training", "Training steps"), ("inference", "Inference"), ("lasso", "Lassos and primitives"), ("solve", "Solved to an accuracy")]


def memory(r):
    if r.get("memory") is None:
        return "|"
    if not r.get("their_memory"):
        return "%.0f MB |" % r["memory"]
    at = ", batch %d" % r["memory_batch"] if r.get("memory_batch") else ""
    return "%.0f MB, %.0f MB%s | 1/%.1f" % (r["memory"], r["their_memory"], at, r["their_memory"] / max(r["memory"], 0.1))


def rate(v):
    return "%.0f" % v if v >= 100 else "%.3g" % v


def table(group):
    mine = [r for r in rows if r["group"] == group and "ratio" in r]
    if not mine:
        return
    print("| %s | batch | threads | ours, samples/s | theirs | their way | ratio | middle half, pairs | needed / aim, met | peak, our share | memory, ours and theirs | |" %
          {"training": "training step"}.get(group, group))
    print("| --- " * 12 + "|")
    for r in mine:
        needed = "" if not r.get("needed") else "%g / %g %s" % (*r["needed"], "aim" if r["ratio"] >= r["needed"][1] else "yes" if r["ratio"] >= r["needed"][0] else "**no**")
        share = "%.0f, %.0f %%" % (r["peak"], 100 * r["share"]) if r.get("share") else ""
        print("| %s | %s | %d | %s | %s | %s | **%.2f** | %.2f-%.2f, %d | %s | %s | %s |" % (
            r["name"], r.get("batch", 1), r["threads"], rate(r["ours"]), rate(r["theirs"]), r["peer"], r["ratio"], r["lo"], r["hi"], r["pairs"], needed, share, memory(r)))
    print()


print("# Benchmarks\n")
print("""Written by `sh tests/bench/run` at commit %s: %s, float32. Ours and the peer run in turn, pinned, with the same number of threads; the ratio is
theirs over ours of each pair, its median and where the middle half of the pairs lies; times are processor time at one thread, passed time at two.
The peer is the best of its ways (eager, channels last; oneDNN's own tensors for a row of convolutions; `torch.compile` where it was asked for), with an
allocator that keeps its memory. The peak is that of multiply-adds, of one thread or of two processes at the same time, measured between the pairs; our share counts the operations of
the convolutions and products as written, of which Winograd's form needs fewer. Memory: growth of resident memory from before the model is loaded to the end of the third step, less
parameters and gradients; there is no optimiser on either side. Ours runs from the library. Two threads over one thread of ours: below.

Before a row is measured both are compared with the peer in float64: loss within 1e-4, and gradients (outputs) as near to it as 0.01 (one ReLU at its kink behind batch normalisation over 8 samples makes up to that), or five times what the
peer's own float32 is away, since a threshold may cut a rounded value differently (below: how far each is); where one batch
is farther away, two of three must not be.
""" % (sys.argv[3], sys.argv[2]))
if len(sys.argv) > 4:
    print("![Ratios at one thread (blue), two threads (orange) and what is needed (green), row by row](benchmarks.png)\n")
curves = []
for group, title in groups:
    if any(r["group"] == group and "ratio" in r for r in rows):
        print("## %s\n" % title)
        table(group)
one = {(r["group"], r["name"], r.get("batch")): r for r in rows if r["threads"] == 1 and "ratio" in r}
two = {(r["group"], r["name"], r.get("batch")): r for r in rows if r["threads"] == 2 and "ratio" in r and r["group"] != "compiler"}
both = [(k, two[k].get("over_one") or two[k]["ours"] / one[k]["ours"], two[k]["theirs"] / one[k]["theirs"]) for k in two if k in one]
if both:
    print("## Two threads over one\n\nNeeded 1.8, aim 1.95; ours is of calls in turn, theirs of the two tables' rows; the machine's is that of multiply-adds: two processes at once beside one, both by the time that passes.\n\n| row | batch | ours | theirs | the machine's |\n| --- | --- | --- | --- | --- |")
    for k, a, b in both:
        group, name, batch = k
        machine = "%.2f" % two[k]["scaling"] if two[k].get("scaling") else ""
        print("| %s%s | %s | %.2f | %.2f | %s |" % (name, ", inference" if group == "inference" else "", batch, a, b, machine))
    print()
compiler = [r for r in rows if r["group"] == "compiler"]
if compiler:
    print("## The compiler\n\nFrom a program's text to code that can be called, in a process of its own, on as many threads as there are cores; medians of 3 and 9.\n")
    print("| program | cold | needed | from the cache | needed | library | it needs |\n| --- | --- | --- | --- | --- | --- | --- |")
    for r in compiler:
        print("| %s | %.0f ms | %d | %.1f ms | %d | %.2f MB | %s |" % (r["name"], r["cold"], r["cold_needed"], r["warm"], r["warm_needed"], r["library"], ", ".join(r["needs"])))
    print()
away = [r for r in rows if r.get("check") and r["check"]["ours"] > 1e-4]
if away:
    print("## How far from float64\n\nLargest relative difference of a gradient (output), rows above 1e-4:\n\n| row | ours | the peer's float32 |\n| --- | --- | --- |")
    for r in away:
        draws = "" if r["check"].get("draws", 1) == 1 else ", the middle one of %d draws of samples" % r["check"]["draws"]
        print("| %s, batch %s, %s | %.2g%s | %.2g |" % (r["name"], r["batch"], r["group"], r["check"]["ours"], draws, r["check"]["theirs"]))
    print()
missing = [r for r in rows if r.get("missing")]
if missing:
    print("## Not measured\n")
    for r in missing:
        print("- %s, batch %s, %d thread%s: %s" % (r["name"], r.get("batch", 1), r["threads"], "s" if r["threads"] > 1 else "", r["missing"]))
if len(sys.argv) > 4:
    with open(sys.argv[4], "w") as f:
        at = [k for k in one if k[0] in ("training", "inference", "lasso")]
        for i, k in enumerate(at):
            f.write("%d %.3f %.3f %.3f\n" % (i + 1, one[k]["ratio"], two[k]["ratio"] if k in two else one[k]["ratio"], (one[k].get("needed") or [1])[0]))
