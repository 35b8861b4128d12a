# %% [markdown]
# # Same data, different start: how often a run fails, and whether the start or the order of batches decides

# %%
from itertools import product

import numpy as np
import pandas as pd

import varprop as vp
from varprop.plots.learning import components, failure_bars, final_losses, side_by_side
from varprop.reporting.pages import publish
from varprop.training import circles, split, train
from varprop.training.outcomes import failure_rates, variance_sources

STARTS = {"He": "he_normal", "Glorot": "glorot_normal", "PyTorch": "torch.linear_default", "N(0, 1)": "standard_normal"}
SEEDS, GOAL = 200, 0.95
digits, held = split(vp.digits(1797), test=0.25)
rings = {"widths": [10, 5, 1], "input": circles(300, noise=0.05, factor=0.8, seed=1), "head": "bce"}
images = {"widths": [30, 10], "input": digits, "head": "softmax_ce"}
whole = {"learning_rate": 0.01, "steps": 15_000}
batches = {"learning_rate": 0.1, "epochs": 10, "batch_size": 32}


def ends(net, how, **names):
    run = train(vp.mlp(activation="relu", **net), record=[0], dtype="float32", **how)
    return run.history.query("step > 0").assign(**names)


# %% Two hundred runs of every initializer; a run fails that ends below 95 % training accuracy.
problems = {"circles": (rings, whole), "digits": (images, batches)}
final = pd.concat(
    ends(net | {"weights": STARTS[start]}, how | {"seeds": SEEDS}, problem=problem, start=start)
    for (problem, (net, how)), start in product(problems.items(), STARTS)
)[["problem", "start", "seed", "loss", "accuracy"]]
failures = failure_rates(final, ["problem", "start"], goal=GOAL)

# %% Every start with every order of the batches: whose is the variance of the log of the final loss?
he, big = {"weights": "he_normal"}, {"weights": "standard_normal"}
layout = {
    "circles, He": (rings | he, whole | {"batch_size": 30}, 16),
    "digits, He": (images | he, batches, 32),
    "digits, N(0, 1)": (images | big, batches, 32),
    "digits, no hidden layer": (images | big | {"widths": 10}, batches | {"epochs": 20, "l2": 0.1}, 32),
}
runs = (ends(n, how | {"seeds": k, "order_seeds": k}, model=m) for m, (n, how, k) in layout.items())
sources = variance_sources(pd.concat(runs), "model")
decided = sources.groupby("model", sort=False)["matters_more"].first()

# %% A convex model beside it: least squares from as many starts, and its closed form.
x, noise = vp.gaussian(5, 100, seed=1), vp.gaussian(1, 100, seed=2)
y = x.array().sum(axis=0) + noise.array()[0]
line = {"widths": 1, "input": x, "head": "mse", "targets": y}
convex = ends(line | big, {"learning_rate": 0.1, "steps": 2000, "seeds": SEEDS})["loss"]
closed = np.linalg.lstsq(np.c_[x.array().T, np.ones(100)], y)[1][0] / 200

# %%
rate = failures.set_index(["problem", "start"])["failure_rate"].map("{:.0%}".format)
text = f"""
# Same data, different start
*How much does the seed decide?*
**On two circles {rate["circles", "He"]} of the runs from He's start fail, {rate["circles", "PyTorch"]} from PyTorch's.
Start or order of the batches, which matters more? {"; ".join(f"{m}: {decided[m]}" for m in decided.index)}.**
![Final training losses of {SEEDS} runs, sorted, by initializer, on circles and on digits](losses)
Level stretches at the bottom are the runs that succeed; the climb on the right is bad luck with the seed.
![Bars with 95 % intervals: share of runs below {GOAL:.0%} training accuracy, by initializer](failure)
The initializer decides how often a run fails, and each problem has its own order of them.
[failures] Failed: below {GOAL:.0%} training accuracy. Exact 95 % intervals; `restarts` runs hold a success at 95 %.
## Does the order of the batches matter less than the start?
![Bars: shares of start, order and interaction in the variance of the log loss, four models](shares)
The folklore holds where the first bar is the tallest; without a hidden layer only the order is left.
[sources] Every start with every order, two-way random effects; settled where the interval of the difference excludes 0.
## A convex model
Least squares by descent from {SEEDS} starts: losses {convex.min():.6f} to {convex.max():.6f}; closed form {closed:.6f}.
"""
losses = (lambda: side_by_side(final, "problem", final_losses), final)
failure = (lambda: side_by_side(failures, "problem", failure_bars), failures)
shares = (lambda: components(sources).figure, sources)
publish("e6_many_starts", text, losses=losses, failure=failure, shares=shares, failures=failures, sources=sources)
