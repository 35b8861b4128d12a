# %% [markdown]
# # Every initializer by name
# One table with all of Keras', PyTorch's and the literature's, checked against samples and the frameworks' own.

# %%
import numpy as np
import pandas as pd

import varprop as vp
from varprop.initializers import registry, table
from varprop.reporting.pages import Page

FAN_IN, FAN_OUT = 128, 64
PHIS = ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus")
SCHEMES = ("lecun_normal", "glorot_normal", "he_normal", "torch.linear_default", "standard_normal", "normal(std=0.01)")
# %% The laws, and 20 sampled matrices of each. The pooled entries give mean and variance.
names = table(FAN_IN, FAN_OUT)


def sampled(name):
    rng = np.random.default_rng(7)
    return np.stack([vp.initializer(name).sample((FAN_OUT, FAN_IN), rng=rng) for _ in range(20)])


draws = {name: sampled(name) for name in names["initializer"]}
names["sampled_mean"] = [draws[n].mean() for n in names["initializer"]]
names["sampled_variance"] = [draws[n].var() for n in names["initializer"]]
# %% What each scheme does in one layer of width 256, from second moment 1: the gain of the signal.
rows = []
for scheme in SCHEMES:
    variance = 256 * vp.initializer(scheme).variance(256, 256)
    for phi in PHIS:
        m = vp.activation(phi).moments(1.0, fields=("second_moment", "derivative_second_moment"))
        rows.append((scheme, phi, variance * float(m.second_moment), variance * float(m.derivative_second_moment)))
gains = pd.DataFrame(rows, columns=["initializer", "activation", "signal", "gradient"])


def heatmap():
    import matplotlib.pyplot as plt
    import seaborn as sns

    figure, axes = plt.subplots(1, 2, figsize=(10.5, 3.6), sharey=True, layout="constrained")
    for ax, way in zip(axes, ("signal", "gradient"), strict=True):
        grid = gains.pivot(index="initializer", columns="activation", values=way).loc[list(SCHEMES), list(PHIS)]
        text = grid.map(lambda v: f"{v:.0f}" if v >= 10 else f"{v:.2g}")
        ends = {"vmin": -1, "vmax": 1, "cmap": "PuOr_r", "cbar": way == "gradient"}
        sns.heatmap(np.log10(grid), annot=text, fmt="", annot_kws={"size": 7}, ax=ax, **ends)
        ax.set(title=f"factor on the {way} a layer", xlabel="", ylabel="")
        ax.tick_params(axis="x", rotation=40)
    axes[1].collections[0].colorbar.set_label("log10 of the factor")
    return figure


# %%
page = Page("e7_every_initializer", "Every initializer by name", "What does each name mean, and what does it keep?")
page.answer = (
    f"{len(names)} names, {names.round(12).groupby(['family', 'variance']).ngroups} different laws: the same word "
    "can mean another variance in another framework, and no scheme suits every activation."
)
page.figure(
    "gain_per_layer",
    heatmap,
    sees="White cells keep their size: he_normal suits relu, lecun_normal linear and SELU; sigmoid loses its gradient "
    "under all of them but the largest.",
    alt="Two heatmaps, initializer by activation: the factor that signal and gradient gain in one layer",
    data=gains,
)
truncated = names[
    names["initializer"].isin(["keras.he_normal", "he_normal", "keras.truncated_normal", "torch.trunc_normal_"])
]
page.say(
    "Truncated normals differ most: Keras' variance scaling divides by 0.8796 so that the variance comes out as "
    "stated, its plain truncated normal does not, and PyTorch's bounds are absolute numbers, so that a small "
    "standard deviation is not truncated at all."
)
page.table("truncated", truncated[["initializer", "family", "std", "variance", "excess_kurtosis", "sampled_variance"]])
page.head(f"All names, for fan_in {FAN_IN} and fan_out {FAN_OUT}")
page.table("initializers", names, note=f"{len(registry)} spellings, aliases included, lead to these laws.")
page.write()
