# %% [markdown]
# # Zeros, large random values, He: two circles
# The classic three-layer network [2, 10, 5, 1], full-batch descent, 15,000 iterations, 60 seeds each.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import varprop as vp
from varprop.plots.learning import decision_regions, learning_curves
from varprop.reporting.pages import publish
from varprop.training import circles, train

STARTS = {"zeros": "zeros", "large random": "normal(std=10)", "He": "he_normal"}
LN2, STEPS, GOAL = float(np.log(2)), 15_000, 0.95
data, test = circles(300, noise=0.05, factor=0.8, seed=1), circles(100, noise=0.05, factor=0.8, seed=2)

# %% Sixty seeds (two for zeros, which has no randomness) of each start.
runs = {}
for start, weights in STARTS.items():
    network = vp.mlp([10, 5, 1], "relu", weights, input=data, head="bce")
    how = {"learning_rate": 0.01, "steps": STEPS, "record": 1000, "dtype": "float32"}
    runs[start] = train(network, test=test, seeds=2 if start == "zeros" else 60, **how)
history = pd.concat([run.history.assign(start=start) for start, run in runs.items()]).drop(
    columns=["epoch", "order_seed"]
)
away_from_ln2 = (history[history["start"] == "zeros"]["loss"] - LN2).abs().max()

# %% One line a start, and the He runs that failed.
final = history.query("step == @STEPS").pivot(index=["start", "seed"], columns="split", values=["loss", "accuracy"])
final.columns = ["_".join(names) for names in final.columns]
begun = history.query("split == 'train' and step == 0").groupby("start")
summary = final.groupby("start").median()
summary["first_loss"] = begun["loss"].median()
summary["naive_loss_infinite"] = begun["naive_loss_infinite"].mean()
summary["runs_reaching_95"] = (final["accuracy_train"] >= GOAL).groupby("start").mean()
he, large = summary.loc["He"], summary.loc["large random"]
missed = final.loc["He"].query("accuracy_train < @GOAL").reset_index()

axis = np.linspace(-1.6, 1.6, 121)
grid = np.stack([m.ravel() for m in np.meshgrid(axis, axis)])
logits = {start: run.decision(grid)[0, 0] for start, run in runs.items()}


def boundaries():
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.3), layout="constrained")
    for ax, (start, z) in zip(axes, logits.items(), strict=True):
        decision_regions(z, axis, data.array(), data.labels, ax).set_title(start)
    return figure


# %%
text = f"""
# Zeros, large random values, He
*Does the start decide whether a network learns?*
**Zeros never leave ln 2 (by at most {away_from_ln2:.0e}) and guess; large random values start at a loss of
{large.first_loss:.0f} and end at {large.loss_train:.2f}; He reaches {GOAL:.0%} training accuracy from
{he.runs_reaching_95:.0%} of the starts.**
![Training loss by iteration for three starts, median and 10 to 90 % band](costs)
Zeros stays on the dotted line, ln 2; He falls; large values start far above it and stop where they happen to be.
![Decision regions of one network per start over the two circles](boundaries)
Zeros says one class everywhere; He draws a ring; large values cut the plane at random.
[summary] Medians over seeds. Large weights put the sigmoid at 0 or 1: log(0), computed as textbooks write it, would be
infinite in single precision for {large.naive_loss_infinite:.0%} of the examples; here the loss comes from the logit.
## Those that failed
[he_failures] He starts that stayed below {GOAL:.0%}: they are the subject of e6_many_starts.
"""
costs = (lambda: learning_curves(history, reference=LN2).figure, history)
regions = (boundaries, pd.DataFrame({"x": grid[0], "y": grid[1], **logits}).iloc[::7])
publish("e5_zeros_random_he", text, costs=costs, boundaries=regions, summary=summary.reset_index(), he_failures=missed)
