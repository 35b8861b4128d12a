# %% [markdown]
# # Too small: when the signal fades, the gradient fades too
# N(0, 0.01²), N(0, 0.001²), the old rule U(±1/√d), PyTorch's default (which adds biases), and Glorot's.

# %%
import numpy as np
import pandas as pd
from matplotlib.pyplot import figure

import varprop as vp
from varprop.plots.panels import by_depth_panels, learning_panels
from varprop.reporting.pages import Page
from varprop.training import split, train
from varprop.training.milestones import first_reached

LAWS = {"N(0, 0.001²)": "normal(std=0.001)", "N(0, 0.01²)": "normal(std=0.01)", "U(±1/√d)": "uniform_fan_in"}
LAWS |= {"PyTorch's default": "torch.linear_default", "Glorot": "glorot_normal"}
SHAPES, EPOCHS, SEEDS = {"1 hidden layer": [50, 10], "5 hidden layers": [*[50] * 5, 10]}, 40, 10
FORWARD, BACKWARD = "preactivation_second_moment", "gradient_preactivation"

# %% At birth: ten layers of 100 tanh units, one digit. Theory and 400 draws; growth per layer over layers 5 to 10.
deep = {"widths": "100x10", "activation": "tanh", "input": vp.digits(1, repeat=2), "output_activation": "tanh"}
networks = [vp.mlp(**deep, weights=weights, name=name) for name, weights in LAWS.items()]
predicted, simulated = vp.predict(networks), vp.simulate(networks, draws=400, seed=3)
verdicts = vp.compare(predicted, simulated)["verdict"].value_counts()
logs = predicted.pivot_table(index="case", columns=["quantity", "layer"], values="log_value", sort=False)
factors = pd.DataFrame({"√n · sd of a weight": [10 * vp.initializer(w).law(100, 100).std for w in LAWS.values()]}, LAWS)
factors["signal, per layer"] = np.exp((logs[FORWARD, 10] - logs[FORWARD, 5]) / 10)
factors["gradient, per layer"] = np.exp((logs[BACKWARD, 5] - logs[BACKWARD, 10]) / 10)

# %% Training: digits, tanh, mini-batches of 20, learning rate 0.1.
data, test = split(vp.digits(1797), test=0.2, seed=0)
parts, rows = [], []
for shape, widths in SHAPES.items():
    for name, weights in LAWS.items():
        network = vp.mlp(widths, "tanh", weights, input=data, head="softmax_ce")
        run = train(network, test=test, learning_rate=0.1, epochs=EPOCHS, batch_size=20, seeds=SEEDS, dtype="f4")
        parts.append(run.history.query("split == 'test'").assign(network=shape, start=name))
        gradient = run.layers.query("step == 0 and layer == 1")["gradient_weight_norm"].median()
        epochs, last = first_reached(parts[-1], 0.9)[name], parts[-1].query(f"epoch == {EPOCHS}")["loss"].median()
        rows.append((shape, name, gradient, epochs.median(), float(np.isfinite(epochs).mean()), last))
columns = ["network", "start", "first gradient", "epochs to 90 %", "seeds that got there", "last loss"]
history, results = pd.concat(parts), pd.DataFrame(rows, columns=columns)
curves = history.groupby(["network", "start", "epoch"], sort=False)["accuracy"].quantile([0.1, 0.5, 0.9]).unstack()

# %%
# fmt: off
small, took = factors.loc["N(0, 0.01²)"], results.set_index(["network", "start"])
shallow, never = took.loc["1 hidden layer"], took[took["seeds that got there"] == 0].index.to_list()
slower = shallow["epochs to 90 %"] / shallow.loc["Glorot", "epochs to 90 %"]
page = Page("e3_too_small", "Too small", "What do very small weights cost, and does the network ever start?")
page.answer = f"""With N(0, 0.01²) signal and gradient shrink to {small.iloc[1]:.2g} and {small.iloc[2]:.2g} of \
themselves in each layer. One hidden layer then needs {slower["N(0, 0.01²)"]:.1f} times as many epochs as with Glorot \
({slower["N(0, 0.001²)"]:.1f} times with N(0, 0.001²)). Never started within {EPOCHS} epochs: \
{"; ".join(f"{name} with {shape}" for shape, name in never) or "none"}."""
panels = [("signal, forward", "layer > 0", FORWARD), ("gradient, backward", "layer > 0", BACKWARD)]
page.figure("by_depth", lambda: by_depth_panels(
    predicted, simulated, panels, by="case", figure=figure(figsize=(10.5, 4))),
            sees="Straight falling lines: a constant factor is lost in every layer, both by signal and by gradient.",
            alt="Root mean square of pre-activations and gradients by layer, theory lines and simulated marks",
            data=predicted[predicted["quantity"].isin([FORWARD, BACKWARD])])
page.table("factors", factors.reset_index(names="weights"), f"""A layer multiplies by √n · sd while tanh is nearly \
linear: the gradient it sends down is proportional to its weights. PyTorch's default is the old rule (variance 1/(3d)) \
with biases of the same law; they keep z alive, but not the gradient. Verdicts of all rows: {verdicts.to_dict()}.""")
axes = {"column": "network", "value": "accuracy", "step": "epoch", "split": "test"}
page.figure("learning", lambda: learning_panels(
    history, **axes, figure=figure(figsize=(9.5, 3.8), layout="constrained")),
            sees="The shallow network only starts late; the deep one never leaves guessing from small weights.",
            alt="Test accuracy per epoch by initializer, for one and for five hidden layers", data=curves.reset_index())
page.table("results", results, f"Medians over {SEEDS} seeds: first gradient, last loss (guessing: {np.log(10):.3f}).")
page.write()
