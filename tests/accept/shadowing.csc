# names of the library, of definitions and of outer blocks may be used again
function relu(x) = 2 * x
function sum_of(sum) = sum + 1
model m(soft: int = 2) {
    input x : real[3]
    let max = relu(x) * soft
    var fista = max
    for i in 1..2 {
        let max = fista + i
        fista = max
        for i in 1..2 { fista = fista + i }
    }
    let codes = [x * i for i in 1..3]
    output sgd = fista + sum_of(x) + codes[2]
}
