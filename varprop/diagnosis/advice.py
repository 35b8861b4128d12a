"""What to change: module by module, the standard deviation now and the suggested one, and what that does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from varprop.diagnosis.gains import course, level_gain
from varprop.diagnosis.verdict import Diagnosis
from varprop.results.health import factor_text
from varprop.spec.graph import Graph, Node

if TYPE_CHECKING:
    import pandas as pd

CHANGE_COLUMNS = ("module", "kind", "parameter", "now", "suggested", "gain", "fan_in", "rule", "effect")
_SAME = 0.05
_LAST, _ZERO = "gain 1: no activation after it", "zero"
_EMBEDDING = 0.02
"""Standard deviation of GPT-2's embedding (Radford et al. 2019, released code), which is also its output layer."""
_NORMS = frozenset(("batch_norm", "layer_norm", "rms_norm", "group_norm"))
_MATRICES = frozenset(("linear", "convolution", "transposed_convolution"))


def suggested_changes(frame: pd.DataFrame, diagnosis: Diagnosis) -> pd.DataFrame:
    """Return the changes that theory suggests for an unhealthy model; no rows for a healthy one.

    Weights before an activation get the gain that keeps signal and gradient level over the model's depth
    (He's for ReLU),
    the last layer gain 1, biases zero; a residual branch's last weights are divided by the root of the
    number of branches;
    an embedding gets GPT-2's 0.02 where the loss starts too large. A growth that no scale of a weight changes (batch
    normalisation's) is said so in ``rule``, with no number.

    Parameters
    ----------
    frame : DataFrame
        An audit's table, with the graph in ``attrs``.
    diagnosis : Diagnosis

    Returns
    -------
    DataFrame
        `CHANGE_COLUMNS`. ``now`` and ``suggested`` are standard deviations; ``gain`` is ``suggested``
        times the root of the fan-in.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    if not diagnosis.healthy and "graph" in frame.attrs:
        rows = list(_Adviser(frame, Graph.from_plain(frame.attrs["graph"]), diagnosis).changes())
    table = pd.DataFrame(rows, columns=list(CHANGE_COLUMNS))
    return table.astype({"now": "float64", "suggested": "float64", "gain": "float64", "fan_in": "float64"})


class _Adviser:
    def __init__(self, frame: pd.DataFrame, graph: Graph, diagnosis: Diagnosis) -> None:
        self.graph, self.diagnosis = graph, diagnosis
        measured = frame[["layer", "parameter", "quantity", "measured"]].to_numpy()
        self.values = {(int(a), str(b), str(c)): float(d) for a, b, c, d in measured}
        self.parameters = frame[frame["quantity"] == "parameter_std"][["layer", "parameter"]].to_numpy()
        self.adds = [n for n in graph.nodes if (n.index, "", "residual_growth") in self.values]
        self.last = {index for node in self.adds if (index := self._branch_end(node)) is not None}
        self.depth = max(sum(node.op in _MATRICES and self._before(node) != "" for node in graph.nodes), 1)

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
        return found if any(row["rule"] not in (_LAST, _ZERO) for row in found) else self._no_scale() or found

    def _matrix(self, node: Node) -> list[dict[str, Any]]:
        spelling = self._before(node)
        fan_in, now = self.values.get((node.index, "weight", "fan_in")), self._std(node, "weight")
        if fan_in is None or now is None or self._normalised(node):
            return []
        rule, effect, gain, bias_variance = "", "", 1.0, 0.0
        depth = self.depth if not self.adds else 1
        if spelling:
            best = level_gain(spelling, depth)
            gain, bias_variance = best.gain, best.bias_variance
            bias_now = self._std(node, "bias") or 0.0
            current = course(spelling, now * math.sqrt(fan_in), depth, bias_variance=bias_now**2)
            rule = _name(spelling, gain)
            effect = (
                f"forward {factor_text(best.forward)}, backward {factor_text(best.backward)} over {depth} layers "
                f"(now {factor_text(current.forward)}, {factor_text(current.backward)})"
            )
        elif node.index in self.last:
            gain, rule = 1 / math.sqrt(len(self.adds)), f"1/sqrt of {len(self.adds)} residual branches"
            effect = f"the stream grows at most {factor_text(1.0)} instead of {factor_text(self._stream())}"
        else:
            rule, effect = _LAST, "keeps the second moment"
        if spelling and node.index in self.last:
            gain /= math.sqrt(len(self.adds))
        suggested = gain / math.sqrt(fan_in)
        rows = []
        if abs(now / suggested - 1) > _SAME if suggested else now > 0:
            rows.append(self._row(node, "weight", now, suggested, fan_in, rule, effect))
        bias, wanted = self._std(node, "bias"), math.sqrt(bias_variance)
        if (rows or wanted) and bias is not None and abs(bias - wanted) > _SAME * wanted:
            why = (
                "without it no gain keeps both directions level"
                if wanted
                else "a random bias adds to every variance"
            )
            rows.append(self._row(node, "bias", bias, wanted, fan_in, "normal" if wanted else _ZERO, why))
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
        if now is None or now <= suggested * (1 + _SAME):
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
                CHANGE_COLUMNS,
                (node.module, node.kind, parameter, now, suggested, gain, fan_in, rule, effect),
                strict=True,
            )
        )

    def _std(self, node: Node, parameter: str) -> float | None:
        return self.values.get((node.index, parameter, "parameter_std"))

    def _before(self, node: Node) -> str:
        return self.graph.activation_after(node.index)

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


def _name(spelling: str, gain: float) -> str:
    if spelling == "relu":
        return "He (gain sqrt 2)"
    if spelling.startswith("leaky_relu"):
        return f"He for {spelling} (gain {gain:.4g})"
    return f"gain {gain:.4g}: best of both directions for {spelling}"
