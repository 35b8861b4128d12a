"""One dense layer: z = W h + b, then the activation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from varprop._validation import InputError, check_real
from varprop.activations import Activation, activation
from varprop.initializers import Initializer, Law, bias_of, initializer
from varprop.spec._gains import with_gain
from varprop.spec.graph import Builder
from varprop.spec.ops import Activate, Dense
from varprop.spec.widths import check_width


@dataclass(frozen=True, init=False)
class Layer:
    """A dense layer, weights of shape (fan_out, fan_in).

    Engines ask the layer for laws and samples, never the initializer, so that `gain` counts everywhere.

    Parameters
    ----------
    width : int
        Number of units, its fan_out.
    activation : str, Activation or callable
        A spelling such as ``"leaky_relu(slope=0.2)"``, or an activation.
    weights, biases : str, Initializer or a law of your own
        Spellings such as ``"he_normal"``, or what else `varprop.initializer` takes, for instance
        ``scipy.stats.t(5, scale=0.1)``. Without `biases`, weights that name a whole layer
        (``torch.linear_default``) bring their bias law; the others have zero biases.
    gain : float
        Factor on every weight, more than 0; it leaves the biases alone.

    Raises
    ------
    InputError
        A width that is no whole number of at least 1, unknown names (with the close match), a bad gain.

    Examples
    --------
    >>> layer = Layer(500, "relu", "he_normal", gain=2.0)
    >>> layer.weight_law(fan_in=100, fan_out=500).variance
    0.08
    """

    width: int
    activation: Activation
    weights: Initializer
    biases: Initializer
    gain: float

    def __init__(
        self,
        width: int,
        activation: str | Activation | Callable[[Any], Any] = "linear",
        weights: Any = "glorot_normal",
        biases: Any = None,
        gain: float = 1.0,
    ) -> None:
        own_weights = initializer(weights, "weights")
        own_biases = initializer(biases, "biases") if biases is not None else bias_of(own_weights)
        fields = {
            "width": check_width("width", width),
            "activation": _activation(activation),
            "weights": own_weights,
            "biases": own_biases if own_biases is not None else initializer("zeros", field="biases"),
            "gain": check_real("gain", gain, minimum=0.0, maximum=1e6, exclusive=True),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def weight_law(self, fan_in: int, fan_out: int) -> Law:
        """Return the law of one weight, the gain included."""
        return with_gain(self.weights.law(fan_in, fan_out), self.gain)

    def bias_law(self, fan_in: int, fan_out: int) -> Law:
        """Return the law of one bias."""
        return self.biases.law(fan_in, fan_out)

    def sample_weights(
        self,
        fan_in: int,
        fan_out: int,
        *,
        rng: np.random.Generator,
        draws: int | None = None,
        dtype: Any = np.float64,
    ) -> np.ndarray:
        """Return weights of shape (fan_out, fan_in), or (draws, fan_out, fan_in), the gain included."""
        shape = (fan_out, fan_in) if draws is None else (draws, fan_out, fan_in)
        weights = self.weights.sample(shape, rng=rng, fan_in=fan_in, fan_out=fan_out, dtype=dtype)
        if self.gain != 1.0:
            weights *= weights.dtype.type(self.gain)
        return weights

    def sample_biases(
        self,
        fan_in: int,
        fan_out: int,
        *,
        rng: np.random.Generator,
        draws: int | None = None,
        dtype: Any = np.float64,
    ) -> np.ndarray:
        """Return biases of shape (fan_out,), or (draws, fan_out)."""
        shape = (fan_out,) if draws is None else (draws, fan_out)
        return self.biases.sample(shape, rng=rng, fan_in=fan_in, fan_out=fan_out, dtype=dtype)

    @property
    def title(self) -> str:
        """Always "layer"."""
        return "layer"

    def build(self, graph: Builder, source: int, name: str) -> int:
        """Add a dense node and, unless the layer is linear, its activation."""
        end = graph.add(Dense(self.width, self.weights, self.biases, self.gain), [source], name)
        if self.activation.name == "linear":
            return end
        return graph.add(Activate(self.activation), [end], f"{name}.{self.activation.name}")

    def content(self) -> dict[str, Any]:
        """Return the layer as plain data, for digests: what has no registered name, by what it does.

        Raises
        ------
        InputError
            If an activation or initializer of the user's own cannot be told apart from others.
        """
        plain = {
            "width": self.width,
            "activation": self.activation.name,
            "weights": self.weights.name,
            "biases": self.biases.name,
            "gain": self.gain,
        }
        for name in ("activation", "weights", "biases"):
            origin = getattr(self, name).origin
            if origin is not None:
                plain[f"{name}_code"] = origin.digest()
        return plain


def _activation(given: Any) -> Activation:
    if not (isinstance(given, str | Activation) or callable(given)):
        raise InputError("activation", given, "a name, an Activation or a function")
    return activation(given)
