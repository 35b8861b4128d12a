"""What to change: module by module, the standard deviation now and the suggested one, and what that does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from varprop._validation import InputError, described
from varprop.diagnosis.cases import cases
from varprop.diagnosis.layer_advice import LAST, SAME, ZERO, bias_reason, layer_changes, level_change
from varprop.diagnosis.verdict import Diagnosis, judge
from varprop.results.health import LIMIT, factor_text
from varprop.spec.traced import Graph, Node

if TYPE_CHECKING:
    import pandas as pd

CHANGE_COLUMNS = (
    "case", "module", "kind", "parameter", "now", "suggested", "gain", "fan_in", "rule", "effect",
)  # fmt: skip
_EMBEDDING = 0.02
"""Standard deviation of GPT-2's embedding (Radford et al. 2019, released code), which is also its output layer."""
_NORMS = frozenset(("batch_norm", "layer_norm", "rms_norm", "group_norm"))
_MATRICES = frozenset(("linear", "convolution", "transposed_convolution"))


def suggest(table: pd.DataFrame, *, limit: float = LIMIT) -> pd.DataFrame:
    """Return the changes that theory suggests, case by case.

    Weights before an activation get the gain that keeps signal and gradient level over the depth (He's for ReLU), the
    last layer gain 1, biases zero. In an audit, a residual branch's last weights are divided by the root of the number
    of branches, and an embedding gets GPT-2's 0.02 where the loss starts too large. What no scale of a weight changes
    is said so in ``rule``, with no number.

    Parameters
    ----------
    table : DataFrame
        Of `varprop.predict`, `varprop.simulate` or `varprop.compare`, or all rows of `varprop.audit`.
    limit : float
        See `varprop.diagnose`.

    Returns
    -------
    DataFrame
        One row per parameter of a case that is unhealthy: ``case, module, kind, parameter, now, suggested, gain,
        fan_in, rule, effect``; none for a healthy case. ``now`` and ``suggested`` are standard deviations, ``gain`` is
        ``suggested`` times the root of the fan-in. For one audited model, give it to ``varprop.audit(…, changes=…)``
        for a dry run.

    Raises
    ------
    InputError
        If the table lacks what advice needs, or a case cannot be judged.

    Examples
    --------
    >>> import varprop as vp
    >>> deep = vp.mlp("100x50", "relu", "lecun_normal", input=vp.half_on(100))
    >>> vp.suggest(vp.predict(deep))[["module", "parameter", "now", "suggested", "rule"]].head(2).round(3)
        module parameter  now  suggested              rule
    0  layer 1    weight  0.1      0.141  He (gain sqrt 2)
    1  layer 2    weight  0.1      0.141  He (gain sqrt 2)
    """
    import pandas as pd

    parts = []
    for case, rows in cases(table).items():
        found = judge(rows, limit)
        if found.health == "unknown":
            given = described(f"{case[:80]!r}, which cannot be judged ({'; '.join(found.sentences()[1:])})")
            raise InputError("table", given, "at least two layers, with signal and gradient, of every case")
        parts.append(changes(rows, found))
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def changes(rows: pd.DataFrame, diagnosis: Diagnosis) -> pd.DataFrame:
    """Return the changes suggested for one case, as `suggest` does; none if it is not unhealthy.

    Parameters
    ----------
    rows : DataFrame
        As `varprop.diagnosis.cases.cases` returns it.
    diagnosis : Diagnosis
        Of these.
    """
    import pandas as pd

    found: list[dict[str, Any]] = []
    if diagnosis.health == "unhealthy":
        audited = bool((rows["op"] != "").any())
        found = _Adviser(rows, diagnosis).changes() if audited else layer_changes(rows)
        found = found or [_nothing(diagnosis)]
        found = [{"case": rows["case"].iloc[0], **row} for row in found]
    table = pd.DataFrame(found, columns=list(CHANGE_COLUMNS))
    return table.astype({"now": "float64", "suggested": "float64", "gain": "float64", "fan_in": "float64"})


def _nothing(diagnosis: Diagnosis) -> dict[str, Any]:
    """Say that nothing was found, which an empty table would not."""
    row = dict.fromkeys(CHANGE_COLUMNS[1:], math.nan) | dict.fromkeys(("kind", "parameter", "effect"), "")
    return row | {"module": "(model)", "rule": "no scale of a weight is known that changes this"}


class _Adviser:
    def __init__(self, rows: pd.DataFrame, diagnosis: Diagnosis) -> None:
        self.graph, self.diagnosis = _graph(rows), diagnosis
        keys = zip(rows["layer"], rows["parameter"], rows["quantity"], strict=True)
        self.values = {(int(a), b, c): float(d) for (a, b, c), d in zip(keys, rows["number"], strict=True)}
        self.adds = [n for n in self.graph.nodes if (n.index, "", "residual_growth") in self.values]
        self.last = {index for node in self.adds if (index := self._branch_end(node)) is not None}
        self.depth = max(sum(n.op in _MATRICES and self._before(n) != "" for n in self.graph.nodes), 1)

    def changes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        # A residual block stands between two additions; the stream carries depth, the branch is short.
        for node in self.graph.nodes:
            if node.call > 1:
                continue
            if node.op in _MATRICES and "weight" in node.parameters:
                found += self._matrix(node)
            elif node.op == "attention" and self.adds:
                found += self._rescaled(node, "out_proj.weight")
            elif node.op == "embedding" and self._loss_too_large():
                found += self._embedding(node)
        # The last layer alone, or nothing: then it is the normalisations, which divide every scale out.
        return found if any(row["rule"] not in (LAST, ZERO) for row in found) else self._no_scale() or found

    def _matrix(self, node: Node) -> list[dict[str, Any]]:
        spelling = self._before(node)
        fan_in, now = self.values.get((node.index, "weight", "fan_in")), self._std(node, "weight")
        if fan_in is None or now is None or self._normalised(node):
            return []
        rule, effect, gain, bias_variance = LAST, "keeps the second moment", 1.0, 0.0
        depth = self.depth if not self.adds else 1
        if spelling:
            change = level_change(spelling, now * math.sqrt(fan_in), self._std(node, "bias") or 0.0, depth)
            rule, effect, gain, bias_variance = change.rule, change.effect, change.gain, change.bias_variance
        elif node.index in self.last:
            gain, rule = 1 / math.sqrt(len(self.adds)), f"1/sqrt of {len(self.adds)} residual branches"
            effect = f"the stream grows at most {factor_text(1.0)} instead of {factor_text(self._stream())}"
        if spelling and node.index in self.last:
            gain /= math.sqrt(len(self.adds))
        suggested = gain / math.sqrt(fan_in)
        rows = []
        if abs(now / suggested - 1) > SAME if suggested else now > 0:
            rows.append(self._row(node, "weight", now, suggested, fan_in, rule, effect))
        bias, wanted = self._std(node, "bias"), math.sqrt(bias_variance)
        if (rows or wanted) and bias is not None and abs(bias - wanted) > SAME * wanted:
            rows.append(self._row(node, "bias", bias, wanted, fan_in, *bias_reason(wanted)))
        return rows

    def _rescaled(self, node: Node, parameter: str) -> list[dict[str, Any]]:
        now, fan_in = self._std(node, parameter), self.values.get((node.index, parameter, "fan_in"))
        if now is None or fan_in is None or self._stream() < math.log(4.0):
            return []
        suggested = min(now, 1 / math.sqrt(fan_in)) / math.sqrt(len(self.adds))
        rule = f"1/sqrt of {len(self.adds)} residual branches"
        return [self._row(node, parameter, now, suggested, fan_in, rule, "the stream keeps its size")]

    def _embedding(self, node: Node) -> list[dict[str, Any]]:
        now, suggested = self._std(node, "weight"), _EMBEDDING
        if now is None or now <= suggested * (1 + SAME):
            return []
        effect = f"logits of a tied output shrink by {now / suggested:.3g}, the loss starts near log K"
        return [self._row(node, "weight", now, suggested, 1.0, "0.02, as GPT-2's", effect)]

    def _no_scale(self) -> list[dict[str, Any]]:
        """Say so where normalisations make every scale of a weight irrelevant."""
        norms = [node for node in self.graph.nodes if node.op == "batch_norm"]
        if not norms or self.diagnosis.backward.health == "healthy":
            return []
        node = norms[0]
        rule = "no scale of a weight changes this: batch normalisation divides it out; use residual branches"
        each = self.diagnosis.backward.typical
        row = self._row(node, "", math.nan, math.nan, math.nan, rule, f"gradients grow ×{each:.4g} a layer")
        return [row | {"gain": math.nan}]

    def _row(
        self, node: Node, parameter: str, now: float, suggested: float, fan_in: float, rule: str, effect: str
    ) -> dict[str, Any]:
        gain = suggested * math.sqrt(fan_in) if parameter.endswith("weight") else math.nan
        return dict(
            zip(
                CHANGE_COLUMNS[1:],
                (node.module, node.kind, parameter, now, suggested, gain, fan_in, rule, effect),
                strict=True,
            )
        )

    def _std(self, node: Node, parameter: str) -> float | None:
        return self.values.get((node.index, parameter, "parameter_std"))

    def _before(self, node: Node) -> str:
        return str(node.attributes["activation"])

    def _normalised(self, node: Node) -> bool:
        following = self.graph.follow(node.index, ("reshape", "dropout"))
        return following is not None and following.op in _NORMS

    def _stream(self) -> float:
        """Logarithm of what all residual additions multiply the stream by."""
        growths = [self.values[node.index, "", "residual_growth"] for node in self.adds]
        return sum(math.log(growth) for growth in growths if growth > 0)

    def _branch_end(self, node: Node) -> int | None:
        """The last matrix of the branch that a residual addition takes in."""
        skip = min(node.sources)
        index = max(node.sources)
        while index > 0 and index != skip:
            here = self.graph[index]
            if here.op in _MATRICES:
                return index
            if len(here.sources) != 1:
                return None
            index = here.sources[0]
        return None

    def _loss_too_large(self) -> bool:
        return any(finding.kind == "loss" and finding.grave for finding in self.diagnosis.findings)


def _graph(rows: pd.DataFrame) -> Graph:
    """Return the graph that the rows of an audit describe, as far as advice reads it."""
    nodes = []
    for number, (index, own) in enumerate(rows.groupby("layer"), start=1):
        first = own.iloc[0]
        sources = tuple(int(source) for source in first["sources"].split())
        if index != number or any(source >= number for source in sources):
            raise InputError(
                "table", described(f"an audit without rows of node {number}"), "all rows of vp.audit"
            )
        parameters = tuple(dict.fromkeys(name for name in own["parameter"] if name))
        known = {"activation": first["activation"]}
        place = (number, first["module"], first["kind"], first["op"], int(first["call"]), sources)
        nodes.append(Node(*place, shape=(), attributes=known, parameters=parameters))
    return Graph(tuple(nodes))
