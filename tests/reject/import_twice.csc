import "imported_helper.csc"
import "imported_helper.csc"
model m {
    input x : real[3]
    output y = x
}
