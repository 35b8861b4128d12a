"""What an initializer does to a neural network before training: variance propagation, predicted and sampled.

>>> import varprop as vp
>>> network = vp.mlp([1], output_activation="sigmoid", weights="standard_normal",
...                  biases="standard_normal", input=vp.half_on(1000))
>>> table = vp.predict(network).set_index("quantity")
>>> float(table.value["preactivation_variance"])
501.0

Notation, in code, tables and documentation alike:

=================  ===================================================================================
``n_0 … n_L``      widths: the input's, then the weight layers'; layers count from 1
``z = W h + b``    pre-activations, W of shape (n_l, n_{l-1}) = (fan_out, fan_in)
``h = phi(z)``     activations; the last layer is linear unless ``output_activation`` says otherwise
``q``              E z², second moment of the pre-activations of a layer
``sigma_w²``       fan_in · Var W, ``sigma_b²`` = Var b
``F(q)``           length map, sigma_b² + sigma_w² E phi(z)²; fixed point ``q*``, slope ``F'``
``chi_1``          sigma_w² E phi'(z)², growth of the mean-square gradient a layer, output to input
``C(c), c*``       correlation map of two inputs and its fixed point; depth scales ``xi_q``, ``xi_c``
``delta``          dL/dz, gradient at the pre-activations
``B``              number of inputs (the batch); ``draws``: number of independent networks
=================  ===================================================================================

The house, as data flows: `spec` (networks and studies as frozen data) → `analytic` | `montecarlo`
(two engines, one tidy table each) → `comparison` (one verdict rule) → `plots`, `reporting`. `pipeline` joins
them; `cli` is the command line. `activations`, `initializers` and `moments` are the ground floor, `training`
and `adapters` lead to learning and to real models.

Names are imported on first use, so ``import varprop`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "varprop._validation": ("InputError",),
    "varprop.activations": ("Activation", "activation"),
    "varprop.initializers": ("Initializer", "initializer"),
    "varprop.spec": (
        "Head",
        "Input",
        "Layer",
        "Network",
        "Study",
        "constant",
        "data",
        "default_study",
        "digits",
        "gaussian",
        "half_on",
        "images",
        "mlp",
        "mlp_mixer",
        "read_study",
        "resnet",
        "tokens",
        "transformer",
        "write_study",
    ),
    "varprop.analytic.design": ("design_effects",),
    "varprop.analytic.spread": ("gradient_ratio", "width_for_spread", "width_spread"),
    "varprop.analytic.mean_field.criticality": ("fixed_points",),
    "varprop.analytic.mean_field.curves": ("correlation_curve", "length_curve", "spectral_density"),
    "varprop.analytic.mean_field.edge": ("edge_of_chaos",),
    "varprop.analytic.mean_field.gains": ("gain",),
    "varprop.analytic.mean_field.jacobian": ("jacobian_spectrum",),
    "varprop.analytic.mean_field.phase": ("phase_diagram",),
    "varprop.analytic.mean_field.solver": ("solve",),
    "varprop.montecarlo.spectra": ("measure_spectrum",),
    "varprop.training": ("Training", "circles", "moons", "spirals", "split", "symmetry", "train"),
    "varprop.comparison": ("draws_to_settle",),
    "varprop.auditing": ("assert_healthy", "audit", "audit_arrays"),
    "varprop.diagnosis": ("diagnose", "diagnose_one", "suggest"),
    "varprop.pipeline": ("compare", "examine", "load", "predict", "report", "simulate"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
_MODULE_OF["ops"] = "varprop.ops"

__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'varprop' has no attribute {name!r}")
    home = importlib.import_module(_MODULE_OF[name])
    value = home if home.__name__ == f"varprop.{name}" else getattr(home, name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
