"""The document of a study: which question, which answer, which pictures and tables, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from varprop.plots.labels import short
from varprop.plots.style import VERDICT_COLORS, Look, looks
from varprop.reporting.document import (
    Block,
    Card,
    Document,
    Figure,
    Finding,
    Paragraph,
    Section,
    Share,
    Table,
)
from varprop.reporting.evidence import SEPARATOR, Evidence, Group, groups
from varprop.reporting.numerals import beyond, counted, number, percent, spelled_range
from varprop.reporting.pictures import (
    card_figure,
    fractions_figure,
    overview_figures,
    parity_figure,
)
from varprop.reporting.sentences import advice, counts, draws_words, headline, verdict
from varprop.reporting.shapes import densities_figure
from varprop.results.schema import QUANTITIES, VERDICTS

if TYPE_CHECKING:
    import pandas as pd

LISTED = 60
"""Most rows of the list of rows that do not agree; all are in the CSV."""

_LAYER_QUANTITIES = (
    "preactivation_variance",
    "saturated_fraction",
    "inactive_fraction",
    "dead_fraction",
    "gradient_preactivation",
    "gradient_weight",
)


def study_document(evidence: Evidence) -> Document:
    """Return the report on `evidence`, without its colophon."""
    found = groups(evidence.study)
    styles = _styles(found)
    cards = tuple(_card(evidence, group, styles, i) for i, group in enumerate(found, start=1))
    return Document(
        title=short(evidence.study.title or evidence.study.name, 120),
        question=question(evidence, found),
        headline=headline(evidence.compared),
        shares=tuple(
            Share(name, count, VERDICT_COLORS[name]) for name, count in counts(evidence.compared).items()
        ),
        cards=cards,
        overview=overview_figures(evidence, found, styles),
        sections=_sections(evidence, found, styles),
    )


def question(evidence: Evidence, found: Sequence[Group]) -> str:
    """Say what was asked and how it was answered."""
    study = evidence.study
    initializers = len({name for group in found for name in group.names.values()})
    networks = counted(len(study.networks), "network")
    what = "What does 1 initializer" if initializers == 1 else f"What do {initializers} initializers"
    return (
        f"{what} do to {networks} before training: how large are signal and gradient in every layer, "
        "and which share of the units is saturated, inactive or dead? Theory computed each network; "
        f"Monte Carlo drew each one {spelled_range(evidence.drawn, 'time')} (seed {study.seed})."
    )


def _styles(found: Sequence[Group]) -> dict[str, Look]:
    """Give an initializer the same look in every group, whatever a name adds to it."""
    keys: dict[str, str] = {}
    for group in found:
        first = {case: name.split(SEPARATOR)[0] for case, name in group.names.items()}
        keys |= first if len(set(first.values())) == len(first) else group.names
    by_key = looks(keys.values())
    return {case: by_key[key] for case, key in keys.items()}


def _card(evidence: Evidence, group: Group, styles: Mapping[str, Look], i: int) -> Card:
    findings = []
    for case in group.cases:
        mood, badge, sentence = verdict(case, evidence.predicted, evidence.simulated, evidence.compared)
        findings.append(Finding(short(group.names[case]), styles[case], mood, badge, sentence))
    figure = card_figure(evidence, group, styles, f"card-{i}")
    return Card(
        short(group.title, 60), short(group.subtitle, 80), figure, tuple(findings), _advice(group, findings)
    )


def _advice(group: Group, findings: Sequence[Finding]) -> str:
    """Say what to change if anything is wrong and the networks have one hidden activation with a name."""
    from varprop.activations import registry

    hidden = {layer.activation.name for network in group.networks for layer in network.layers[:-1]}
    named = len(hidden) == 1 and next(iter(hidden)).split("(")[0] in registry
    wrong = any(finding.mood == "bad" for finding in findings)
    return advice(hidden.pop(), group.depth - 1) if named and wrong and group.depth > 2 else ""


def _sections(evidence: Evidence, found: Sequence[Group], styles: Mapping[str, Look]) -> tuple[Section, ...]:
    fractions = [
        fractions_figure(evidence, g, styles, f"saturation-{i}") for i, g in enumerate(found, start=1)
    ]
    densities = [
        densities_figure(evidence, g, styles, f"densities-{i}") for i, g in enumerate(found, start=1)
    ]
    parts = [
        _section(
            "Saturated, inactive and dead units",
            "A unit is saturated where its activation is almost flat, inactive where the activation switches "
            "it off, dead if it is off for every input. Such units pass little or no gradient.",
            fractions,
        ),
        _section(
            "The shape of the pre-activations",
            "In a wide layer every pre-activation is a sum of many independent terms and so nearly Gaussian. "
            "In narrow or deep networks the tails grow heavier than the line, and where biases dominate the "
            "shape is theirs.",
            densities,
        ),
        Section(
            "Does theory hold?",
            (
                Paragraph(
                    f"A row agrees if its confidence interval ({percent(1 - evidence.study.alpha)}) lies inside the "
                    f"margin ({percent(evidence.study.margin)} of the prediction, 0.01 for fractions), and "
                    "differs if the data refute the theory at a family-wise error rate of "
                    f"{percent(evidence.study.alpha)}. Everything else is undecided and says why."
                ),
                *_more_draws(evidence.compared),
                parity_figure(evidence),
                _by_quantity(evidence.compared),
                *_unsettled(evidence.compared),
            ),
        ),
        Section(
            "Layer by layer", tuple(_layers(evidence, group, case) for group in found for case in group.cases)
        ),
        Section("What the words mean", (_glossary(evidence.compared),)),
    ]
    return tuple(part for part in parts if part is not None)


def _more_draws(compared: pd.DataFrame) -> tuple[Paragraph, ...]:
    words = draws_words(compared, "varprop report … --draws {}.")
    return (Paragraph(words),) if words else ()


def _section(title: str, text: str, figures: Sequence[Figure | None]) -> Section | None:
    drawn = [figure for figure in figures if figure is not None]
    return Section(title, (Paragraph(text), *drawn)) if drawn else None


def _by_quantity(compared: pd.DataFrame) -> Table:
    rows = []
    for name, quantity in QUANTITIES.items():
        own = compared[compared["quantity"] == name]
        if len(own):
            rows.append((quantity.title, *(str((own["verdict"] == v).sum()) for v in VERDICTS)))
    return Table(
        "Verdicts by quantity", ("quantity", *VERDICTS), tuple(rows), (False, *[True] * len(VERDICTS))
    )


def _unsettled(compared: pd.DataFrame) -> list[Block]:
    rows = compared[compared["verdict"].isin(("differs", "undecided"))]
    if not len(rows):
        return [Paragraph("Every row that has a prediction agrees.")]
    ordered = rows.sort_values("verdict", kind="stable")  # "differs" before "undecided"
    listed = tuple(
        (
            short(r["case"]),
            str(r["layer"]),
            QUANTITIES[r["quantity"]].title,
            number(r["predicted"]),
            number(r["measured"]),
            f"{number(r['ci_low'])} to {number(r['ci_high'])}",
            r["order"],
            r["verdict"],
            short(r["reason"].replace("_", " "), 120),
            number(r["draws_needed"], 3),
        )
        for r in ordered.head(LISTED).to_dict("records")
    )
    more = len(rows) - len(listed)
    return [
        Table(
            "Rows that do not agree, with their reasons",
            (
                "case",
                "layer",
                "quantity",
                "predicted",
                "measured",
                "95 % interval",
                "order",
                "verdict",
                "reason",
                "draws needed",
            ),
            listed,
            (False, True, False, True, True, True, False, False, False, True),
            folded=True,
            note=f"{counted(more, 'more row')} in comparison.csv." if more else "",
        )
    ]


def _layers(evidence: Evidence, group: Group, case: str) -> Table:
    theory = _pivot(evidence.predicted, case)
    measured = _pivot(evidence.simulated, case)
    shown = [
        q
        for q in _LAYER_QUANTITIES
        if any(theory.get((layer, q), "–") not in ("–", "0") for layer in range(1, group.depth + 1))
        or any(measured.get((layer, q), "–") not in ("–", "0") for layer in range(1, group.depth + 1))
    ]
    network = next(n for n in group.networks if n.case == case)
    rows = []
    for layer in range(1, group.depth + 1):
        cells = [str(layer), f"{network.widths[layer]:,}"]
        for quantity in shown:
            cells += [theory.get((layer, quantity), "–"), measured.get((layer, quantity), "–")]
        rows.append(tuple(cells))
    heads = [f"{QUANTITIES[q].title}, {side}" for q in shown for side in ("theory", "measured")]
    return Table(
        f"{short(case)} ({group.subtitle})",
        ("layer", "width", *heads),
        tuple(rows),
        tuple([True] * (2 + len(heads))),
        folded=True,
    )


def _pivot(frame: pd.DataFrame, case: str) -> dict[tuple[int, str], str]:
    rows = frame[frame["case"] == case]
    errors = rows["std_error"] if "std_error" in rows else [float("nan")] * len(rows)
    found = {}
    for layer, quantity, value, log_value, error in zip(
        rows["layer"], rows["quantity"], rows["value"], rows["log_value"], errors, strict=True
    ):
        text = beyond(float(value), float(log_value))
        found[int(layer), str(quantity)] = f"{text} ± {number(error, 2)}" if error > 0 else text
    return found


def _glossary(compared: pd.DataFrame) -> Table:
    present = set(compared["quantity"])
    rows = [(q.title, name, q.meaning) for name, q in QUANTITIES.items() if name in present]
    return Table("Quantities", ("quantity", "in the tables", "meaning"), tuple(rows), folded=True)
