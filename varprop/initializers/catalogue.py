"""Every initializer by name, as one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from varprop.initializers.base import examples, initializer

if TYPE_CHECKING:
    import pandas as pd


def table(fan_in: int = 100, fan_out: int = 100) -> pd.DataFrame:
    """Return every registered initializer with its law for the stated fans.

    Parameters
    ----------
    fan_in, fan_out : int
        Inputs and outputs of the layer, at least 1.

    Returns
    -------
    DataFrame
        One row per name: ``initializer`` (a spelling with the required arguments filled in), ``library``
        (``literature``, ``keras`` or ``torch``), ``family``, ``mean``, ``variance``, ``std``,
        ``excess_kurtosis`` and ``iid`` of one entry, what the law ``preserves``, the activations it
        ``suits``, ``biases`` (the bias law of a whole-layer preset) and ``source``.

    Examples
    --------
    >>> rows = table(fan_in=500, fan_out=100).set_index("initializer")
    >>> rows["family"]["keras.he_normal"], round(float(rows["variance"]["keras.he_normal"]), 6)
    ('truncated_normal', 0.004)
    """
    import pandas as pd

    rows = []
    for spelling in examples.values():
        entry = initializer(spelling)
        law = entry.law(fan_in, fan_out)
        library = spelling.split(".")[0] if spelling.startswith(("keras.", "torch.")) else "literature"
        rows.append(
            {
                "initializer": spelling,
                "library": library,
                "family": law.family,
                "mean": law.mean,
                "variance": law.variance,
                "std": law.std,
                "excess_kurtosis": law.excess_kurtosis,
                "iid": law.iid,
                "preserves": entry.preserves,
                "suits": entry.suits,
                "biases": entry.biases or "",
                "source": entry.source,
            }
        )
    return pd.DataFrame(rows)
