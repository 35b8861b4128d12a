# %% [markdown]
# # What a network of 175 billion parameters is like at birth
# %%
from functools import partial
from time import process_time

import numpy as np
import pandas as pd

import varprop as vp
from varprop.montecarlo import costs, planning
from varprop.plots.blocks import block_ends, block_panels
from varprop.reporting.pages import publish

TOKENS, BIG, OPT = 32, "gpt3-175b", {"weights": "normal(std=0.006)", "embedding_weights": "normal(std=0.006)"}
STREAM = {"preactivation_second_moment": "stream, E z²", "gradient_squared_norm": "gradient at the stream, |dL/dz|²"}
STREAM |= {"token_correlation": "correlation of two positions"}
ATTENTION = {"logit_variance": "variance of the logits", "attention_concentration": "concentration"}
LOSS, FREE = ["case", "theory", "drawn, 95 % interval"], {"residual_gain": 1.0}
CASES = [("GPT-3 175B", BIG, {}, 4), ("GPT-3 175B, no residual scale", BIG, FREE, 0)]  # 0 draws: theory alone
CASES += [("GPT-3 175B, N(0, 0.006²)", BIG, OPT, 0), ("GPT-2 XL", "gpt2-xl", {}, 8), ("GPT-2", "gpt2", {}, 16)]
CASES += [("GPT-2, no residual scale", "gpt2", FREE, 16), ("GPT-2, post-LN", "gpt2", FREE | {"norm": "post"}, 16)]
# %%
predicted, simulated, spent = [], [], []
for name, preset, changes, draws in CASES:
    net, clock = vp.transformer(preset=preset, tokens=TOKENS, name=name, **changes), [process_time()]
    predicted.append(vp.predict(net))
    clock.append(process_time())
    simulated += [vp.simulate(net, draws=draws, seed=12)] if draws else []
    clock.append(process_time())
    need, (s, t) = costs.check_memory([planning.make_plan(net, draws=draws or 4)], 2**36, 1, 1) / 2**30, np.diff(clock)
    spent.append([name, net.parameters / 1e9, net.parameters / 2**28, need, draws, t / max(draws, 1), s])
# %% What stands at the end of every block, and at the output.
titles = ["case", "10⁹ parameters", "GiB of weights", "GiB of a draw", "draws", "s a draw", "s of theory"]
cost, theory, drawn = pd.DataFrame(spent, columns=titles), pd.concat(predicted), pd.concat(simulated)
ends, cases = block_ends(theory, drawn, [*STREAM, *ATTENTION]), list(drawn["case"].unique())
compared = vp.compare(theory[theory["case"].isin(cases)], drawn)
verdicts = pd.crosstab(compared["case"], compared["verdict"]).reindex(cases).reset_index()
loss, theirs = (t[t["quantity"] == "initial_loss"].set_index("case") for t in (theory, drawn))
said = {r.Index: f"{r.value:.2f} ({r.ci_low:.2f} to {r.ci_high:.2f})" for r in theirs.itertuples()}
losses = pd.DataFrame([(c, x, said.get(c, "not drawn")) for c, x in loss["value"].items()], columns=LOSS)
first, last = (getattr(ends.groupby(["quantity", "case"])["value"], end)() for end in ("first", "last"))
(q, g, r), (v, a), (big, free, opt, xl, small, plain, post) = STREAM, ATTENTION, cost["case"]
off = ends[(ends["case"] == big) & (ends["quantity"] != r)].eval("abs(drawn / value - 1)")
told, cost, n = cost.iloc[0], cost[cost["draws"] > 0], theory["width"].iloc[0]
spread, even = 0.02 * np.sqrt(n / TOKENS), np.mean(1 / np.arange(1, TOKENS + 1))
# %%
text = f"""
# A network of 175 billion parameters at birth
*What are signal, gradient, attention and loss of a model of GPT-3's shape before its first training step?*
**Width makes 0.02 large: the loss starts at {loss.value[big]:.1f}, above a uniform guess's {np.log(50257):.1f}, and the
first block's attention is far from even (concentration {first[a, big]:.2f}; GPT-2 {first[a, small]:.2f}). Theory and
{told.draws:.0f} drawn networks differ by {off.mean():.1%} on average. A draw takes {told["s a draw"]:.0f} s and under
{np.ceil(told["GiB of a draw"]):.0f} GiB; the weights are {told["GiB of weights"]:.0f} GiB.**

The *stream* is a vector z of n numbers for each of {TOKENS} positions; every block adds to it what attention, then an
MLP (two dense layers), make of it. Each reads it through a LayerNorm (LN: mean 0, mean square 1); in post-LN the sums
are normed. Weights are N(0, 0.02²), GPT-2's law (GPT-3's paper states none; OPT-175B took 0.006). The *residual scale*
divides the last weights of both branches by √(2 · blocks). A *draw* is a random network, here *weight-free*: a Gaussian
W enters only by Wh and Wᵀδ, whose joint law is known; these are drawn and W never is.
![Stream, gradient and position correlation at the end of every block, theory lines and drawn marks](stream)
Lines: theory (dashed: not drawn); marks: means over draws, with 95 % intervals. Left: mean square of the stream.
Middle: squared length of the gradient of the loss there. Right: cosine of the angle between two positions' vectors.

At the last block the 175B stream has E z² {last[q, big]:.0f}, without residual scale {last[q, free]:.0f}. From there to
block 1 the gradient grows by {first[g, big] / last[g, big]:.0f} (0.006: {first[g, opt] / last[g, opt]:.0f}, GPT-2:
{first[g, small] / last[g, small]:.0f}, post-LN: {first[g, post] / last[g, post]:.2f}): LN divides by the stream's size.
![Variance of attention logits and concentration of attention by block, theory lines and drawn marks](attention)
A query's logits q·k/√d, softmaxed, weigh the positions it sees. Left: their variance, in block 1 near (n · 0.02²)² =
{(n * 4e-4) ** 2:.0f} at n = {n}. Right: concentration, the sum of squared weights: 1 if one has all, {even:.3f} if all
are equal; where logits are large theory averages over drawn queries and keys, hence its jitter.
[losses] Cross-entropy, uniform targets. Outputs have variance s = n · 0.02² (embedding tied): ln 50257 + s/2. One
loss has deviation √(s/{TOKENS}) = {spread:.2f} at 175B, the mean of 4 half of it; their own interval may be shorter.
[verdicts] All rows. Agreement is within 2 %; `differs` is beyond that plus nodes/width, as theory is of wide nets.
[cost] float32, forward and backward; processor seconds on one core; memory of the process, computed before the run.
"""
stream, attention = ((partial(block_panels, ends, t), ends[ends["quantity"].isin(t)]) for t in (STREAM, ATTENTION))
publish("e12_at_birth", text, stream=stream, attention=attention, losses=losses, verdicts=verdicts, cost=cost)
