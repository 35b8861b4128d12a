"""What of the machine and the libraries decides the last bits of a block, and what is merely worth knowing.

A sum of products depends on the order of its terms, and that on the BLAS kernel, which OpenBLAS chooses by
the processor (or by ``OPENBLAS_CORETYPE``); NumPy's loops are compiled for several instruction sets, of which
one is chosen at import; exponentials come from NumPy, SciPy and the C library. Two runs that agree in
`environment` give the same bits for the same plan.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from varprop.montecarlo.blocks import FORMAT


@functools.cache
def environment() -> dict[str, str]:
    """Return what must be equal for two runs to give the same bits, by name.

    ``blas`` has the library, its version and its kernel; ``simd`` the instruction sets that NumPy uses;
    ``numba`` also the processor it compiles for (it matters for the compiled kernels only).

    Examples
    --------
    >>> sorted(environment())
    ['blas', 'format', 'libc', 'numba', 'numpy', 'scipy', 'simd', 'varprop']
    """
    import scipy

    import varprop

    return {
        "format": str(FORMAT),
        "varprop": varprop.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "numba": _numba(),
        "blas": _blas(),
        "simd": " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])) or "baseline",
        "libc": " ".join(part for part in platform.libc_ver() if part)
        or f"{platform.system()} {platform.release()}",
    }


def relevant(names: Mapping[str, str], compiled: bool) -> dict[str, str]:
    """Return those of `environment` that can change a run's bits; numba only if the run is compiled."""
    return {name: value for name, value in names.items() if compiled or name != "numba"}


@functools.cache
def notes() -> dict[str, str]:
    """Return what is recorded beside: it tells where a file comes from, and changes no bit by itself."""
    return {"cpu": _processor(), "python": platform.python_version(), "system": platform.platform()}


def _blas() -> str:
    """Name NumPy's BLAS with its kernel; libraries that other packages bring along do not count."""
    from varprop.montecarlo.threads import blas_libraries

    found: list[dict[str, Any]] = blas_libraries()
    home = str(Path(np.__file__).parent)  # wheels keep theirs in numpy.libs or numpy/.dylibs
    own = [library for library in found if library["filepath"].startswith(home)] or found
    names = (("internal_api", ""), ("version", ""), ("architecture", ""))
    texts = {" ".join(str(library.get(key) or none) for key, none in names).strip() for library in own}
    return ", ".join(sorted(texts)) or str(np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"])


def _numba() -> str:
    try:
        versions = [f"{name} {importlib.metadata.version(name)}" for name in ("numba", "llvmlite")]
    except importlib.metadata.PackageNotFoundError:
        return "absent"
    return f"{', '.join(versions)} for {_processor()}"


@functools.cache
def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        if names:
            return f"{names[0]} ({platform.machine()})"
    return f"{platform.processor() or 'unknown'} ({platform.machine()})"
