import std.networks
import "imported_parts.csc"

model m {
    input X : real[3, 16, 16]
    output logits = resnet_body(part(X), [1, 1], 10, width: 8)
}
