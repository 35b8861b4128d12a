"""How a report was made: versions, seed, digest, platform, durations."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from varprop._validation import InputError
from varprop.reporting.numerals import spelled_range

if TYPE_CHECKING:
    from varprop.reporting.evidence import Evidence
    from varprop.spec import Network, Study

PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "matplotlib",
    "seaborn",
    "jinja2",
    "numba",
    "torch",
    "keras",
)


def provenance(evidence: Evidence) -> dict[str, Any]:
    """Return the facts as plain data, ready for JSON."""
    import varprop

    study = evidence.study
    return {
        "varprop": varprop.__version__,
        "study": study.name,
        "digest": _digest(study),
        "seed": study.seed,
        "draws": study.draws,
        "drawn": list(evidence.drawn),
        "alpha": study.alpha,
        "margin": study.margin,
        "saturation_share": study.saturation_share,
        "networks": [{"case": n.case, "digest": _digest(n)} for n in study.networks],
        "settings": dict(evidence.settings),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "packages": _versions(),
        "seconds": {step: round(seconds, 3) for step, seconds in evidence.seconds.items()},
    }


def colophon(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the facts for readers."""
    seconds = ", ".join(f"{step} {value:.1f} s" for step, value in facts["seconds"].items())
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    return [
        ("varprop", facts["varprop"]),
        (
            "draws and seed",
            f"{spelled_range(tuple(facts['drawn']), 'draw')} of each network, seed {facts['seed']}",
        ),
        ("digest of the study", facts["digest"]),
        ("Python", f"{facts['python']} on {facts['platform']}"),
        ("packages", packages),
        ("time", seconds or "not measured"),
    ]


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed
            continue
    return found


def _digest(spec: Study | Network) -> str | None:
    """Return the digest of a spec, None if a function in it cannot be told apart from others."""
    try:
        return spec.digest()
    except InputError:
        return None
