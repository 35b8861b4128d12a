"""The same measurement as its users write it elsewhere: NumPy loops, PyTorch modules, mapped JAX.

Every contender draws networks z = W h, h = tanh(z) (last layer linear, zero biases), sends a fresh N(0, 1)
cotangent back, and returns per layer the columns of `COLUMNS`, averaged over the draws, and the histogram
of the pre-activations. Mean squares of per-example weight gradients are taken from |delta_b|² |h_b|² by all of
them, because a per-example outer product would only make the peers slower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

COLUMNS = (
    "preactivation_mean",
    "preactivation_second_moment",
    "data_variance",
    "activation_mean",
    "activation_second_moment",
    "saturated_fraction",
    "derivative_second_moment",
    "gradient_preactivation",
    "gradient_weight",
    "gradient_bias",
    "gradient_input",
    "gradient_weight_batch",
    "correlation",
)
EDGES = np.linspace(-5.0, 5.0, 101)
SATURATED = math.atanh(math.sqrt(1.0 - 0.0396))  # |tanh'(z)| <= 0.0396 beyond this


Measured = tuple[np.ndarray, np.ndarray]
"""Averages (layer, column) and histogram counts (layer, bin)."""


@dataclass(frozen=True)
class Workload:
    """Widths n_0..n_L, an input of shape (n_0, B), a weight law with fan_in · variance = 1."""

    widths: tuple[int, ...]
    x: np.ndarray
    law: str = "normal"

    @property
    def batch(self) -> int:
        return self.x.shape[1]

    @classmethod
    def of(cls, width: int = 1000, depth: int = 20, batch: int = 1, law: str = "normal") -> Workload:
        """Half of the inputs on for one example, standard normal inputs for more."""
        if batch == 1:
            x = np.zeros((width, 1))
            x[: width // 2] = 1.0
        else:
            x = np.random.default_rng(0).standard_normal((width, batch))
        return cls((width,) * (depth + 1), x, law)


def numpy_plain(work: Workload, draws: int, seed: int = 0) -> Measured:
    """Plain NumPy: double precision, default generator, the weight gradient as an outer product."""
    rng = np.random.default_rng(seed)
    depth, batch = len(work.widths) - 1, work.batch
    sums = np.zeros((depth, len(COLUMNS) - 1))
    grams = np.zeros((depth, batch, batch))
    counts = np.zeros((depth, EDGES.size - 1))
    for _ in range(draws):
        weights = [
            _numpy_weights(rng, work.law, m, n) for n, m in zip(work.widths, work.widths[1:], strict=False)
        ]
        inputs, zs, h = [], [], work.x
        for layer, w in enumerate(weights):
            inputs.append(h)
            z = w @ h
            zs.append(z)
            h = np.tanh(z) if layer < depth - 1 else z
        back = rng.standard_normal(zs[-1].shape)
        for layer in reversed(range(depth)):
            z, h, w = zs[layer], inputs[layer], weights[layer]
            last = layer == depth - 1
            a = z if last else np.tanh(z)
            slope = np.ones_like(z) if last else 1.0 - a**2
            delta = back * slope
            back = w.T @ delta
            gradient = delta @ h.T
            counts[layer] += np.histogram(z, EDGES)[0]
            grams[layer] += z.T @ z
            sums[layer] += (
                z.mean(),
                (z**2).mean(),
                z.var(axis=1, ddof=1).mean() if batch > 1 else 0.0,
                a.mean(),
                (a**2).mean(),
                0.0 if last else (np.abs(z) >= SATURATED).mean(),
                (slope**2).mean(),
                (delta**2).mean(),
                ((delta**2).sum(0) * (h**2).sum(0)).mean() / w.size,
                (delta**2).mean(),
                (back**2).mean(),
                (gradient**2).mean() / batch**2,
            )
    return _averages(sums, grams, draws), counts


def _averages(sums: np.ndarray, grams: np.ndarray, draws: int) -> np.ndarray:
    """Divide by the draws, and append the correlation: off-diagonal mean of the normalised Gram matrix."""
    norm = np.sqrt(np.diagonal(grams, axis1=1, axis2=2))
    cosines = grams / (norm[:, :, None] * norm[:, None, :])
    pairs = max(norm.shape[1] * (norm.shape[1] - 1), 1)
    correlation = (cosines.sum(axis=(1, 2)) - norm.shape[1]) / pairs
    return np.column_stack([sums / draws, correlation])


def _numpy_weights(rng: np.random.Generator, law: str, fan_out: int, fan_in: int) -> np.ndarray:
    if law == "uniform":
        bound = math.sqrt(3.0 / fan_in)
        return rng.uniform(-bound, bound, (fan_out, fan_in))
    if law == "truncated":
        from scipy.stats import truncnorm

        return truncnorm.rvs(
            -2.0, 2.0, scale=1.0 / math.sqrt(fan_in), size=(fan_out, fan_in), random_state=rng
        )
    if law == "orthogonal":
        size = max(fan_out, fan_in)
        q, r = np.linalg.qr(rng.standard_normal((size, size)))
        return (q * np.sign(np.diag(r)))[:fan_out, :fan_in]
    return rng.standard_normal((fan_out, fan_in)) / math.sqrt(fan_in)


def numpy_tuned(work: Workload, draws: int, seed: int = 0) -> Measured:
    """Tuned NumPy: single precision, fastest generator, no new large arrays, weight gradients from Grams."""
    rng = np.random.Generator(np.random.SFC64(seed))
    depth, batch, f4 = len(work.widths) - 1, work.batch, np.float32
    weights = [np.empty((m, n), f4) for n, m in zip(work.widths, work.widths[1:], strict=False)]
    scale = 100 / (EDGES[-1] - EDGES[0])
    x = work.x.astype(f4)
    sums = np.zeros((depth, len(COLUMNS) - 1))
    grams = np.zeros((depth, batch, batch))
    counts = np.zeros((depth, EDGES.size + 1), np.int64)
    for _ in range(draws):
        inputs, zs, h = [], [], x
        for layer, w in enumerate(weights):
            if work.law == "uniform":
                rng.random(out=w, dtype=f4)
                np.subtract(w, f4(0.5), out=w)
                gain = math.sqrt(12.0 / w.shape[1])
            else:
                rng.standard_normal(out=w, dtype=f4)
                gain = 1.0 / math.sqrt(w.shape[1])
            inputs.append(h)
            z = w @ h
            z *= f4(gain)
            zs.append(z)
            h = np.tanh(z) if layer < depth - 1 else z
        outputs = [*inputs[1:], h]
        back = rng.standard_normal(zs[-1].shape, dtype=f4)
        for layer in reversed(range(depth)):
            z, h, a, w = zs[layer], inputs[layer], outputs[layer], weights[layer]
            last = layer == depth - 1
            slope = np.ones_like(z) if last else 1 - a * a
            delta = back * slope
            gain = math.sqrt((12.0 if work.law == "uniform" else 1.0) / w.shape[1])
            back = w.T @ delta
            back *= f4(gain)
            bins = np.clip((z - f4(EDGES[0])) * f4(scale) + 1, 0, EDGES.size).astype(np.intp)
            counts[layer] += np.bincount(bins.ravel(), minlength=EDGES.size + 1)
            grams[layer] += z.T @ z
            size, norms = z.size, np.vecdot(delta.T, delta.T)
            gram_h = h.T @ h
            squares = float(np.vdot(z, z)) / size
            own = float(norms.sum()) / size
            sums[layer] += (
                z.mean(dtype=np.float64),
                squares,
                z.var(axis=1, ddof=1).mean() if batch > 1 else 0.0,
                a.mean(dtype=np.float64),
                float(np.vdot(a, a)) / size,
                0.0 if last else np.count_nonzero(np.abs(z) >= SATURATED) / size,
                float(np.vdot(slope, slope)) / size,
                own,
                float(norms @ np.diag(gram_h)) / batch / w.size,
                own,
                float(np.vdot(back, back)) / back.size,
                float(np.vdot(delta.T @ delta, gram_h)) / w.size / batch**2,
            )
    return _averages(sums, grams, draws), counts[:, 1:-1]


class TorchModel:
    """PyTorch as a practitioner writes it: a Sequential, `nn.init`, hooks that keep what autograd computes.

    The careful practitioner keeps one model and initialises it again for every draw. Many build a new one instead
    (`rebuilt`): `nn.Linear` then draws weights of its own first, and all memory is new, which takes about twice
    as long. The promises are measured against the careful one.
    """

    def __init__(self, work: Workload, rebuilt: bool = False) -> None:
        import torch

        self.work, self.torch, self.rebuilt = work, torch, rebuilt
        self._build()

    def _build(self) -> None:
        torch, nn, work = self.torch, self.torch.nn, self.work
        modules: list[nn.Module] = []
        for n, m in zip(work.widths, work.widths[1:], strict=False):
            modules += [nn.Linear(n, m, bias=True), nn.Tanh()]
        self.model = nn.Sequential(*modules[:-1])
        self.linears = [module for module in self.model if isinstance(module, nn.Linear)]
        self.x = torch.tensor(work.x.T.copy(), dtype=torch.float32, requires_grad=True)
        self.kept: dict[int, tuple] = {}
        for layer, linear in enumerate(self.linears):
            linear.register_forward_hook(self._keeper(layer))

    def _keeper(self, layer: int):
        def keep(module, inputs, output) -> None:
            (h,) = inputs
            if h.requires_grad and not h.is_leaf:
                h.retain_grad()
            output.retain_grad()
            self.kept[layer] = (h, output)

        return keep

    def reset(self) -> None:
        """Draw the weights of a new network."""
        init = self.torch.nn.init
        for linear in self.linears:
            std = 1.0 / math.sqrt(linear.in_features)
            if self.work.law == "uniform":
                init.uniform_(linear.weight, -math.sqrt(3.0) * std, math.sqrt(3.0) * std)
            elif self.work.law == "truncated":
                init.trunc_normal_(linear.weight, std=std, a=-2 * std, b=2 * std)
            elif self.work.law == "orthogonal":
                init.orthogonal_(linear.weight)
            else:
                init.normal_(linear.weight, std=std)
            init.zeros_(linear.bias)

    def run(self, draws: int, seed: int = 0) -> Measured:
        torch, batch = self.torch, self.work.batch
        torch.manual_seed(seed)
        depth = len(self.linears)
        sums = np.zeros((depth, len(COLUMNS) - 1))
        grams = torch.zeros(depth, batch, batch, dtype=torch.float64)
        counts = torch.zeros(depth, EDGES.size - 1)
        for _ in range(draws):
            if self.rebuilt:
                self._build()
            self.reset()
            self.model.zero_grad()
            self.x.grad = None
            output = self.model(self.x)
            output.backward(torch.randn_like(output))
            with torch.no_grad():
                for layer, linear in enumerate(self.linears):
                    h, z = self.kept[layer]
                    last = layer == depth - 1
                    a = z if last else self.kept[layer + 1][0]
                    slope = torch.ones_like(z) if last else 1 - a**2
                    delta = z.grad
                    counts[layer] += torch.histc(z, EDGES.size - 1, EDGES[0], EDGES[-1])
                    row = torch.stack(
                        [
                            z.mean(),
                            (z**2).mean(),
                            z.var(dim=0).mean() if batch > 1 else z.new_zeros(()),
                            a.mean(),
                            (a**2).mean(),
                            z.new_zeros(()) if last else (z.abs() >= SATURATED).float().mean(),
                            (slope**2).mean(),
                            (delta**2).mean(),
                            ((delta**2).sum(1) * (h**2).sum(1)).mean() / linear.weight.numel(),
                            (delta**2).mean(),
                            (h.grad**2).mean(),
                            (linear.weight.grad**2).mean() / batch**2,
                        ]
                    )
                    sums[layer] += row.double().numpy()
                    grams[layer] += z @ z.T
        return _averages(sums, grams.numpy(), draws), counts.numpy()


def jax_mapped(work: Workload):
    """JAX: one jitted function of a key, mapped over the draws; returns ``run(draws, seed)``.

    By `lax.map`, which holds one draw's weights at a time; `vmap` over draws needs the weights of all.
    """
    import jax
    import jax.numpy as jnp

    depth, batch = len(work.widths) - 1, work.batch
    x = jnp.asarray(work.x, jnp.float32)
    edges = jnp.asarray(EDGES, jnp.float32)

    def forward(weights, shifts):
        h, kept = x, []
        for layer, (w, shift) in enumerate(zip(weights, shifts, strict=True)):
            z = w @ h + shift
            kept.append((h, z))
            h = jnp.tanh(z) if layer < depth - 1 else z
        return h, kept

    def one(key):
        keys = jax.random.split(key, depth + 1)
        weights = [
            jax.random.normal(k, (m, n), jnp.float32) / math.sqrt(n)
            for k, n, m in zip(keys, work.widths, work.widths[1:], strict=False)
        ]
        shifts = [jnp.zeros((m, batch), jnp.float32) for m in work.widths[1:]]
        output, pull, kept = jax.vjp(lambda s: forward(weights, s), shifts, has_aux=True)
        (deltas,) = pull(jax.random.normal(keys[-1], output.shape, jnp.float32))
        rows, grams, counts = [], [], []
        for layer, ((h, z), delta, w) in enumerate(zip(kept, deltas, weights, strict=True)):
            last = layer == depth - 1
            a = z if last else jnp.tanh(z)
            slope = jnp.ones_like(z) if last else 1 - a**2
            own = (delta**2).mean()
            rows.append(
                jnp.stack(
                    [
                        z.mean(),
                        (z**2).mean(),
                        z.var(axis=1, ddof=1).mean() if batch > 1 else 0.0,
                        a.mean(),
                        (a**2).mean(),
                        0.0 if last else (jnp.abs(z) >= SATURATED).mean(),
                        (slope**2).mean(),
                        own,
                        ((delta**2).sum(0) * (h**2).sum(0)).mean() / w.size,
                        own,
                        ((w.T @ delta) ** 2).mean(),
                        ((delta.T @ delta) * (h.T @ h)).sum() / w.size / batch**2,
                    ]
                )
            )
            grams.append(z.T @ z)
            counts.append(jnp.histogram(z, edges)[0])
        return jnp.stack(rows), jnp.stack(grams), jnp.stack(counts)

    mapped = jax.jit(lambda keys: jax.lax.map(one, keys))

    def run(draws: int, seed: int = 0) -> Measured:
        rows, grams, counts = (np.asarray(a) for a in mapped(jax.random.split(jax.random.key(seed), draws)))
        return _averages(rows.sum(0, dtype=np.float64), grams.sum(0, dtype=np.float64), draws), counts.sum(0)

    return run
