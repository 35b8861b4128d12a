# %% [markdown]
# # Zeros, large random values, He: two circles
# The classic three-layer network [2, 10, 5, 1], full-batch descent, 15,000 iterations, 60 seeds each.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import varprop as vp
from varprop.plots.learning import decision_regions, learning_curves
from varprop.reporting.pages import Page
from varprop.training import circles, train

INITIALIZERS = {"zeros": "zeros", "large random": "normal(std=10)", "He": "he_normal"}
LN2, STEPS = float(np.log(2)), 15_000
data, test = circles(300, noise=0.05, factor=0.8, seed=1), circles(100, noise=0.05, factor=0.8, seed=2)

# %% Sixty seeds (two for zeros, which has no randomness) of each start.
runs = {}
for name, weights in INITIALIZERS.items():
    network = vp.mlp([10, 5, 1], "relu", weights, input=data, head="bce")
    runs[name] = train(
        network, test=test, learning_rate=0.01, steps=STEPS, seeds=2 if name == "zeros" else 60, record=1000
    )
history = pd.concat([r.history.assign(start=name) for name, r in runs.items()])
first = history.query("split == 'train' and step == 0").groupby("start", sort=False)
final = history.query(f"step == {STEPS}").pivot(index=["start", "seed"], columns="split", values=["loss", "accuracy"])
final.columns = ["_".join(c) for c in final.columns]
summary = (
    final.groupby("start", sort=False)
    .median()
    .join(
        pd.DataFrame(
            {
                "first_loss": first["loss"].median(),
                "naive_loss_infinite": first["naive_loss_infinite"].mean(),
                "seeds_reaching_95": (final["accuracy_train"] >= 0.95).groupby("start").mean(),
            }
        )
    )
)


axis = np.linspace(-1.6, 1.6, 121)
grid = np.stack([m.ravel() for m in np.meshgrid(axis, axis)])
decisions = {name: r.decision(grid)[0, 0] for name, r in runs.items()}


def costs():
    return learning_curves(history, reference=LN2).figure


def boundaries():
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.3), layout="constrained")
    for ax, (name, z) in zip(axes, decisions.items(), strict=True):
        decision_regions(z, axis, data.array(), data.labels, ax).set_title(name)
    return figure


# %%
page = Page("e5_zeros_random_he", "Zeros, large random values, He", "Does the start decide whether a network learns?")
he, zero, large = (summary.loc[n] for n in ("He", "zeros", "large random"))
page.answer = (
    f"Zeros stay at ln 2 and guess; large values start at a loss of {large.first_loss:.1f} and end at "
    f"{large.loss_train:.2f}; He reaches 95 % training accuracy from {he.seeds_reaching_95:.0%} of the starts."
)
page.figure(
    "costs",
    costs,
    sees="Zeros never leaves ln 2 (dotted); He falls; large values start far above it.",
    alt="Training loss by iteration for three starts, median and 10 to 90 % band",
    data=history,
)
table = pd.DataFrame({"x": grid[0], "y": grid[1], **decisions}).iloc[::7]
page.figure(
    "boundaries",
    boundaries,
    sees="Zeros predicts one class everywhere; He draws a ring.",
    alt="Decision regions of one network per start over the two circles",
    data=table,
)
page.table(
    "summary",
    summary.reset_index(),
    note="Medians over seeds. The textbook log(0) would have been "
    f"infinite for {large.naive_loss_infinite:.0%} of the examples at the large start.",
)
missed = final.loc["He"].query("accuracy_train < 0.95").reset_index()
page.head("Those that failed")
page.table("he_failures", missed, note="He starts that stayed below 95 %: the subject of e6_many_starts.")
page.write()
