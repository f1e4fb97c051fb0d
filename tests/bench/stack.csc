# Convolutions one after the other, for tests/bench/run: what a library of primitives can show.
model stack(layers: int = 6, width: int = 64, size: int = 28) {
    input X : real[width, size, size]
    var x = X
    for i in 1..layers {
        let h = conv2d(x, width)
        x = relu(h)
    }
    output x
}
