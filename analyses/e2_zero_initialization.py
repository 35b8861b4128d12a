# %% [markdown]
# # Can parameters start at zero?
# %%
from itertools import product

import numpy as np
import pandas as pd

import varprop as vp
from varprop.plots.breaking import gradients_by_step, units_by_step
from varprop.reporting.pages import publish
from varprop.training import symmetry, train
from varprop.training.ladders import gradient_ladder

CASES = {  # weights of the hidden layers, of the output layer, biases of all
    "W = 0, b = 0": ("zeros", "zeros", "zeros"),
    "W = 0, b random": ("zeros", "zeros", "standard_normal"),
    "W random, b = 0": ("glorot_normal", "glorot_normal", "zeros"),
    "W = 0.5, b = 0": ("constant(value=0.5)",) * 2 + ("zeros",),
    "W = 1, b = 0": ("ones", "ones", "zeros"),
    "only output W = 0": ("glorot_normal", "zeros", "zeros"),
}
PHIS, SMALL, DEEP = ("sigmoid", "softplus", "tanh", "relu"), "2-2-1", "2-6-5-4-1"
data = vp.gaussian(2, 60, seed=1)
labels = (data.array().sum(axis=0) + vp.gaussian(1, 60, seed=2).array()[0] > -0.6).astype(int)  # noisy, unbalanced
# %% Every shape, case, activation and step, with what the rules say beside what happens.
tables = []
for shape, case, phi in product((SMALL, DEEP), CASES, PHIS):
    hidden, output, biases = CASES[case]
    layers = [vp.Layer(int(n), phi, hidden, biases) for n in shape.split("-")[1:-1]]
    net = vp.Network(data, (*layers, vp.Layer(1, "linear", output, biases)), vp.Head("bce", labels))
    tables.append(symmetry(net, steps=6).assign(shape=shape, case=case, activation=phi))
steps = {shape: rows.drop(columns="shape") for shape, rows in pd.concat(tables).groupby("shape")}
# %% The textbook claim: with W = b = 0 the output weights move in the first batch.
claim = steps[SMALL].query("case == 'W = 0, b = 0' and step == 1 and layer == 2").reset_index(drop=True)
claim = claim[["activation", "weights_moved", "predicted_weights_moved"]]
claim.insert(1, "phi(0)", [float(vp.activation(phi)(np.zeros(1))[0]) for phi in PHIS])
fails = " and ".join(claim.activation[~claim.weights_moved])
claim["textbook"] = np.where(claim["weights_moved"], "holds", "fails")
# %% Convex models: the loss at the end of descent, from zeros and from ten random starts.
binary, rows = {"widths": 1, "input": data, "head": "bce", "targets": labels}, []
models = {"logistic": binary, "softmax": {"widths": 10, "input": vp.digits(100), "head": "softmax_ce"}}
for model, start in product(models, ("zeros", "standard_normal")):
    run = train(vp.mlp(weights=start, **models[model]), learning_rate=0.5, steps=4000, l2=0.1, seeds=10, record=[0])
    rows.append(run.history.query("step > 0").assign(model=model, start=start))
losses = pd.concat(rows)
spread = losses.groupby("model")["loss"].agg(np.ptp).max()
optima = losses.groupby(["model", "start"])["loss"].agg(lowest_loss="min", highest_loss="max").reset_index()
# %% One hidden layer of four sigmoid units: their weights as learning goes on.
rows, parts, hidden = [], ("from input 1", "from input 2", "bias"), binary | {"widths": [4, 1], "activation": "sigmoid"}
for start, step in product(("zeros", "glorot_normal"), (1, 2, 10, 100, 1000)):
    theta = train(vp.mlp(weights=start, **hidden), learning_rate=0.5, steps=step).parameters[0][0]
    rows += [(start, step, unit + 1, parts[i], value) for (unit, i), value in np.ndenumerate(theta)]
units = pd.DataFrame(rows, columns=["start", "step", "unit", "weight", "value"])
apart = units[units["start"] == "zeros"].groupby(["step", "weight"])["value"].agg(np.ptp).max()
# %%
text = f"""
# Can parameters start at zero?
*Which zeros can gradient descent leave?*
**A regression may start at zero: all starts end within {spread:.0e} of the same loss. In a network with hidden layers
units that start alike stay alike; with {fails} not even the output weights ever leave zero.**
![Bars: incoming weights of four hidden units at five steps, from zeros and from random values](units)
From zeros the four units stay copies of one another (largest difference {apart:.0e}); from random values they do not.
![Panels, case by activation: which of four layers have a gradient at each of six steps](deep)
Staircases wake one layer a step; where only the top line is light, nothing but the output bias ever moves.
[cases_deep] Shape {DEEP}: layers whose weights have a gradient that is not exactly zero (b: only the biases), step by
step; rank and distinct units, layer by layer, after step 6; the theory's verdict over all steps.
[cases] The same for the classic shape {SMALL}.
## A textbook claim, and where it fails
“With W = b = 0 the output weights move in the first batch.” Their gradient is the mean of (p − y) phi(0), because every
hidden unit gives phi(0). So it holds where phi(0) ≠ 0 and fails where phi(0) = 0: then nothing below ever gets a
gradient either, and only the output bias moves; with balanced classes not even that.
[claim] Output weights of {SMALL} after step 1 from all zeros: what happened, what the rules say, and the claim.
[optima] Regression: inputs that differ break the tie. Loss after descent with l2 = 0.1, over ten seeds of each start.
"""
cases, cases_deep = (gradient_ladder(steps[shape], ["case", "activation"]) for shape in (SMALL, DEEP))
deep = (lambda: gradients_by_step(steps[DEEP]), steps[DEEP])
tables = {"cases": cases, "cases_deep": cases_deep, "claim": claim, "optima": optima}
publish("e2_zero_initialization", text, units=(lambda: units_by_step(units), units), deep=deep, **tables)
