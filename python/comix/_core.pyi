from typing import Any

import numpy as np
from numpy.typing import NDArray

_Float = NDArray[np.float64]
_Index = NDArray[np.int64]
_Weights = float | _Float
# images, mixed, dtype, channels_last as in mix(); targets, their mixture
_Batch = tuple[NDArray[Any], NDArray[Any], str, bool, NDArray[Any], NDArray[np.float32]]

def build_info() -> dict[str, str | None]: ...
def grid_cut(
    unary: _Float,
    pairwise: _Float,
    weight_v: _Weights,
    weight_h: _Weights,
    method: str,
    init: _Index | None,
    max_sweeps: int,
    threads: int,
    labels: _Index,
    energy: _Float,
    optimal: NDArray[np.bool_],
) -> None: ...
def grid_energy(
    labels: _Index,
    unary: _Float,
    pairwise: _Float,
    weight_v: _Weights,
    weight_h: _Weights,
    energy: _Float,
) -> None: ...
def graph_cut(
    unary: _Float,
    pairwise: _Float,
    edges: _Index,
    weights: _Float,
    method: str,
    max_sweeps: int,
    labels: _Index,
) -> bool: ...
def graph_move(
    unary: _Float,
    pairwise: _Float,
    edges: _Index,
    weights: _Float,
    first: int,
    second: int | None,
    labels: _Index,
) -> bool: ...
def puzzlemix_energy(
    images: NDArray[Any],
    saliency: _Float,
    index: _Index,
    prior: _Float,
    std: _Float,
    beta: float,
    gamma: float,
    neigh_size: int,
    rounding: float,
    threads: int,
    unary: _Float,
    weight_v: _Float,
    weight_h: _Float,
) -> bool: ...
def pool_saliency(saliency: NDArray[Any], threads: int, pooled: NDArray[Any]) -> bool: ...
def salient_spots(
    saliency: NDArray[Any], window_height: int, window_width: int, threads: int, spots: _Index
) -> None: ...
def comixup_prior(amounts: _Float, weight: float, prior: _Float) -> None: ...
def comixup_labels(
    cost: _Float,
    compatibility: _Float | None,
    init: _Index,
    beta: float,
    gamma: float,
    tau: float,
    sweeps: int,
    threshold: str,
    resolve_duplicates: bool,
    select: str,
    method: str,
    threads: int,
    labels: _Index,
) -> None: ...
def comixup_objective(
    labels: _Index,
    cost: _Float,
    compatibility: _Float | None,
    beta: float,
    gamma: float,
    tau: float,
    threshold: str,
    objective: _Float,
) -> None: ...
def transport_plan(
    saliency: NDArray[Any], mask: NDArray[Any], eps: float, method: str, threads: int, plan: _Index
) -> None: ...
def transport_cost(
    plan: _Index, saliency: NDArray[Any], mask: NDArray[Any], eps: float, cost: _Float
) -> None: ...
def all_finite(values: NDArray[Any], *more: NDArray[Any]) -> bool: ...
def all_within(values: NDArray[Any], low: float, high: float) -> bool: ...
def plan_largest_source(
    source: _Index, block: _Index, weight: NDArray[np.float32], tolerance: float
) -> int: ...
def plan_from_labels(
    labels: _Index, n_inputs: int, source: _Index, block: _Index, weight: NDArray[np.float32]
) -> int: ...
def plan_from_mask(
    mask: NDArray[np.float32],
    index: _Index,
    plan_own: _Index | None,
    plan_partner: _Index | None,
    source: _Index,
    block: _Index,
    weight: NDArray[np.float32],
) -> bool: ...
def plan_ratio(source: _Index, weight: NDArray[np.float32], ratio: NDArray[np.float32]) -> None: ...
def mix_targets(
    source: _Index,
    weight: NDArray[np.float32],
    targets: NDArray[np.float32],
    mixed: NDArray[np.float32],
) -> None: ...
def mix_classes(
    source: _Index, weight: NDArray[np.float32], targets: _Index, mixed: NDArray[np.float32]
) -> None: ...
def mix(
    source: _Index,
    block: _Index,
    weight: NDArray[np.float32],
    images: NDArray[Any],
    mixed: NDArray[Any],
    dtype: str,
    channels_last: bool,
    threads: int,
) -> None: ...
def mix_transpose(
    source: _Index,
    block: _Index,
    weight: NDArray[np.float32],
    mixed: NDArray[Any],
    images: NDArray[Any],
    dtype: str,
    threads: int,
) -> None: ...
def puzzlemix_masks(
    images: NDArray[Any],
    saliency: NDArray[Any],
    index: _Index,
    prior: _Float,
    std: _Float,
    grid: tuple[int, int],
    beta: float,
    gamma: float,
    neigh_size: int,
    rounding: float,
    method: str,
    threads: int,
    mask: NDArray[np.float32],
) -> bool: ...
def puzzlemix_plan(
    images: NDArray[Any],
    saliency: NDArray[Any],
    index: _Index,
    prior: _Float,
    std: _Float,
    grid: tuple[int, int],
    finer: tuple[int, int],
    beta: float,
    gamma: float,
    neigh_size: int,
    rounding: float,
    eps: float,
    threads: int,
    source: _Index,
    block: _Index,
    weight: NDArray[np.float32],
    mixed: _Batch | None,
) -> bool: ...
def comixup_plan(
    saliency: NDArray[Any],
    prior: _Float,
    init: _Index,
    grid: tuple[int, int],
    partition: int,
    starts: int,
    window: tuple[int, int],
    omega: float,
    beta: float,
    gamma: float,
    tau: float,
    sweeps: int,
    threshold: str,
    threads: int,
    source: _Index,
    block: _Index,
    weight: NDArray[np.float32],
    mixed: _Batch | None,
) -> int: ...
