"""Everything a report consists of, into one folder."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from varprop._validation import InputError
from varprop.reporting.folder import Claim, claimed_folder
from varprop.reporting.html import to_html
from varprop.reporting.markdown import to_markdown
from varprop.reporting.provenance import colophon, provenance
from varprop.reporting.render import render
from varprop.reporting.study_document import study_document
from varprop.reporting.tables import to_csv

if TYPE_CHECKING:
    import pandas as pd

    from varprop.reporting.evidence import Evidence

FILES = (
    "report.html",
    "report.md",
    "layers.csv",
    "comparison.csv",
    "study.toml",
    "provenance.json",
    "figures",
)
"""What a report's folder holds."""


def write_report(evidence: Evidence, output: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write the report on `evidence` and return the path of its page.

    The folder appears whole or not at all; with `force` it takes the place of a former report.

    Raises
    ------
    InputError
        If `output` exists (without `force`), holds anything that is not as a report wrote it, or cannot be
        written.
    """
    with claimed_folder(output, force=force) as claim:
        return fill_report(claim, evidence)


def fill_report(claim: Claim, evidence: Evidence) -> Path:
    """Write the report on `evidence` into the claimed folder and return the path of its page."""
    start = time.perf_counter()
    document = study_document(evidence)
    files: dict[str, str | bytes] = {}
    svgs = {}
    for figure in document.figures():
        svgs[figure.name], png = render(figure, png=figure.filed)
        if figure.filed:
            files[f"figures/{figure.name}.svg"] = svgs[figure.name]
            files[f"figures/{figure.name}.png"] = png
    facts = provenance(evidence)
    facts["seconds"]["figures"] = round(time.perf_counter() - start, 3)
    document = replace(document, colophon=tuple(colophon(facts)))
    files["report.html"] = to_html(document, svgs)
    files["report.md"] = to_markdown(document)
    files["layers.csv"] = to_csv(layers(evidence))
    files["comparison.csv"] = to_csv(evidence.compared)
    files["study.toml"] = _study_text(evidence)
    claim.publish(files, facts)
    return claim.target / "report.html"


def layers(evidence: Evidence) -> pd.DataFrame:
    """Return both engines' tables one below the other; the column ``source`` tells them apart."""
    import pandas as pd

    parts = []
    for source, frame in (("theory", evidence.predicted), ("monte_carlo", evidence.simulated)):
        part = frame.copy()
        part.insert(0, "source", source)
        parts.append(part)
    simulated = parts[1]
    return pd.concat([parts[0].reindex(columns=simulated.columns), simulated], ignore_index=True)


def _study_text(evidence: Evidence) -> str:
    from varprop.spec import write_study

    try:
        return str(write_study(evidence.study))
    except InputError as error:
        return f"# This study has no text: {error}\n"
