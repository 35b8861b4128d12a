"""What a kind of initializer preserves and which activations it is meant for, in words, for tables."""

from __future__ import annotations

ALIKE = {"preserves": "equality of the units: they never come to differ", "suits": "biases, scales"}
FIXED = {"preserves": "nothing: the effect grows with the width", "suits": "the width it was tuned for"}
DIAGONAL = {"preserves": "the input itself, where layers are square", "suits": "linear, relu (recurrent)"}
LENGTHS = {
    "preserves": "every length: forward if the matrix is tall, backward if wide, both if square",
    "suits": "linear, tanh; relu with gain √2",
}
THIRD = {"preserves": "a third of the second moment, layer by layer", "suits": "tanh, where shallow"}
SCALING = {"preserves": "what scale and mode are chosen for", "suits": "any, by its scale"}
LECUN = {"preserves": "the forward second moment where phi(z) ≈ z", "suits": "tanh, selu, linear"}
GLOROT = {
    "preserves": "forward and gradient second moments, the average of both, where phi(z) ≈ z",
    "suits": "tanh, softsign, linear",
}
HE = {
    "preserves": "the second moment of (leaky) relu, forward with fan_in, backward with fan_out",
    "suits": "relu, leaky_relu",
}
