"""Fresh draws of a model: by calling its factory again, or by re-drawing an instance in place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from varprop._random import generator
from varprop._validation import InputError, described
from varprop.adapters.torch.names import check_backend
from varprop.adapters.torch.preserve import as_found, seed_everything

_SIGNIFICANT = 6.0  # standard errors; a module held back wrongly only costs its interval, so the bar is high
_RELATIVE = 0.03


def draw_seed(seed: int, draw: int) -> int:
    """Return the torch seed of one draw.

    Examples
    --------
    >>> draw_seed(0, 1) == draw_seed(0, 1) != draw_seed(0, 2)
    True
    """
    return int(generator(seed, draw).integers(2**62))


def from_factory(factory: Callable[[], Any], draws: int, seed: int) -> Iterator[nn.Module]:
    """Yield one model a draw, built by the user's function under that draw's seed."""
    for draw in range(draws):
        seed_everything(draw_seed(seed, draw))
        yield build(factory)


def build(factory: Callable[[], Any]) -> nn.Module:
    """Call the factory once; its failure is one line that names it."""
    name = getattr(factory, "__qualname__", repr(factory))
    try:
        model = factory()
    except (Exception, SystemExit) as error:
        raise InputError(
            f"factory {name}", described(one_line(error)), "a function that builds a model"
        ) from error
    found: nn.Module = check_model(getattr(model, "_orig_mod", model), f"factory {name}")
    return found


def check_model(model: Any, field: str = "model") -> nn.Module:
    """Return `model` if it is a torch module with parameters that have values."""
    check_backend(model, field)
    if not isinstance(model, nn.Module):
        raise InputError(
            field, described(type(model).__name__), "a torch.nn.Module or a function that builds one"
        )
    if any(isinstance(p, nn.parameter.UninitializedTensorMixin) for p in model.parameters()):
        raise InputError(
            field, described(f"{type(model).__name__} with lazy parameters"), "a model that has run one batch"
        )
    if next(model.parameters(), None) is None:
        raise InputError(
            field, described(f"{type(model).__name__} without parameters"), "at least one parameter"
        )
    return model


def from_instance(
    model: nn.Module, draws: int, seed: int, note: Callable[[str], None]
) -> Iterator[nn.Module]:
    """Yield the same model with new values a draw; give it back as found in the end.

    A module is re-drawn by its ``reset_parameters``, if what that draws looks like what the model has: an
    instance whose weights were set by other means, or trained, would otherwise be audited as a model that it is not.
    Modules that were not re-drawn keep their values and are named in a note. If none can be, the model is one draw.
    """
    with as_found(model) as snapshot:
        seed_everything(draw_seed(seed, 0))
        able = [(name or "(model)", m) for name, m in _children_first(model) if _redraw_of(m) is not None]
        foreign, moving = _try_redraws(model, able)
        snapshot.restore_values()
        redrawn = [m for name, m in able if name not in foreign]
        random = {id(p) for m in redrawn for p in m.parameters(recurse=_whole(m))}
        held = sorted(
            {n.rpartition(".")[0] or "(model)" for n, p in model.named_parameters() if id(p) not in random}
        )
        if foreign:
            note(
                f"not drawn afresh, because reset_parameters draws another law than the model has: {_listed(foreign)}"
            )
        rest = [name for name in held if name not in foreign]
        single = not any(name in moving for name, m in able if m in redrawn)
        if rest and not single:
            note(f"not drawn afresh, for want of reset_parameters: {_listed(rest)}")
        if single:
            note(
                "a single draw, the model as it is: no interval; give a function that builds the model instead"
            )
            seed_everything(draw_seed(seed, 0))
            yield model
            return
        for draw in range(draws):
            snapshot.restore_values()
            seed_everything(draw_seed(seed, draw))
            for module in redrawn:
                redraw = _redraw_of(module)
                if redraw is not None:
                    redraw()
            for parameter in model.parameters():
                parameter.grad = None
            yield model


def one_line(error: BaseException) -> str:
    """Return an exception as one line of text."""
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0] if first else ''}".rstrip(": ")


def _children_first(model: nn.Module) -> list[tuple[str, nn.Module]]:
    # A parent's reset may set what a child's has just drawn (an attention zeroes its output bias).
    return list(reversed(list(model.named_modules())))


def _redraw_of(module: nn.Module) -> Callable[[], Any] | None:
    redraw = getattr(module, "reset_parameters", None)
    if redraw is None and isinstance(module, nn.MultiheadAttention):
        redraw = module._reset_parameters
    has_values = next(module.parameters(recurse=_whole(module)), None) is not None
    return redraw if callable(redraw) and has_values else None


def _whole(module: nn.Module) -> bool:
    return isinstance(module, nn.MultiheadAttention)


def _try_redraws(model: nn.Module, able: list[tuple[str, nn.Module]]) -> tuple[list[str], set[str]]:
    """Re-draw once; name the modules whose moments are then another law's, and those that moved at all."""
    before = {id(p): (_moments(p), p.detach().clone()) for p in model.parameters()}
    for _, module in able:
        redraw = _redraw_of(module)
        if redraw is not None:
            redraw()
    foreign, moving = [], set()
    for name, module in able:
        own = list(module.parameters(recurse=_whole(module)))
        if any(_differ(before[id(p)][0], _moments(p)) for p in own):
            foreign.append(name)
        if any(not torch.equal(before[id(p)][1], p) for p in own):
            moving.add(name)
    return sorted(foreign), moving


def _moments(parameter: torch.Tensor) -> tuple[int, float, float]:
    exact = parameter.detach().double().reshape(-1)
    return exact.numel(), float(exact.mean()), float((exact * exact).mean())


def _differ(old: tuple[int, float, float], new: tuple[int, float, float]) -> bool:
    count, old_mean, old_square = old
    _, new_mean, new_square = new
    level = max(old_square, new_square)
    if level == 0 or (old_square, old_mean) == (new_square, new_mean):
        return False
    if min(old_square, new_square) == 0:
        return True
    # Var(w²) <= 2 (E w²)² for every law of kurtosis at most 3; two samples are compared.
    error_square = level * math.sqrt(2 * 2 / count)
    error_mean = math.sqrt(level * 2 / count)
    square_off = abs(old_square - new_square)
    return (square_off > max(_SIGNIFICANT * error_square, _RELATIVE * level)) or (
        abs(old_mean - new_mean) > max(_SIGNIFICANT * error_mean, _RELATIVE * math.sqrt(level))
    )


def _listed(names: list[str], limit: int = 6) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
