"""How often a right theory is accused, and how often intervals cover, on ordinary networks, narrow and deep ones too.

``python -m tests.large.calibration OUTPUT [--seeds 300] [--only WORD]`` writes two tables. Truth is the prediction
where it is exact, and a long run of other seeds where it is not.

E phi'² of an activation with two slopes is a share of units, counted and not averaged. Under the control estimator it
changes only in draws in which a layer below has died, so that the mean is a count of such draws, and an interval covers
when that count lies in some set: its coverage moves in steps. `central_coverage` is what the narrowest central
interval of counts, each tail at most 2.5 %, would cover.
"""

from __future__ import annotations

import argparse
import datetime as dt
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binom

import varprop as vp
from varprop.results.schema import QUANTITIES

NETWORKS = {
    "tanh 100x5": vp.mlp("100x5", "tanh", "lecun_normal", input=vp.half_on(100)),
    "relu 32x6": vp.mlp("32x6", "relu", "he_normal", input=vp.half_on(32)),
    "relu 16x20": vp.mlp("16x20", "relu", "he_normal", input=vp.half_on(16)),
    "relu 8x20": vp.mlp("8x20", "relu", "he_normal", input=vp.half_on(8)),
    "relu 8x10": vp.mlp("8x10", "relu", "he_normal", input=vp.half_on(8)),
    "gelu, softmax": vp.mlp(
        "50x3,10", "gelu", "he_normal", input=vp.half_on(50), head=vp.Head("softmax_ce", [1])
    ),
    "relu he_uniform, 4 inputs": vp.mlp("32x4", "relu", "he_uniform", input=vp.gaussian(32, 4, seed=1)),
}
DRAWS = (10, 30, 100, 200)
COVERED = (50, 200)
KEY = ["layer", "quantity"]
LONG = 20_000

GUIDE = """\
How to read this. varprop runs a network with random weights many times (*draws*) and compares what it measures with
what theory predicts. The first table asks how often it cries wolf: every network was run with {seeds} seeds against a
theory that is right, at four numbers of draws, and a run counts if any of its rows says `differs`. At alpha = 5 %,
{expected:.0f} of {seeds} are expected if rows are tested to the limit, and at most {limit} are allowed (2.4 standard
deviations above, as many as chance makes); less is caution. The second table asks whether the printed 95 % intervals
hold the truth: *rows* are the layers and quantities that vary enough to be judged, *covered* is the share of their
intervals that hold the truth ({noise:.1f} percentage points is the noise of one row, less of an average of many),
*least row* the worst of them, and *flagged* the share of harmless rows that were called `heavy_tail` and given no
interval. A moment should cover 93 to 97 %, a fraction or share at least 93 %. *Shares* are E phi'² of activations with
two slopes: with `control` they change only in draws in which a layer has died, so they are counts of such draws, and
counts come in steps; *counts* is what the narrowest interval of counts with 2.5 % on either side would cover. No
interval that guards both sides comes closer to 95 % where fewer than some five such draws are expected.
"""


def alarms(network: vp.Network, draws: int, seeds: int) -> tuple[int, dict[str, int]]:
    """Return in how many of the runs some row differs, and how often each row did."""
    predicted, count, rows = vp.predict(network), 0, {}
    for seed in range(seeds):
        table = vp.compare(predicted, vp.simulate(network, draws=draws, seed=seed, histogram=False))
        wrong = table[table["verdict"] == "differs"]
        count += bool(len(wrong))
        for place in zip(wrong["layer"], wrong["quantity"], wrong["reason"], strict=True):
            rows[str(place)] = rows.get(str(place), 0) + 1
    return count, rows


def commit() -> str:
    """Return the commit that is measured, and whether its files were changed."""
    root = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout

    changed = git("status", "--porcelain", "--", "..", "../../varprop", ":!../../reports")
    return git("rev-parse", "--short", "HEAD").strip() + (", with changes" if changed.strip() else "")


def central_coverage(chance: float, draws: int) -> float:
    """Return P(no tail of the binomial law beyond the count is below 2.5 %).

    >>> round(central_coverage(1 - (1 - 2**-8) ** 2, 50), 3)
    0.993
    """
    counts = np.arange(draws + 1)
    inside = (binom.sf(counts - 1, draws, chance) > 0.025) & (binom.cdf(counts, draws, chance) > 0.025)
    return float(binom.pmf(counts, draws, chance)[inside].sum())


def _kinds(network: vp.Network, index: pd.MultiIndex) -> list[str]:
    """Return each row's kind; E phi'² of two slopes is a share of units."""
    counted = [
        network.layers[layer - 1].activation.slopes is not None and quantity == "derivative_second_moment"
        for layer, quantity in index
    ]
    return [
        "share" if share else QUANTITIES[quantity].kind
        for share, (_, quantity) in zip(counted, index, strict=True)
    ]


def coverage(network: vp.Network, draws: int, seeds: int) -> pd.DataFrame:
    """Return for every row that varies how often its 95 % interval had the truth, and how often it was flagged."""
    predicted = vp.predict(network).set_index(KEY)
    long = vp.simulate(network, draws=LONG, seed=2**40, histogram=False).set_index(KEY)
    own = vp.simulate(network, draws=LONG // 4, seed=2**41, estimator="plain", histogram=False).set_index(KEY)
    runs = [
        vp.simulate(network, draws=draws, seed=seed, histogram=False).set_index(KEY) for seed in range(seeds)
    ]
    exact = (predicted["order"] == "exact").reindex(long.index, fill_value=False)
    truth = long["value"].where(~exact, predicted["value"].reindex(long.index))
    error = np.median([run["std_error"].to_numpy() for run in runs], axis=0)
    flagged = np.array([run["reason"].str.contains("heavy_tail").to_numpy() for run in runs])
    inside = np.array([((run["ci_low"] <= truth) & (truth <= run["ci_high"])).to_numpy() for run in runs])
    given = np.array([run["ci_low"].notna().to_numpy() for run in runs])
    # A row that does not vary from run to run (it is known to rounding, or an error stands for an event that is too
    # rare to be seen) has nothing to cover; a truth from a long run must be sharper than an interval.
    varies = np.std([run["value"].to_numpy() for run in runs], axis=0) > 0.2 * error
    sharp = exact.to_numpy() | (
        (long["std_error"].to_numpy() < 0.12 * error) & (long["reason"] == "").to_numpy()
    )
    found = pd.DataFrame(
        {
            "kind": _kinds(network, long.index),
            "truth": truth.to_numpy(),
            "estimator": runs[0]["estimator"].to_numpy(),
            "covered": np.where(given, inside, False).sum(axis=0),
            "given": given.sum(axis=0),
            "flagged": flagged.sum(axis=0),
            "log_std": own["log_std"].to_numpy(),
            "counts": varies & sharp,
        },
        index=long.index,
    )
    return found.assign(varies=varies)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--only", default="")
    parser.add_argument("--skip-coverage", action="store_true")
    arguments = parser.parse_args()
    chosen = {name: network for name, network in NETWORKS.items() if arguments.only in name}
    today = dt.datetime.now(tz=dt.UTC).date()
    seeds = arguments.seeds
    lines = [f"# False alarms and coverage ({today}, commit {commit()}, {seeds} seeds, alpha = 0.05)", ""]
    expected, noise = 0.05 * seeds, np.sqrt(0.05 * 0.95 * seeds)
    limits = {"expected": expected, "limit": int(expected + 2.4 * noise), "noise": 100 * noise / seeds}
    lines += [GUIDE.format(seeds=seeds, **limits)]
    lines += ["Runs in which any row of a right theory differs:", ""]
    lines += ["| network | " + " | ".join(f"{draws} draws" for draws in DRAWS) + " |", "|---" * 5 + "|"]
    for name, network in chosen.items():
        counts = []
        for draws in DRAWS:
            count, rows = alarms(network, draws, arguments.seeds)
            counts.append(count)
            print(name, draws, count, sorted(rows.items(), key=lambda pair: -pair[1])[:6], flush=True)
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    if not arguments.skip_coverage:
        lines += [
            "",
            "Coverage of nominal 95 % intervals, per cent of the intervals given; rows flagged as heavy:",
            "",
        ]
        lines += [
            "| network | draws | kind | rows | covered | counts | least row | flagged of log deviation < 1 |",
            "|---" * 8 + "|",
        ]
        for name, network in chosen.items():
            for draws in COVERED:
                for text in _summary(name, draws, coverage(network, draws, arguments.seeds), arguments.seeds):
                    print(text, flush=True)
                    lines.append(text)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n")


def _summary(name: str, draws: int, found: pd.DataFrame, seeds: int) -> list[str]:
    texts = []
    for kind, rows in found.groupby("kind"):
        own = rows[rows["counts"] & (rows["given"] > 0)]
        light = (
            rows[(rows["log_std"] < 1) & rows["varies"]]
            if kind in ("moment", "loss")
            else rows[rows["varies"]]
        )
        flagged = light["flagged"].sum() / max(len(light) * seeds, 1)
        if not len(own):
            continue
        share = own["covered"] / own["given"]
        trusted = share[own["given"] >= seeds / 2]
        worst = (
            f"{100 * trusted.min():.1f} ({'layer {}, {}'.format(*trusted.idxmin())})" if len(trusted) else "-"
        )
        # A relu's share is one half unless the draw has died.
        dead = own["estimator"] == "control" if kind == "share" else np.zeros(len(own), bool)
        attainable = [central_coverage(1.0 - 2.0 * share, draws) for share in own["truth"][dead]]
        steps = f"{100 * np.mean(attainable):.1f}" if attainable else "-"
        covered = 100 * own["covered"].sum() / own["given"].sum()
        texts.append(
            f"| {name} | {draws} | {kind} | {len(own)} | {covered:.1f} | {steps} | {worst} | {100 * flagged:.1f} % |"
        )
    return texts


if __name__ == "__main__":
    main()
