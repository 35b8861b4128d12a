"""One draw of a transformer, forward and back: weight-free with every quantity, against PyTorch's build and one pass.

``python -m tests.benchmarks.transformers [SHAPE …] [--no-torch] [--rounds N]`` runs every contender in a process of its
own, in turn, and prints medians of seconds and peaks of resident memory over what the imports take. Shapes: ``small``
(GPT-2), ``xl`` (GPT-2 XL; PyTorch needs 14 GiB), ``175b`` (12288 × 96 blocks, 32 tokens; ours alone, since its weights
would be 650 GiB). PyTorch's model is what its users write: modules, normal_, autograd; it measures nothing.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SHAPES = {
    "small": {"depth": 12, "width": 768, "heads": 12, "tokens": 64, "vocabulary": 50257},
    "xl": {"depth": 48, "width": 1600, "heads": 25, "tokens": 64, "vocabulary": 50257},
    "175b": {"depth": 96, "width": 12288, "heads": 96, "tokens": 32, "vocabulary": 50257},
}
WEIGHTLESS = {"175b"}
ROOT = Path(__file__).parents[2]


def ours(shape: dict[str, int]) -> tuple[float, float]:
    """Return seconds and MiB of one draw with every quantity."""
    from varprop.montecarlo.blocks import Block
    from varprop.montecarlo.execution import run_block
    from varprop.montecarlo.planning import make_plan
    from varprop.spec.transformers import transformer

    plan = make_plan(transformer(**shape))  # type: ignore[arg-type]
    before = _resident()
    start = time.perf_counter()
    run_block(plan, Block(0, 1))
    return time.perf_counter() - start, _resident() - before


def pytorch(shape: dict[str, int]) -> tuple[float, float]:
    """Return seconds and MiB of building the model and one pass forward and back."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    width, heads, count = shape["width"], shape["heads"], shape["tokens"]

    class Block_(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            q, k, v = self.qkv(self.one(x)).split(width, dim=2)
            q, k, v = (a.reshape(1, count, heads, -1).transpose(1, 2) for a in (q, k, v))
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(mixed.transpose(1, 2).reshape(1, count, width))
            return x + self.down(F.gelu(self.up(self.two(x))))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.places = nn.Embedding(shape["vocabulary"], width), nn.Embedding(count, width)
            self.blocks = nn.Sequential(*(Block_() for _ in range(shape["depth"])))
            self.last = nn.LayerNorm(width)
            for p in self.parameters():
                if p.ndim == 2:
                    nn.init.normal_(p, std=0.02)

        def forward(self, ids: Any) -> Any:
            x = self.blocks(self.table(ids) + self.places.weight)
            return self.last(x) @ self.table.weight.T

    ids = torch.randint(shape["vocabulary"], (1, count))
    before = _resident()
    start = time.perf_counter()
    logits = Model()(ids)
    F.cross_entropy(logits[0], torch.randint(shape["vocabulary"], (count,))).backward()
    return time.perf_counter() - start, _resident() - before


CONTENDERS = {"varprop": ours, "pytorch": pytorch}


def _resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(name: str, shape: str) -> tuple[float, float]:
    """Run one contender in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.transformers", "--alone", name, shape]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, memory = done.stdout.split()
    return float(seconds), float(memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("shapes", nargs="*", default=["small"])
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", metavar="NAME")
    given = parser.parse_args()
    if given.alone:
        print(*CONTENDERS[given.alone](SHAPES[given.shapes[0]]))
        return
    print(
        "| shape | contender | seconds | MiB | times as fast | part of the memory |\n|---|---|---|---|---|---|"
    )
    for shape in given.shapes:
        names = ["varprop"] if given.no_torch or shape in WEIGHTLESS else list(CONTENDERS)
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for _ in range(given.rounds):
            for name in names:
                runs[name].append(measured(name, shape))
        medians = {n: [statistics.median(c) for c in zip(*found, strict=True)] for n, found in runs.items()}
        for name, (seconds, memory) in medians.items():
            faster = memory_part = ""
            if "pytorch" in medians:
                faster = f"{medians['pytorch'][0] / seconds:.1f}"
                memory_part = f"1/{medians['pytorch'][1] / memory:.1f}"
            print(f"| {shape} | {name} | {seconds:.2f} | {memory:.0f} | {faster} | {memory_part} |")


if __name__ == "__main__":
    main()
