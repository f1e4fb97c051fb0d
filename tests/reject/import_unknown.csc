# cscc check
import std.netwrks
import "missing.csc"
model m {
    input X : real[3]
    output y = X
}
