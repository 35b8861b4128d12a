"""The verdict on a case in one sentence, and on a study in another."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from varprop.reporting.numerals import counted, number, percent
from varprop.results.health import factor_text, health
from varprop.results.schema import VERDICTS

if TYPE_CHECKING:
    import pandas as pd

_FORWARD = {
    "healthy": "signal keeps its size",
    "vanishing": "signal vanishes",
    "exploding": "signal explodes",
}
_BACKWARD = {
    "healthy": "gradient keeps its size",
    "vanishing": "gradient vanishes",
    "exploding": "gradient explodes",
}
_REASONS = {
    "finite_width": "finite width",
    "heavy_tail": "heavy tail",
    "noise": "too few draws",
}


def verdict(
    case: str,
    predicted: pd.DataFrame,
    simulated: pd.DataFrame,
    compared: pd.DataFrame,
    *,
    one_sided: bool = False,
) -> tuple[str, str, str]:
    """Return mood, badge and sentence for `case`; what theory leaves open is taken from the simulation.

    `one_sided` says that the activation is flat on one side by design, as relu is: half of the units there
    are no symptom.
    """
    theory = predicted[predicted["case"] == case]
    measured = simulated[simulated["case"] == case]
    judged = compared[compared["case"] == case]
    signal = _logs(theory, measured, "preactivation_second_moment")
    gradient = _logs(theory, measured, "gradient_preactivation")
    saturated = _worst(theory, measured, "saturated_fraction")

    mood, badge, words = _behaviour(signal, gradient, saturated, 0.75 if one_sided else 0.5)
    verdicts = Counter(judged["verdict"])
    if verdicts["differs"]:
        mood, badge = "bad", "theory differs"
    return mood, badge, _sentence([*words, agreement_words(judged)])


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


def counts(compared: pd.DataFrame) -> dict[str, int]:
    """Return the number of rows by verdict, all four verdicts in their order."""
    verdicts = Counter(compared["verdict"])
    return {name: verdicts[name] for name in VERDICTS}


def _behaviour(
    signal: dict[int, float], gradient: dict[int, float], saturated: float, many: float
) -> tuple[str, str, list[str]]:
    if signal and all(log == -math.inf for log in signal.values()):
        return "bad", "no signal", ["every pre-activation is exactly zero, so no unit tells inputs apart"]
    heavy = saturated >= many
    upto = "up to " if len(signal) > 1 else ""
    worth_saying = heavy or (saturated >= 0.005 and many == 0.5)
    full = f"{upto}{percent(saturated)} of the units are saturated" if worth_saying else ""
    if not signal:
        return "open", "not known", []
    if len(signal) < 2:
        size = math.exp(signal[1]) if 1 in signal and signal[1] < 700 else math.inf
        words = [f"pre-activations have mean square {number(size)}"]
        return ("bad", "saturated", [*words, full]) if heavy else ("good", "healthy", [*words, full])
    forward, backward = _gained(signal), -_gained(gradient)
    ahead, back = health(forward), health(backward)
    words = []
    if ahead != "unknown":
        words.append(f"{_FORWARD[ahead]} ({factor_text(forward)})")
    if back != "unknown":
        words.append(f"{_BACKWARD[back]} ({factor_text(backward)})")
    words.append(full)
    bad = [
        f"{side} {'vanishes' if state == 'vanishing' else 'explodes'}"
        for side, state in (("signal", ahead), ("gradient", back))
        if state in ("vanishing", "exploding")
    ]
    if len(bad) == 2 and ahead == back:
        bad = [f"both {'vanish' if ahead == 'vanishing' else 'explode'}"]
    if heavy:
        bad = bad or ["saturated"]
    if bad:
        return "bad", ", ".join(bad), words
    if "unknown" in (ahead, back):
        return "open", "not known", words
    return "good", "healthy", words


def _logs(theory: pd.DataFrame, measured: pd.DataFrame, quantity: str) -> dict[int, float]:
    """Return layer → natural logarithm of the quantity, theory first; layers nobody knows are left out."""
    found: dict[int, float] = {}
    for frame in (measured, theory):
        rows = frame[frame["quantity"] == quantity]
        for layer, value, log_value in zip(rows["layer"], rows["value"], rows["log_value"], strict=True):
            if math.isfinite(log_value):
                found[int(layer)] = float(log_value)
            elif value > 0:
                found[int(layer)] = math.log(value) if math.isfinite(value) else math.inf
            elif value == 0:
                found[int(layer)] = -math.inf
    return dict(sorted(found.items()))


def _gained(logs: dict[int, float]) -> float:
    """Return the logarithm of the last over the first layer's value."""
    if len(logs) < 2:
        return math.nan
    values = list(logs.values())
    return values[-1] - values[0]


def _worst(theory: pd.DataFrame, measured: pd.DataFrame, quantity: str) -> float:
    for frame in (theory, measured):
        worst = frame.loc[frame["quantity"] == quantity, "value"].max()
        if not math.isnan(worst):
            return float(worst)
    return math.nan


def _main_reason(judged: pd.DataFrame) -> str:
    reasons = Counter(str(r).split(":")[0] for r in judged.loc[judged["verdict"] == "undecided", "reason"])
    reason = reasons.most_common(1)[0][0]
    return _REASONS.get(reason, reason or "no reason given")


def _sentence(parts: list[str]) -> str:
    *first, last = [part for part in parts if part]
    text = f"{', '.join(first)}; {last}." if first else f"{last}."
    return text[0].upper() + text[1:]
