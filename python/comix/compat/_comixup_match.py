"""Labelling partitions of a batch: comix's solver, and the official loop for replay."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from comix import MixPlan, comixup_labels, comixup_objective, pool_saliency
from comix import _checks as checks
from comix._augment_comixup import compatibility_of
from comix.compat._comixup_parts import (
    graphcut_wrapper,
    mix_masks,
    random_initialize,
    resolve_label,
    smooth_cost,
    to_onehot,
)
from comix.compat._official import for_solver, mix, soft
from comix.compat._puzzle_parts import official_saliency
from comix.compat._replay import replaying

_STARTS = 8  # the start labels given or drawn, and rotations of them: no further draws


class Settings(NamedTuple):
    """The numbers of the official scripts; beta, gamma, eta and thres are for the whole grid."""

    beta: float
    gamma: float
    eta: float
    mixup_alpha: float
    thres: float
    thres_type: str
    set_resolve: bool
    niter: int
    omega: float = 0.0
    power: int = 2  # of the smoothness in the stopping rule; 1 in the ImageNet script

    def checked(self) -> Settings:
        """Self, with errors in the official names."""
        checks.check_option(self.thres_type, "thres_type", ("hard", "soft"))
        checks.check_number(self.mixup_alpha, "mixup_alpha", 0.0, above=True)
        for name in ("beta", "gamma", "eta", "thres", "omega"):
            checks.check_number(getattr(self, name), name, 0.0)
        if self.omega > 1:
            checks.fail("omega", "a number in 0..1", repr(self.omega))
        checks.check_count(self.niter, "niter", 1)
        return self


def drawn_prior(n: int, height: int, width: int, device: torch.device, with_: Settings) -> torch.Tensor:
    """Draw the prior cost ``[n, 1, 1]`` of every input from torch's global state, on the device."""
    alphas = with_.mixup_alpha * torch.ones(n, device=device)
    share = torch.distributions.dirichlet.Dirichlet(alphas).sample().reshape(n, 1, 1)
    return with_.eta / height / width * torch.log(share + 1e-8)


def drawn_start(n: int, outputs: int, height: int, width: int) -> torch.Tensor:
    """Draw start labels int64 ``[m, H, W]`` from NumPy's global state."""
    return torch.from_numpy(random_initialize(n, outputs, height, width).astype("int64"))


def solve(cost: torch.Tensor, matrix: torch.Tensor, start: torch.Tensor, with_: Settings) -> torch.Tensor:
    """Label partitions with comix's solver: cost ``[P, n, H, W]``, A ``[P, n, n]``, start ``[P, m, H, W]``.

    The lowest objective of a few starts (those given and, for n inputs, the same with every label n/8, 2n/8,
    ... 7n/8 further on) and of the official course in exact arithmetic, with beta and with what the official
    rounding leaves of it. Worse than the official result only where the rounding of other costs happens to
    lead to a better one, which is rare. Returns int64 ``[P, m, H, W, 2]``.
    """
    cost, matrix, n = cost.double(), matrix.double(), cost.shape[1]
    count = min(_STARTS, n)
    starts = torch.stack([(start + r * n // count) % n for r in range(count)], 1)
    numbers: dict[str, Any] = {
        "compatibility": matrix,
        "beta": with_.beta,
        "gamma": with_.gamma,
        "tau": with_.thres,
    }
    loop: dict[str, Any] = {"sweeps": with_.niter, "resolve_duplicates": bool(with_.set_resolve)}
    kind = with_.thres_type
    slip = "hard_official" if kind == "hard" else kind
    tried = [comixup_labels(cost, init=starts, threshold=kind, **loop, **numbers)]
    for beta in dict.fromkeys((with_.beta, _cut_beta(with_.beta, cost.shape[2] * cost.shape[3]))):
        course = {**loop, **numbers, "beta": beta}
        tried.append(comixup_labels(cost, init=start, threshold=slip, select="last", method="swap", **course))
    reached = torch.stack([comixup_objective(labels, cost, threshold=kind, **numbers) for labels in tried])
    best = reached.argmin(0)
    return torch.stack(tried)[best, torch.arange(len(best), device=best.device)]


def _cut_beta(beta: float, blocks: int) -> float:
    """Beta as it is officially: the weight of an edge, beta / blocks, loses what is below 1/1000."""
    return math.trunc(beta / blocks * 1000) / 1000 * blocks


def replay_partition(
    cost: torch.Tensor, matrix: torch.Tensor, start: torch.Tensor, with_: Settings
) -> torch.Tensor:
    """The official loop in float32: mask ``[m, H, W, n]`` of cost ``[n, H, W]``, prior included."""
    n, height, width = cost.shape
    outputs, blocks = len(start), height * width
    thres, beta, gamma = (
        with_.thres * height * width,
        with_.beta / height / width,
        with_.gamma / height / width,
    )
    mask = to_onehot(start.reshape(-1), n).to(cost.device).reshape(outputs, height, width, n)
    avoid: torch.Tensor | None = None

    def objective() -> torch.Tensor:
        counts = mask.reshape(outputs, blocks, n).sum(1)
        overlap = counts.sum(0).square().sum() - counts.square().sum()
        return smooth_cost(cost, mask, beta, with_.power) + gamma * overlap

    last, used = objective(), mask.reshape(-1, n).sum(0)
    for sweep in range(with_.niter):
        for o in range(outputs):
            counts = mask[o].reshape(blocks, n).sum(0)
            used = used - counts
            load = matrix @ used
            over = (load > thres).float()
            # The precedence slip: the 0/1 vector scales the columns of the matrix, not the product.
            excess = (over * matrix) @ used if with_.thres_type == "hard" else over * (load - thres)
            unary = cost + (2 * gamma * excess).reshape(-1, 1, 1)
            if avoid is not None:
                unary = unary + gamma * avoid[o].reshape(-1, 1, 1)
            mask[o] = graphcut_wrapper(
                unary.permute(1, 2, 0), counts, n, height, width, beta, cost.device, sweep
            )
            used = used + mask[o].reshape(blocks, n).sum(0)
        if sweep == with_.niter - 2 and with_.set_resolve:
            avoid = resolve_label((mask.reshape(outputs, -1, n).sum(1) > 0).float())
        now = objective()
        if (last - now).abs() / now.abs() < 1e-6:
            break
        last = now
    return mask


def onehot(
    cost: torch.Tensor, matrix: torch.Tensor, outputs: int, idx: torch.Tensor | None, with_: Settings
) -> torch.Tensor:
    """Draw, then label one partition: mask ``[m, H, W, n]`` float32 on the device of the cost."""
    checks.require_tensor(cost, "cost_matrix")
    checks.require_tensor(matrix, "A")
    if cost.ndim != 3 or 0 in cost.shape:
        checks.fail("cost_matrix", "shape [n, H, W]", checks.shape_of(cost))
    n, height, width = cost.shape
    if tuple(matrix.shape) != (n, n):
        checks.fail("A", f"shape [{n}, {n}]", checks.shape_of(matrix))
    outputs = checks.check_count(outputs, "n_output", 1)
    with_.checked()
    with torch.no_grad():
        cost = cost - drawn_prior(n, height, width, cost.device, with_)
        if idx is None:
            start = drawn_start(n, outputs, height, width)
        else:
            checks.require_tensor(idx, "idx")
            checks.check_dtype(idx, "idx", checks.INDEX_DTYPES)
            if tuple(idx.shape) != (outputs, height, width):
                checks.fail("idx", f"shape [{outputs}, {height}, {width}]", checks.shape_of(idx))
            start = for_solver(idx).long()
            checks.check_range(start, "idx", 0, n - 1)
        if replaying():
            checks.check_dtype(matrix, "A in replay", (torch.float32,))  # as the counts that it multiplies
            return replay_partition(cost, matrix, start, with_)
        labels = solve(for_solver(cost)[None], for_solver(matrix)[None], start[None], with_)[0]
        mask = torch.zeros(outputs, height, width, n)
        mask.scatter_add_(-1, labels, torch.full(labels.shape, 0.5))
        return mask.to(cost.device)


def mix_batch(
    images: torch.Tensor,
    targets: torch.Tensor,
    saliency: torch.Tensor | None,
    distance: torch.Tensor | None,
    part: int,
    grid: int,
    with_: Settings,
    blocks_as_total: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix consecutive partitions of a batch, each on its own; images ``[N, C, Y, X]``, targets ``[N, K]``.

    Targets are divided by their own sum, or with ``blocks_as_total`` by the number of blocks.
    """
    checks.check_images(images)
    if saliency is None:
        checks.fail("sc", "saliency [N, H, W]", "None", TypeError)
    saliency = checks.check_saliency(saliency, images, "sc").detach()
    checks.grid_pair(grid, images.shape[2], images.shape[3], "m_block_num")
    count = len(images)
    targets = soft(targets, "target_reweighted", count)
    if distance is not None and tuple(checks.require_tensor(distance, "A_dist").shape) != (count, count):
        checks.fail("A_dist", f"shape [{count}, {count}]", checks.shape_of(distance))
    part = checks.check_count(part, "m_part", 1)
    with_.checked()
    parts = [slice(i, min(i + part, count)) for i in range(0, count, part)]
    if replaying():
        mixed, sums = _replay_batch(images, targets, saliency, distance, parts, grid, with_)
    else:
        mixed, sums = _solve_batch(images, targets, saliency, distance, parts, grid, with_)
    total = grid * grid if blocks_as_total else sums.sum(-1, keepdim=True)
    return mixed.contiguous(), sums / total


def _replay_batch(
    images: torch.Tensor,
    targets: torch.Tensor,
    saliency: torch.Tensor,
    distance: torch.Tensor | None,
    parts: list[slice],
    grid: int,
    with_: Settings,
) -> tuple[torch.Tensor, torch.Tensor]:
    if images.shape[-1] != images.shape[-2] or images.shape[-1] % grid:
        checks.fail("out", f"square images that {grid} blocks divide in replay", checks.shape_of(images))
    block = images.shape[-1] // grid
    if distance is None:
        distance = torch.eye(len(images), device=images.device)
    elif distance.dtype == torch.float64:
        checks.fail("A_dist", "dtype float32 in replay", "float64", TypeError)
    mixed = []
    for rows in parts:
        n = rows.stop - rows.start
        far = distance[rows, rows]
        far = far / far.sum() * n
        matrix = (1 - with_.omega) * torch.eye(n, device=images.device) + with_.omega * far
        mask = onehot(-official_saliency(saliency[rows], block), matrix, n, None, with_)
        mixed.append(mix_masks(mask, images[rows], targets[rows]))
    return torch.cat([m[0] for m in mixed]), torch.cat([m[1] for m in mixed])


def _solve_batch(
    images: torch.Tensor,
    targets: torch.Tensor,
    saliency: torch.Tensor,
    distance: torch.Tensor | None,
    parts: list[slice],
    grid: int,
    with_: Settings,
) -> tuple[torch.Tensor, torch.Tensor]:
    blocks = pool_saliency(for_solver(saliency), grid)  # [N, g, g]
    far = torch.zeros(len(images), len(images)) if distance is None else for_solver(distance)
    costs, starts = [], []
    for rows in parts:  # the official order of draws
        n = rows.stop - rows.start
        costs.append(-blocks[rows] - drawn_prior(n, grid, grid, images.device, with_).cpu())
        starts.append(drawn_start(n, n, grid, grid))
    labels = []
    whole = [i for i, cost in enumerate(costs) if len(cost) == len(costs[0])]
    for group in (whole, list(range(len(whole), len(parts)))):  # all of one size at once, then the rest
        if not group:
            continue
        matrices = torch.stack([far[parts[i], parts[i]].double() for i in group])
        cost, start = torch.stack([costs[i] for i in group]), torch.stack([starts[i] for i in group])
        found = solve(cost, compatibility_of(matrices, with_.omega), start, with_)
        first = torch.tensor([parts[i].start for i in group]).view(-1, 1, 1, 1, 1)
        labels.append((found + first).flatten(0, 1))
    plan = MixPlan.from_labels(torch.cat(labels))
    shares = plan.ratio(len(images)).to(targets.device, targets.dtype) * (grid * grid)
    return mix(plan, images), shares @ targets
