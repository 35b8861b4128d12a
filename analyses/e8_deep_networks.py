# %% [markdown]
# # Deep networks: two ways to fail, and how far a single draw can be trusted
# Theory lines with Monte-Carlo bands to depth 200, the tanh case that looks stable and is not, and the edge of chaos.

# %%
import numpy as np
import pandas as pd

import varprop as vp
from varprop.plots.depth import by_depth
from varprop.plots.theory import correlation_map, length_map, phase_map
from varprop.reporting.pages import Page


def net(scale, phi, width, depth, name):
    weights = f"variance_scaling(scale={scale}, mode=fan_in, distribution=normal)"
    return vp.mlp(
        f"{width}x{depth}", phi, weights, input=vp.gaussian(width, 1, seed=1), output_activation=phi, name=name
    )


NETWORKS = [
    net(1.0, "tanh", 256, 100, "tanh, sigma_w² = 1 (edge of chaos)"),
    net(3.58, "tanh", 256, 100, "tanh, sigma_w² = 3.58 (q constant)"),
    net(2.0, "relu", 256, 100, "relu, sigma_w² = 2 (He)"),
    net(2.0, "relu", 4096, 200, "relu, He, width 4096, depth 200"),
    net(0.33, "relu", 256, 100, "relu, sigma_w² = 1/3 (framework default)"),
]

# %% Theory, 400 draws of each, and the verdicts.
predicted = vp.predict(NETWORKS)
simulated = vp.simulate(NETWORKS, draws=400, seed=8)
compared = vp.compare(predicted, simulated)
QUANTITIES = {"preactivation_second_moment": "signal, forward", "gradient_preactivation": "gradient, backward"}


def depths():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4.2), layout="constrained")
    for ax, (quantity, title) in zip(axes, QUANTITIES.items(), strict=True):
        by_depth(predicted, simulated, quantity=quantity, ax=ax, legend=quantity == "gradient_preactivation")
        ax.set_title(title)
    return figure


diagram = vp.phase_diagram("tanh", np.linspace(0.5, 4, 80), np.linspace(0, 1, 60))
cobweb, correlation = vp.length_curve("tanh", 3.58, start=0.2), vp.correlation_curve("tanh", 2.5, 0.05)


def maps():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    length_map(cobweb, axes[0]).set_title("length map, tanh, sigma_w² = 3.58")
    correlation_map(correlation, axes[1]).set_title("correlation map, tanh, (2.5, 0.05)")
    phase_map(diagram, axes[2])
    return figure


# %% The gradient's first-to-last ratio of the deceptive case.
rows = compared[compared["quantity"].isin(QUANTITIES)]
ends = rows[rows.groupby("case")["layer"].transform(lambda s: s.isin([s.min(), s.max()]))]
log = predicted[predicted["quantity"] == "gradient_preactivation"].pivot(
    index="case", columns="layer", values="log_value"
)
growth = float(log.loc[NETWORKS[1].case, 1] - log.loc[NETWORKS[1].case, 100])

# %%
page = Page("e8_deep_networks", "Deep networks", "What survives a hundred layers, forward and backward?")
page.answer = (
    f"tanh at sigma_w² = 3.58 holds its signal for ever while the mean-square gradient grows by e^{growth:.1f} over 99 "
    "layers: a verdict that looks forward only is wrong."
)
page.figure(
    "by_depth",
    depths,
    sees="Level on the left and steep on the right: stable forward, exploding backward.",
    alt="Second moment and gradient by layer, theory lines with Monte-Carlo marks",
    data=rows,
)
page.figure(
    "maps",
    maps,
    sees="The map crosses the diagonal where q settles; the bright ridge is the edge of chaos.",
    alt="Length map with cobweb, correlation map, phase diagram of tanh",
    data=diagram,
)
columns = ["case", "layer", "quantity", "predicted", "measured", "std_error", "order", "verdict", "reason"]
page.table("ends", ends[columns], note="First and last layers: theory, 400 draws, and the verdict.")
page.table("verdicts", pd.crosstab(compared["case"], compared["verdict"]).reset_index())
page.write()
