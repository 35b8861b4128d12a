"""The verdict on a case in one sentence, and on a study in another."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from varprop.reporting.numerals import counted, number, percent
from varprop.results.health import factor_text, health
from varprop.results.schema import VERDICTS

if TYPE_CHECKING:
    import pandas as pd

    from varprop.diagnosis import Diagnosis

_COLUMNS = ("case", "layer", "quantity", "value", "log_value", "reason")
MOST_DRAWS = 10**9
_MOST, _FAR, _FEW = 0.97, 30, 20
_DOES = {"healthy": "keeps its size", "vanishing": "vanishes", "exploding": "explodes"}
_REASONS = {
    "finite_width": "finite width",
    "heavy_tail": "heavy tail",
    "noise": "too few draws",
}


def verdict(
    case: str, predicted: pd.DataFrame, simulated: pd.DataFrame, compared: pd.DataFrame
) -> tuple[str, str, str]:
    """Return mood, badge and sentence for `case`; what theory leaves open is taken from the simulation."""
    from varprop.diagnosis import diagnose_one

    judged = compared[compared["case"] == case]
    known = _known(predicted[predicted["case"] == case], simulated[simulated["case"] == case])
    mood, badge, words = _behaviour(diagnose_one(known), known) if len(known) else ("open", "not known", [])
    if (judged["verdict"] == "differs").any():
        mood, badge = "bad", "theory differs"
    return mood, badge, _sentence([*words, agreement_words(judged)])


def advice(activation: str, steps: int) -> str:
    """Return which variances keep signal and gradient level through `steps` layers, in a sentence.

    Examples
    --------
    >>> print(advice("relu", 9))
    To keep both level through 9 layers, give relu weights of variance 2/fan_in: signal ×1, gradient ×1.
    """
    from varprop.diagnosis.gains import level_gain

    best = level_gain(activation, steps)
    layers = counted(steps, "layer")
    healthy = {health(best.forward), health(best.backward)} == {"healthy"}
    begin = (
        f"To keep both level through {layers}"
        if healthy
        else f"No gain keeps both level through {layers}; at best"
    )
    bias = f" and biases of variance {number(best.bias_variance, 2)}" if best.bias_variance else ""
    factors = f"signal {factor_text(best.forward)}, gradient {factor_text(best.backward)}"
    weights = f"weights of variance {number(best.gain**2, 3)}/fan_in"
    return f"{begin}, give {activation} {weights}{bias}: {factors}."


def agreement_words(judged: pd.DataFrame) -> str:
    """Return how theory and simulation get on in these rows of a compared table, as a clause."""
    verdicts = Counter(judged["verdict"])
    total = verdicts["agrees"] + verdicts["undecided"] + verdicts["differs"]
    if not total:
        return "there is no theory for this case"
    if verdicts["agrees"] == total:
        return f"theory agrees in all {total:,} rows" if total > 1 else "theory agrees in its one row"
    words = f"theory agrees in {verdicts['agrees']:,} of {counted(total, 'row')}"
    if verdicts["differs"]:
        words += f", differs in {verdicts['differs']:,}"
    if verdicts["undecided"]:
        words += f", {verdicts['undecided']:,} undecided ({_main_reason(judged)})"
    return words


def headline(compared: pd.DataFrame) -> str:
    """Return the whole table's verdict in one sentence."""
    verdicts = Counter(compared["verdict"])
    total = verdicts["agrees"] + verdicts["undecided"] + verdicts["differs"]
    if not total:
        return "There is no theory for any row; what was measured stands alone."
    begin = "No row differs" if not verdicts["differs"] else f"{counted(verdicts['differs'], 'row')} differ"
    if verdicts["differs"] == 1:
        begin = "1 row differs"
    text = f"{begin}: theory and simulation agree in {verdicts['agrees']:,} of {counted(total, 'row')}"
    if verdicts["undecided"]:
        rest = (
            "stays undecided, with its reason"
            if verdicts["undecided"] == 1
            else "stay undecided, each with its reason"
        )
        text += f", and {verdicts['undecided']:,} {rest}"
    return text + "."


def draws_words(compared: pd.DataFrame, command: str) -> str:
    """Return how many draws would settle the rows of a compared table; empty where more draws settle nothing.

    Parameters
    ----------
    compared : DataFrame
    command : str
        What asks for a number of draws, in which ``{}`` stands for it.
    """
    from varprop.comparison import draws_to_settle

    open_rows = compared[compared["verdict"] == "undecided"]
    needed = np.unique(open_rows["draws_needed"].dropna())
    needed = needed[needed <= MOST_DRAWS]  # nobody can ask for more
    if not len(needed):
        return ""
    steps = draws_to_settle(compared, [_rounded_up(n) for n in needed])
    last = steps.to_dict("records")[-1]
    most = next(step for step in steps.to_dict("records") if step["share"] >= _MOST * last["share"])
    # A few rows that ask for far more than all others are not worth everybody's time.
    if last["draws"] > _FAR * most["draws"]:
        last = most
    words = f"{percent(last['share'])} of these rows"
    if last["open"] <= _FEW:
        words = f"all but {last['open']} of these rows" if last["open"] else "all of these rows"
    first = ""
    if last["draws"] > 2 * most["draws"] and most["settled"] > (compared["verdict"] != "undecided").sum():
        first = f"{most['draws']:,} draws settle {percent(most['share'])} of these rows, "
        words = words.removesuffix(" of these rows")
    settle = "" if first else " draws settle"
    return f"{first}{last['draws']:,}{settle} {words}: {command.format(last['draws'])}"


def _rounded_up(draws: float) -> int:
    """Return the least whole number of two digits and zeros that is as large."""
    unit = 10.0 ** max(int(np.floor(np.log10(draws))) - 1, 0)
    return int(np.ceil(draws / unit) * unit)


def counts(compared: pd.DataFrame) -> dict[str, int]:
    """Return the number of rows by verdict, all four verdicts in their order."""
    verdicts = Counter(compared["verdict"])
    return {name: verdicts[name] for name in VERDICTS}


def _behaviour(found: Diagnosis, known: pd.DataFrame) -> tuple[str, str, list[str]]:
    size = _values(known, "preactivation_second_moment")
    if len(size) and (size == 0).all():
        return "bad", "no signal", ["every pre-activation is exactly zero, so no unit tells inputs apart"]
    words = [f"pre-activations have mean square {number(value)}" for value in size if len(size) == 1]
    bad = []
    # That it begins with the very first step goes without saying.
    for side, way, start in (("signal", found.forward, 2), ("gradient", found.backward, len(size) - 1)):
        if way.health != "unknown":
            first = f", first at {way.where}" if way.where and way.layer != start else ""
            words.append(f"{side} {_DOES[way.health]} ({factor_text(way.log_factor)}{first})")
        if way.health in ("vanishing", "exploding"):
            bad.append(f"{side} {_DOES[way.health]}")
    if len(bad) == 2 and found.forward.health == found.backward.health:
        bad = ["both vanish" if found.forward.health == "vanishing" else "both explode"]
    kinds = {finding.kind for finding in found.findings if finding.grave}
    words += [_saturation(known, len(size))] if "dead" not in kinds else ["almost all units are dead"]
    if bad or kinds & {"saturated", "dead"}:
        return "bad", ", ".join(bad) or ("dead" if "dead" in kinds else "saturated"), words
    return ("good", "healthy", words) if found.healthy else ("open", "not known", words)


def _saturation(known: pd.DataFrame, layers: int) -> str:
    """Say how many units saturate, where the activation is not flat on one side by design, as relu is."""
    off = known.loc[(known["quantity"] == "inactive_fraction") & (known["value"] > 0), "layer"]
    rows = known[(known["quantity"] == "saturated_fraction") & ~known["layer"].isin(off)]
    share = float(rows["value"].max()) if len(rows) else 0.0
    if not share >= 0.005:
        return ""
    return f"{'up to ' if layers > 1 else ''}{percent(share)} of the units are saturated"


def _known(theory: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """Return the predicted rows that have a number, and the measured ones where theory has none."""
    import pandas as pd

    has = theory["value"].notna() | theory["log_value"].notna()
    predicted = theory.loc[has, list(_COLUMNS)]
    taken = set(zip(predicted["layer"], predicted["quantity"], strict=True))
    keys = zip(measured["layer"], measured["quantity"], strict=True)
    rest = measured.loc[[key not in taken for key in keys], list(_COLUMNS)]
    return pd.concat([predicted, rest], ignore_index=True) if len(rest) else predicted


def _values(known: pd.DataFrame, quantity: str) -> np.ndarray:
    """Return a quantity by layer; 1e-400, which a float cannot hold, is not zero."""
    rows = known[known["quantity"] == quantity]
    value = rows["value"].to_numpy(dtype=float)
    log_value = rows["log_value"].to_numpy(dtype=float)
    return np.where((value == 0) & np.isfinite(log_value), np.finfo(float).tiny, value)


def _main_reason(judged: pd.DataFrame) -> str:
    reasons = Counter(str(r).split(":")[0] for r in judged.loc[judged["verdict"] == "undecided", "reason"])
    reason = reasons.most_common(1)[0][0]
    return _REASONS.get(reason, reason or "no reason given")


def _sentence(parts: list[str]) -> str:
    *first, last = [part for part in parts if part]
    text = f"{', '.join(first)}; {last}." if first else f"{last}."
    return text[0].upper() + text[1:]
