# %% [markdown]
# # Glorot and He, and why
# Forwards the variance must be 1/fan_in, backwards 1/fan_out; ReLU needs twice that. Histograms, depth, dead units.

# %%
import pandas as pd
from matplotlib.pyplot import figure

import varprop as vp
from varprop.plots.panels import binned, by_depth_panels, histogram_panels, trade_off
from varprop.reporting.pages import Page
from varprop.training.passes import one_pass

LAWS = ["standard_normal", "normal(std=0.01)", "torch.linear_default", "glorot_normal", "he_normal"]
PHIS, DEPTH, SHOWN, BACK = ("sigmoid", "tanh", "relu"), 8, (1, 4, 8), "gradient_preactivation"
RULES = {"fan-in": "fan_in", "fan-out": "fan_out", "average (Glorot)": "fan_avg"}

# %% The three conditions on unequal widths: what one linear layer does to the signal and to the gradient.
scaled = "variance_scaling(mode={}, distribution=uniform)".format
start = {"input": vp.gaussian(100), "widths": [400, 200, 50, 100, 400, 400]}
uneven = [vp.mlp(**start, activation="linear", weights=scaled(m), name=n) for n, m in RULES.items()]
trade = pd.DataFrame()
for t, suffix in ((vp.predict(uneven), ""), (vp.simulate(uneven, draws=200, seed=4, sampler="dense"), "_measured")):
    t = t.pivot(index=["case", "layer"], columns="quantity", values="value")
    trade["forward" + suffix] = t.preactivation_second_moment / t.activation_second_moment.groupby("case").shift()
    trade["backward" + suffix] = t.gradient_input / t[BACK]
trade = trade.dropna().reset_index(names=["rule", "layer"])
trade["layer"] = ["{} → {}".format(*uneven[0].fans(i)) for i in trade["layer"]]
laws = [vp.initializer(scaled(m)).law(400, 200) for m in RULES.values()]
forms = pd.DataFrame([(n, law.variance, law.std, law["high"]) for n, law in zip(RULES, laws, strict=True)])

# %% Eight layers of 200 on digits: theory, 100 draws, and all values of one network with N(0, 1) gradients at its end.
nets = [vp.mlp("200x8", phi, w, input=vp.digits(16, repeat=2), output_activation=phi) for phi in PHIS for w in LAWS]
predicted, simulated = vp.predict(nets), vp.simulate(nets, draws=100, seed=4)
compared, pictures = vp.compare(predicted, simulated), {phi: [] for phi in PHIS}
for net in nets:
    h, delta = one_pass(net, seed=4)
    name, phi = net.layers[0].weights.name, net.layers[0].activation.name
    pictures[phi].append(binned({(name, f"activations, layer {i}"): h[i - 1] for i in SHOWN}))
    pictures[phi].append(binned({(name, f"gradients, layer {i}"): delta[i - 1] for i in SHOWN[::-1]}))

# %%
# fmt: off
value = predicted.set_index(["quantity", "weights", "activation", "layer"])["value"]
q, dead = value["preactivation_second_moment"], value["dead_fraction"].xs(("relu", DEPTH), level=(1, 2))
kept, verdicts = float(vp.activation("relu").moments(1.0).second_moment), compared["verdict"].value_counts()
page = Page("e4_glorot_and_he", "Glorot and He, and why", "Which variance keeps signals and gradients their size?")
page.answer = f"""No variance keeps both on unequal layers; Glorot's is the compromise. ReLU passes {kept:.2g} of the \
second moment, so He doubles the variance: over {DEPTH} layers E z² goes from {q["he_normal", "relu", 1]:.2g} to \
{q["he_normal", "relu", DEPTH]:.2g} with He, from {q["glorot_normal", "relu", 1]:.2g} to \
{q["glorot_normal", "relu", DEPTH]:.2g} with Glorot."""
page.figure("trade_off", lambda: trade_off(trade).figure, data=trade, alt="Factor on signal against factor on gradient",
            sees="fan-in stays on the vertical line, fan-out on the horizontal one; only a square layer gets both.")
page.table("forms", forms.set_axis(["rule", "variance", "std", "uniform limit √3 · std"], axis=1), "Fans 400 and 200.")
for name, quantities, sees in (
    ("std", ["preactivation_variance"] * 3, "Level lines keep their size; in relu only He's is level."),
    ("gradient", [BACK] * 3, "Sigmoid's slope is at most ¼: all but N(0, 1) lose its gradient; He is level for relu."),
    ("fractions", ["saturated_fraction"] * 2 + ["dead_fraction"], f"""N(0, 1) saturates; in relu {dead.max():.0%} of \
the last layer's units are dead on all 16 images under {dead.idxmax()}, whose random biases outlast the signal."""),
):
    panels = [(phi, f"activation == '{phi}'", quantity) for phi, quantity in zip(PHIS, quantities, strict=True)]
    page.figure(name, lambda p=panels: by_depth_panels(predicted, simulated, p, figure=figure(figsize=(11, 3.9))),
                sees=sees, alt=f"{' and '.join(dict.fromkeys(quantities))} by layer: theory lines, simulated marks",
                data=predicted[predicted["quantity"].isin(quantities)])
for phi, sees in zip(PHIS, ("Outputs crowd around ½ and gradients collapse; N(0, 1) sits at 0 and 1 instead.",
        "Glorot and He keep both shapes; 0.01 collapses to a spike; N(0, 1) sits at ±1 and its gradients grow.",
        "Only He keeps the width of both; the bar at 0 is the half that is off."), strict=True):
    page.figure(f"histograms_{phi}", lambda p=phi: histogram_panels(pd.concat(pictures[p]), figure=figure(
        figsize=(10.5, 5.2), layout="constrained")), sees=f"{phi}: {sees}", data=pd.concat(pictures[phi]),
        alt=f"Histograms of activations and of back-propagated gradients of {phi}, initializer by layer")
columns = ["case", "layer", "quantity", "predicted", "measured", "std_error", "order", "reason"]
page.table("differs", compared.loc[compared["verdict"] == "differs", columns], f"""Of all rows {verdicts.to_dict()}; \
listed are those that differ. With a family-wise error rate of 5 % and few draws, one may be chance.""")
page.write()
