# parts for own.csc
function clamp(x, lo, hi) = min(max(x, lo), hi)
layer gated(x) { param gate : real[channels(x)] = 1; return x * sigmoid(gate) }
dictionary bank(c: int, w: int) { param F : real[w, c, 3, 3] = he_normal; return conv(F, pad: same)' }
