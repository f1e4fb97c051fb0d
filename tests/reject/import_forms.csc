import networks.
import 3
import std networks
model m {
    input x : real[3]
    output y = x
}
