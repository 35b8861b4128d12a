"""Networks of a family on the command line: ``varprop describe transformer --preset gpt2 --tokens 64``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from varprop._registry import parse_spelling
from varprop._validation import InputError

if TYPE_CHECKING:
    from varprop.spec import Network

_SHARED = ("input", "activation", "weights", "biases", "head")
"""Options of dense networks that families have too; the rest comes by ``--set``."""


def is_family(text: str) -> bool:
    """Say whether `text` names a family, alone or as ``name(key=value, …)``.

    Examples
    --------
    >>> is_family("transformer(depth=2)"), is_family("study.toml")
    (True, False)
    """
    from varprop.spec import families

    return text.partition("(")[0].strip() in families


def family_networks(text: str, options: Mapping[str, Any], settings: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks that a family's name, its options and settings add up to.

    Parameters
    ----------
    text : str
        ``transformer`` or ``transformer(depth=2, width=64, …)``.
    options : mapping
        Options of the command line; several activations or weights give every combination.
    settings : sequence of str
        ``key=value`` each, the keywords of the family's function.

    Raises
    ------
    InputError
        An option that families do not have, a key given twice, anything the family refuses.

    Examples
    --------
    >>> (network,) = family_networks("resnet(depth=20)", {}, ["batch=2"])
    >>> network.case, network.input.batch
    ('resnet20', 2)
    """
    from varprop.spec import families, parse_input

    name, arguments = parse_spelling(text, "study")
    given: dict[str, Any] = dict(arguments)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key.strip() in given:
            raise InputError("set", setting, "key=value, each key once")
        given[key.strip()] = _value(value.strip())
    for key, value in options.items():
        if key not in _SHARED:
            flag = "--" + key.replace("_", "-")
            raise InputError(
                key, value, f"no {flag} for a family; its own arguments are given by --set key=value"
            )
        if key in given:
            raise InputError(key, value, "each key once")
    if "input" in options:
        given["input"] = parse_input(options["input"])
    given |= {key: options[key] for key in ("biases", "head") if key in options}
    several = "activation" in options or "weights" in options
    networks = []
    for phi in options.get("activation", (None,)):
        for weights in options.get("weights", (None,)):
            own = {k: v for k, v in {"activation": phi, "weights": weights}.items() if v is not None}
            label = " · ".join(v for v in (weights, phi) if v) if several else ""
            titled = {"name": f"{name} · {label}"[:200]} if label and "name" not in given else {}
            networks.append(families.build(name, {**given, **own, **titled}, name))
    return tuple(networks)


def _value(text: str) -> Any:
    """Return a number, true or false as such, a list in brackets, and anything else as text."""
    if text.startswith("[") and text.endswith("]"):
        return [_value(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
