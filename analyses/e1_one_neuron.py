# %% [markdown]
# # One neuron, 1000 inputs: 501 or 1.5, and what it does to learning
# Half of 1000 inputs are on; weights N(0, 1) or N(0, 1/1000), bias N(0, 1). Then real digits, 40 seeds of each.

# %%
import pandas as pd
from matplotlib.pyplot import figure

import varprop as vp
from varprop.plots.neuron import one_neuron
from varprop.plots.panels import learning_panels
from varprop.reporting.pages import Page
from varprop.training import split, train
from varprop.training.milestones import race

WIDE, NARROW = "N(0, 1)", "N(0, 1/n)"
LAWS, BIAS = {WIDE: "standard_normal", NARROW: "lecun_normal"}, "standard_normal"
sigmoid = vp.activation("sigmoid")
slope = vp.activation(sigmoid.derivative, name="slope")
# hardtanh is flat exactly where |z| >= 1, so its saturated share is the share of |z| > 1.
SHARE, SLOPE, BORN = "outputs within 1 % of 0 or 1", "E sigma'(z)²", ["Var z", "of it by the image", "saturated"]
QUANTITIES = ["preactivation_variance", "data_variance", "saturated_fraction"]
ASKED = {"sigmoid preactivation_variance": "Var z", "hardtanh saturated_fraction": "|z| > 1"}
ASKED |= {"slope activation_mean": "E sigma'(z)", "sigmoid saturated_fraction": SHARE}
ASKED["sigmoid derivative_second_moment"] = SLOPE

# %% The neuron: 2000 of them side by side, 2000 draws of each layer, so four million values of z.
kinds = [(w, phi) for phi in ("sigmoid", "hardtanh", slope) for w in LAWS.values()]
neurons = [vp.mlp(2000, weights=w, biases=BIAS, output_activation=phi, input=vp.half_on(1000)) for w, phi in kinds]
found = vp.examine(neurons, draws=2000, seed=1)
predicted, facts = found.predicted, found.compared.replace({"weights": {w: law for law, w in LAWS.items()}})
facts["asked"] = (facts["activation"] + " " + facts["quantity"]).map(ASKED)
facts = facts.dropna(subset="asked")[["asked", "weights", "predicted", "measured", "std_error", "verdict"]]
fact = facts.set_index(["asked", "weights"])["predicted"]

# %% Digits: 30 hidden units, mini-batches of 10, learning rate 0.1; each pixel shown 4 × 4 times, or once.
parts, births, times = [], [], {"epochs": 20, "record": [*range(0, 288, 18), *range(288, 2881, 144)]}
for n, law in [(1024, WIDE), (1024, NARROW), (64, WIDE), (64, NARROW)]:
    data, test = split(vp.digits(1797, repeat=4 if n == 1024 else 1), test=0.2, seed=0)
    net = vp.mlp([30, 10], "sigmoid", LAWS[law], BIAS, input=data, head="softmax_ce")
    run = train(net, test=test, learning_rate=0.1, batch_size=10, seeds=40, dtype="f4", **times)
    parts.append(run.history.query("split == 'test'").assign(inputs=n, start=law))
    hidden = vp.mlp(30, weights=LAWS[law], biases=BIAS, output_activation="sigmoid", input=vp.data(data.array().T[:64]))
    born = vp.simulate(hidden, draws=400, seed=3).set_index("quantity")["value"]
    births.append((n, law, (data.array() ** 2).sum(0).mean(), *born[QUANTITIES]))
history, birth = pd.concat(parts), pd.DataFrame(births, columns=["inputs", "weights", "|x|²", *BORN])
levels = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
races = pd.concat([race(group, levels).assign(inputs=n) for n, group in history.groupby("inputs", sort=False)])
curves = history.groupby(["inputs", "start", "epoch"], sort=False)["accuracy"].quantile([0.1, 0.5, 0.9]).unstack()

# %%
# fmt: off
sure = races[races["p_value"] < 0.05].assign(won=lambda t: t[f"{NARROW}: first"] > t[f"{WIDE}: first"])
wide, few = (sure[sure["inputs"] == n].set_index("level")["won"] for n in (1024, 64))
page = Page("e1_one_neuron", "One neuron: 501 or 1.5", "How large are a neuron's sums, and does learning notice?")
page.answer = f"""Var z is {fact["Var z", WIDE]:g} or {fact["Var z", NARROW]:g}, and {fact[SHARE, WIDE]:.1%} or \
{fact[SHARE, NARROW]:.2%} of the outputs are saturated. With 1024 inputs the scaled start is first to {wide.sum()} of \
{len(levels)} accuracies (p ≤ {races[races["inputs"] == 1024]["p_value"].max():.1g}); with 64 N(0, 1) is first to \
{", ".join(map(str, few[~few].index))} and the scaled one to {", ".join(map(str, few[few].index))}."""
look = {"cases": predicted["case"].unique()[:2], "names": list(LAWS), "reaches": (25, 70, 7)}
page.figure("density", lambda: one_neuron(sigmoid, predicted, found, **look, figure=figure(
    figsize=(11, 3.2), layout="constrained")), data=predicted[predicted["activation"] == "sigmoid"],
            sees="Under N(0, 1) most of z lies over the flat, shaded ends of the sigmoid; scaled, over its slope.",
            alt="Densities of z with histograms, and the sigmoid laid over each of them")
page.table("facts", facts, f"Scaled, {fact[SLOPE, NARROW] / fact[SLOPE, WIDE]:.1f} times more squared gradient passes.")
axes = {"column": "inputs", "title": "{} inputs", "value": "accuracy", "step": "epoch", "split": "test"}
page.figure("learning", lambda: learning_panels(history, **axes, figure=figure(
    figsize=(9.5, 3.6), layout="constrained")),
            sees="At 1024 inputs scaled weights lead from the start; at 64 they begin behind (bands: 80 % of seeds).",
            alt="Test accuracy per epoch for both starts, at 1024 and at 64 inputs", data=curves.reset_index())
page.table("races", races, "Median epochs to a test accuracy, in how many of 40 seeds each start is first, sign test.")
(_, big), (_, _), (_, raw), (_, tame) = birth.iterrows()
page.say(f"""Why not at 64: N(0, 1) saturates {raw[BORN[2]]:.0%} of the units there, not {big[BORN[2]]:.0%}, and they \
tell images apart (variance {raw[BORN[1]]:.2g} of {raw["Var z"]:.3g}). Scaled units hardly do at either width \
({tame[BORN[1]]:.2g} of {tame["Var z"]:.3g}; the rest is bias): they must learn it, and a step on the weights moves z \
in proportion to |x|², {big["|x|²"] / raw["|x|²"]:.0f} times less at 64. Showing each pixel 16 times is, exactly, the \
64-pixel network with a 16 times larger rate in its first layer. A rule is only as good as the width it is used at.""")
page.table("birth", birth, "The hidden layer before the first step: 400 draws, 64 images.")
page.write()
