"""The solver methods and devices that tests run over, and seeded problems for them.

@pytest.mark.parametrize("method", CUT_METHODS)
@pytest.mark.parametrize("device", DEVICES)
def test_something(method, device):
    problem = cut_problem(seed, (3, 4), 3, distance="potts", costs="white")
    comix.grid_cut(*problem.tensors(device), method=method)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import comix
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

CUT_METHODS = ("expansion", "swap", "exact", "auto")
CUT_HEURISTICS = ("expansion", "swap", "auto")  # they answer on every energy
TRANSPORT_METHODS = ("exact", "greedy")


_NO_CUDA = pytest.mark.skipif(
    not comix.backends()["cuda"], reason="this build or machine has no CUDA backend"
)
DEVICES = ["cpu", pytest.param("cuda", marks=_NO_CUDA)]

DISTANCES = ("potts", "linear", "quadratic", "truncated", "arbitrary", "asymmetric")
CONVEX = ("linear", "quadratic")  # in |i - j|: solved exactly on any grid when weights are >= 0
COSTS = ("white", "smooth", "integer", "negative", "tiny", "huge", "mixed", "zero")
WEIGHTS = ("scalar", "array", "negative")

Float = NDArray[np.float64]


class CutProblem(NamedTuple):
    """Arguments of grid_cut and grid_energy, in their order."""

    unary: Any  # [H, W, L]
    pairwise: Any  # [L, L]
    weight_v: Any  # [H-1, W] or a number
    weight_h: Any  # [H, W-1] or a number

    def tensors(self, device: str = "cpu") -> CutProblem:
        """The same problem as tensors on a device; numbers stay numbers."""
        return CutProblem(
            *(
                torch.from_numpy(term.copy()).to(device) if isinstance(term, np.ndarray) else term
                for term in self
            )
        )

    def resolution(self) -> float:
        """What energies may differ by: the solvers round costs to 2^-50 of the sum of magnitudes."""
        height, width, _ = self.unary.shape
        weight_v = np.broadcast_to(np.abs(self.weight_v), (height - 1, width))
        weight_h = np.broadcast_to(np.abs(self.weight_h), (height, width - 1))
        smooth = (weight_v.sum() + weight_h.sum()) * np.abs(self.pairwise).max()
        return 1e-13 * float(np.abs(self.unary).max(-1).sum() + smooth)


def without_ties(problem: CutProblem, seed: int) -> CutProblem:
    """The same integer problem, but no two labellings cost exactly the same (almost surely)."""
    noise = np.random.default_rng(seed).integers(0, 2**14, problem.unary.shape)
    return problem._replace(unary=problem.unary * 2**20 + noise, pairwise=problem.pairwise * 2**20)


def label_distance(kind: str, labels: int, rng: np.random.Generator) -> Float:
    """[L, L] of one of DISTANCES."""
    apart = np.abs(np.subtract.outer(np.arange(labels), np.arange(labels))).astype(np.float64)
    if kind == "potts":
        return (apart > 0).astype(np.float64)
    if kind == "linear":
        return apart
    if kind == "quadratic":
        return apart**2 / max(labels - 1, 1) ** 2
    if kind == "truncated":
        return np.minimum(apart**2, 2.0)
    if kind == "arbitrary":  # symmetric with a zero diagonal, but no metric
        upper = np.triu(rng.random((labels, labels)), 1)
        return upper + upper.T
    if kind == "asymmetric":
        return rng.normal(size=(labels, labels))
    raise ValueError(kind)


def unary_costs(kind: str, height: int, width: int, labels: int, rng: np.random.Generator) -> Float:
    """[H, W, L] of one of COSTS."""
    shape = (height, width, labels)
    if kind == "white":
        return rng.random(shape)
    if kind == "smooth":  # sums of random walks along both axes
        walk = rng.normal(size=shape).cumsum(0) + rng.normal(size=shape).cumsum(1)
        return walk - walk.min()
    if kind == "integer":  # many ties, and sums are exact
        return rng.integers(-3, 4, shape).astype(np.float64)
    if kind == "negative":
        return -1 - rng.random(shape)
    if kind == "tiny":
        return rng.random(shape) * 1e-30
    if kind == "huge":
        return rng.random(shape) * 1e30
    if kind == "mixed":
        return rng.normal(size=shape) * 10.0 ** rng.integers(-6, 7, shape)
    if kind == "zero":
        return np.zeros(shape)
    raise ValueError(kind)


def edge_weights(kind: str, height: int, width: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """weight_v and weight_h of one of WEIGHTS."""
    if kind == "scalar":
        return float(rng.random()), float(rng.random())
    low = {"array": 0, "negative": -2}[kind]
    draw = [rng.integers(low, 3, (height - 1, width)), rng.integers(low, 3, (height, width - 1))]
    return draw[0] / 2.0, draw[1] / 2.0


def cut_problem(
    seed: int,
    size: tuple[int, int],
    labels: int,
    *,
    distance: str = "potts",
    costs: str = "white",
    weights: str = "array",
) -> CutProblem:
    """One random problem; weights have the scale of the costs, so that both matter."""
    rng = np.random.default_rng([seed, *size, labels])
    unary = unary_costs(costs, *size, labels, rng)
    pairwise = label_distance(distance, labels, rng)
    weight_v, weight_h = edge_weights(weights, *size, rng)
    scale = 1.0 if costs in ("zero", "integer") else float((unary.max(-1) - unary.min(-1)).mean()) or 1.0
    return CutProblem(unary, pairwise, weight_v * scale, weight_h * scale)


def integer_cut_problem(seed: int, size: tuple[int, int], labels: int) -> CutProblem:
    """Small integers everywhere, any V, weights of both signs: energies are exact, ties are frequent."""
    rng = np.random.default_rng([seed, *size, labels])
    height, width = size
    return CutProblem(
        rng.integers(-4, 5, (height, width, labels)).astype(np.float64),
        rng.integers(-2, 4, (labels, labels)).astype(np.float64),
        rng.integers(-2, 3, (height - 1, width)).astype(np.float64),
        rng.integers(-2, 3, (height, width - 1)).astype(np.float64),
    )


def stack(problems: list[CutProblem]) -> CutProblem:
    """Problems of one size and one pairwise matrix as a batch; weights become arrays."""
    height, width, _ = problems[0].unary.shape
    return CutProblem(
        np.stack([p.unary for p in problems]),
        problems[0].pairwise,
        np.stack([np.broadcast_to(p.weight_v, (height - 1, width)) for p in problems]),
        np.stack([np.broadcast_to(p.weight_h, (height, width - 1)) for p in problems]),
    )


SALIENCIES = ("white", "peaked", "ties", "zero")
MASKS = ("random", "all", "none", "halves")


def transport_problem(
    seed: int, size: tuple[int, int], *, batch: int = 3, saliency: str = "white", mask: str = "random"
) -> tuple[Float, Float]:
    """Saliency that sums to 1 per image (all zero for "zero") and mask, both [B, gh, gw]."""
    rng = np.random.default_rng([seed, *size])
    shape = (batch, *size)
    values = {
        "white": lambda: rng.random(shape),
        "peaked": lambda: rng.random(shape) ** 8,
        "ties": lambda: rng.integers(1, 3, shape).astype(np.float64),
        "zero": lambda: np.zeros(shape),
    }[saliency]()
    total = values.sum((1, 2), keepdims=True)
    shown = {
        "random": lambda: rng.integers(0, 3, shape) / 2,
        "all": lambda: np.ones(shape),
        "none": lambda: np.zeros(shape),
        "halves": lambda: np.full(shape, 0.5) * (np.arange(size[1]) < size[1] / 2),
    }[mask]()
    return values / np.where(total > 0, total, 1), shown


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """A number of threads for torch and so for comix; the old one afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
