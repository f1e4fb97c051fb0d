# require: conditions that hold are nothing; what may be a tensor is asked for only when it is known
# param w
layer scaled(x, how: string = "half", gain = 0.5, most = 3) {
    require(how == "half" || how == "twice", "how: is \"half\" or \"twice\"")
    require(!known(gain) || gain > 0, "gain: is above 0")
    require(!known([gain, most]) || gain < most, "gain: is below most:")
    if how == "twice" {
        require(height(x) % 2 == 0, "the height is to be even")
        return 2 * gain * x
    }
    return x * gain
}
model requires(form: string = "twice") {
    input X : real[2, 6, 6]
    param w : real = 0.5
    require(form != "", "form says how")
    var y = X
    for i in 1..2 {
        require(i < 3, "two turns")
        y = scaled(y, how: form, gain: w)
    }
    repeat 3 {
        require(size(y) == 72, "the size stays")
        y = scaled(y, gain: 0.5)
    }
    output out = known([1, 2.5, "a", true]) && !known(w) && !known(conv) && !known([X]) ? y : zero
}
