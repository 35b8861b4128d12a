# %% [markdown]
# # Why zero mean, why normalised data
# Weights with a mean make all units alike; inputs from 0 to 16 saturate the first layer. Theory, then training.

# %%
from dataclasses import replace

import pandas as pd
from matplotlib.pyplot import figure

import varprop as vp
from varprop.plots.panels import common_component, learning_panels
from varprop.reporting.pages import Page
from varprop.training import split, train
from varprop.training.milestones import first_reached

LAWS = {"U(0, 1)": "uniform(low=0, high=1)", "0.1 + N(0, 0.1²)": "normal(mean=0.1, std=0.1)"}
LAWS |= {"0.02 + N(0, 0.1²)": "normal(mean=0.02, std=0.1)", "N(0, 0.1²)": "normal(std=0.1)"}
SCALES = {"raw, 0 to 16": {"scale": "raw"}, "0 to 1": {}, "standardised": {"standardize": True}}
BORN = {"preactivation_variance": "Var z, layer 1", "saturated_fraction": "saturated, layer 1"}
BORN |= {"derivative_second_moment": "E phi'(z)²", "gradient_weight_batch": "mean-square gradient of a weight"}
LEVEL, SEEDS, EPOCHS = 0.9, 10, 30
AXES = {"column": "activation", "value": "accuracy", "step": "epoch", "split": "test"}
RULE = {"learning_rate": 0.1, "epochs": EPOCHS, "batch_size": 20, "seeds": SEEDS, "dtype": "f4"}
RESULT = ["activation", "start", f"epochs to {LEVEL:.0%}", "seeds that got there", "last accuracy"]

# %% Weights with a mean: five layers of 100 units on one digit, theory and 300 draws.
pairs = [(phi, n) for phi in ("tanh", "relu") for n in LAWS]
nets = [vp.mlp([100] * 5, p, LAWS[n], input=vp.digits(1), output_activation=p, name=f"{n} · {p}") for p, n in pairs]
tables = vp.predict(nets), vp.simulate(nets, draws=300, seed=9)
wide = [t.pivot_table("value", ["activation", "case", "layer"], "quantity", sort=False) for t in tables]
frames = [w["preactivation_mean"] ** 2 / w["preactivation_second_moment"] for w in wide]
common = pd.concat(frames, axis=1, keys=["predicted", "measured"]).reset_index()
common["weights"] = common["case"].str.split(" · ").str[0]

# %% Training of everything: three hidden layers of 50 by weights, two (Glorot's law) by inputs.
jobs = [("weights", phi, name, [50] * 3, LAWS[name], {"standardize": True}) for phi, name in pairs]
jobs += [("inputs", phi, n, [50] * 2, "glorot_normal", SCALES[n]) for phi in ("sigmoid", "tanh") for n in SCALES]
parts, rows = [], []
for part, phi, name, hidden, weights, scale in jobs:
    data, test = split(vp.digits(1797, **scale), test=0.2, seed=0)
    network = vp.mlp([*hidden, 10], phi, weights, input=data, head="softmax_ce")
    history = train(network, test=test, **RULE).history.query("split == 'test'")
    parts.append(history.assign(start=name, activation=phi, part=part))
    at, last = first_reached(parts[-1], LEVEL)[name], history.query(f"epoch == {EPOCHS}")["accuracy"].median()
    first = replace(network, input=vp.digits(64, **scale))
    born = vp.simulate(first, draws=200, seed=9).query("layer == 1").set_index("quantity")["value"][list(BORN)]
    rows.append([part, phi, name, at.median(), (at < EPOCHS + 1).mean(), last, *born])
results, everything = pd.DataFrame(rows, columns=["part", *RESULT, *BORN.values()]), pd.concat(parts)

# %%
# fmt: off
share = common[common["layer"] == 5].groupby("weights", sort=False)["predicted"].min()
never = ", ".join(f"{r.start} with {r.activation}" for r in results[results[RESULT[3]] == 0].itertuples())
inputs, late = results[results["part"] == "inputs"], results.rename(columns={RESULT[2]: "epochs"})
born, grads = (inputs.set_index(["activation", "start"])[c] for c in list(BORN.values())[1::2])
order = {phi: " before ".join(g.sort_values(RESULT[2])["start"]) for phi, g in inputs.groupby("activation", sort=False)}
page = Page("e9_zero_mean_normalised_data", "Zero mean, normalised data", "Why should weights and data have mean 0?")
page.answer = f"""Beside a deviation of 0.1 a mean of 0.02 makes {share["0.02 + N(0, 0.1²)"]:.0%} of E z² common to \
all units of layer 5, one of 0.1 {share["0.1 + N(0, 0.1²)"]:.0%}. Never at {LEVEL:.0%} within {EPOCHS} epochs: \
{never or "none"}. Raw pixels saturate {born["tanh", "raw, 0 to 16"]:.0%} of layer 1 (tanh)."""
page.figure("common", lambda: common_component(common, figure=figure(figsize=(9.5, 3.4), layout="constrained")),
            sees="With a mean, most of z is the same number in every unit of a layer; without one, nothing is.",
            alt="Share of the second moment that all units have in common, by layer", data=common)
for name, rows in late.groupby("part", sort=False):
    sees = f"Epochs to {LEVEL:.0%}: {'; '.join(f'{r.start} {r.epochs:g} ({r.activation})' for r in rows.itertuples())}."
    history, table = (t[t["part"] == name].drop(columns="part") for t in (everything, results))
    bands = history.groupby(["activation", "start", "epoch"])["accuracy"].quantile([0.1, 0.5, 0.9]).unstack()
    page.figure(f"learning_{name}", lambda h=history: learning_panels(h, **AXES, figure=figure(
        figsize=(9.5, 3.6), layout="constrained")), sees=sees, data=bands.reset_index(),
        alt=f"Test accuracy per epoch by {name}, median and 10 to 90 % of the seeds, for two activations")
    page.table(f"results_{name}", table, f"Medians over {SEEDS} seeds, learning rate 0.1.")
ratio = grads["sigmoid", "raw, 0 to 16"] / grads["sigmoid", "standardised"]
mild = [results[results["start"] == n][RESULT[2]].to_list() for n in ("0.02 + N(0, 0.1²)", "N(0, 0.1²)")]
page.say(f"""A mean much smaller than the deviation may be most of z and cost little: epochs for tanh and relu are \
{mild[0]} with 0.02, {mild[1]} with 0. Inputs: {"; ".join(f"{phi}, {v}" for phi, v in order.items())}. At one rate \
larger inputs are larger steps: with sigmoid, raw pixels saturate {born["sigmoid", "raw, 0 to 16"]:.0%} of layer 1 and \
yet give a weight {ratio:.1f} times the mean-square gradient of standardised ones.""")
page.write()
