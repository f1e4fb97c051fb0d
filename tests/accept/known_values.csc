model m(n: int = 5, form: string = "b", scale: real = 2, list_of: list = [1, 2, 3]) {
    input x : real[4, 6, 6]
    let odd = [2 * i - 1 for i in 1..n]
    let down = n..1 by -2
    let all = odd + down
    let k = n // 2 + n % 2 + length(all) + odd[2] + list_of[3] + 2^3
    let r = form == "a" ? 1 : form == "b" ? scale : zero
    let flag = n > 3 && !(form == "a") || k >= 2 && form != "c"
    var y = x
    if flag { y = r * y } else { y = zero }
    for i in down { y = y + i }
    let nested = [[1, 2], [3, 4]]
    let part = y[[1, 3]] + y[1..2] + nested[2][1] + nested[2, 1]
    let one = y[1]
    let positive = y > 0 ? y : 0.1 * y
    let gate = (y > 0) * (y < 1)
    output a = sum(part) + mean(one, axis: 1)[1] + max(positive) + sum(gate)
    output b = [y ; y]
    output c = -y^2 + abs(y)^0.5 - (-1)^2
}
