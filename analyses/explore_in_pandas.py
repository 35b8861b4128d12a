# %% [markdown]
# # The tables in pandas: pivot, groupby, query, merge, plot
# Every table of varprop is tidy: one row for each case, layer and quantity. Five everyday questions, five idioms.

# %%
import matplotlib.pyplot as plt

import varprop as vp
from varprop.plots.style import PALETTE
from varprop.reporting.pages import publish

STARTS = {"he_normal": "relu", "glorot_normal": "tanh", "lecun_normal": "sigmoid", "normal(std=0.01)": "relu"}
MATRIX = 'pivot(index="case", columns="layer", values="value")'
data = vp.digits(64, standardize=True)
networks = [vp.mlp("256x10,10", phi, w, input=data, name=f"{w}, {phi}") for w, phi in STARTS.items()]
predicted, simulated = vp.predict(networks), vp.simulate(networks, draws=200, seed=1)

# %% pivot: one quantity as a matrix of cases by layers.
variance = predicted[predicted["quantity"] == "preactivation_variance"]
matrix = variance.pivot(index="case", columns="layer", values="value").add_prefix("layer ").reset_index()

# %% groupby: the growth of the gradient a layer, from the two ends of each case.
backward = predicted[predicted["quantity"] == "gradient_preactivation"].sort_values("layer")
ends = backward.groupby("case", sort=False)["log_value"].agg(["first", "last", "size"])
growth = ((ends["first"] - ends["last"]) / (ends["size"] - 1)).rename("log growth a layer, backward").reset_index()

# %% query: where more than 5 % of the units are switched off for every one of the 64 digits.
dead = simulated.query("quantity == 'dead_fraction' and value > 0.05")[["case", "layer", "value", "std_error"]]

# %% merge: theory beside simulation, and how many standard errors they are apart.
keys = ["case", "layer", "quantity"]
both = predicted[[*keys, "value", "order"]].merge(simulated[[*keys, "value", "std_error"]], on=keys)
both = both[both["std_error"] > 0].assign(apart=lambda t: (t["value_y"] - t["value_x"]).abs() / t["std_error"])
share = (
    both.groupby("order")["apart"].agg(rows="size", median="median", within_3=lambda a: (a < 3).mean()).reset_index()
)


# %% plot: a pivoted table draws itself.
def draw():
    figure, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    table = variance.pivot(index="layer", columns="case", values="value")
    table.plot(logy=True, style=["-o", "--s", ":^", "-.D"], color=PALETTE[:4], ax=ax, ylabel="pre-activation variance")
    return figure


# %%
shrinks = growth.iloc[growth.iloc[:, 1].argmin()]
text = f"""
# The tables in pandas
*How do I ask these tables a question of my own?*
**With pivot, groupby, query, merge and plot, on tables with one row for each case, layer and quantity: the
{len(predicted)} rows of this page show, for one, that the gradient shrinks fastest in {shrinks.iloc[0]}.**
![Pre-activation variance by layer for four networks, logarithmic](plot)
A pivoted table draws itself: level lines keep their size, steep ones lose it.
## pivot
[pivot] `predicted[predicted["quantity"] == "preactivation_variance"].{MATRIX}`
## groupby
[groupby] `log_value` never overflows, so growth is a difference of logarithms divided by the number of steps.
## query
[query] `simulated.query("quantity == 'dead_fraction' and value > 0.05")`: layers with units that no digit switches on.
## merge
[merge] Rows of theory by how exact they are, and their distance from the simulation in standard errors.
"""
tables = {"pivot": matrix, "groupby": growth, "query": dead, "merge": share}
publish("explore_in_pandas", text, plot=(draw, variance[["case", "layer", "value"]]), **tables)
