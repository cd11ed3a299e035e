"""OpenMixup's ``puzzlemix`` with comix's solvers; needs torch and NumPy alone."""

# ruff: noqa: NPY002 - OpenMixup draws from NumPy's global state

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import distributed
from torch.nn import functional as F

from comix import BackendUnavailable, MixPlan, PuzzleMix
from comix import _checks as checks

# What OpenMixup takes images to be normalised with: below 64 pixels CIFAR's statistics, else ImageNet's.
_SMALL = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
_LARGE = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def where_it_runs(
    solve: Callable[..., tuple[torch.Tensor, ...]], *tensors: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """``solve(*tensors)`` on their device; over the CPU where comix has no kernels for that device."""
    device = tensors[0].device
    if device.type in ("cpu", "cuda"):
        try:
            return solve(*tensors)
        except BackendUnavailable:
            if device.type == "cpu":
                raise
    return tuple(result.to(device) for result in solve(*(tensor.cpu() for tensor in tensors)))


@torch.no_grad()
def puzzlemix(
    img: torch.Tensor,
    gt_label: torch.Tensor | None,
    alpha: float = 0.5,
    lam: float | None = None,
    dist_mode: bool = False,
    features: torch.Tensor | None = None,
    block_num: int | tuple[int, int] = 2,
    beta: float = 1.2,
    gamma: float = 0.5,
    eta: float = 0.2,
    neigh_size: int = 2,
    n_labels: int = 2,
    t_eps: float = 10.0,
    t_size: int = -1,
    mean: Any = None,
    std: Any = None,
    transport: bool = True,
    noise: torch.Tensor | None = None,
    adv_mask1: float = 0,
    adv_mask2: float = 0,
    t_batch_size: int | None = None,
    mp: Any = None,
    **kwargs: Any,
) -> tuple[Any, tuple[Any, Any, torch.Tensor]]:
    """PuzzleMix under OpenMixup's signature: optimal masks, optimal transport.

    Draws what OpenMixup draws, in its order: the expected share of the own image from
    ``np.random.beta(alpha, alpha)``, the partners from ``torch.randperm(N)`` (CPU), the blocks per side from
    ``2 ** np.random.randint(low, high)``. Inputs are only read; the result has no graph.

    Other than OpenMixup's own function (0.2.9), this one works on any device, not on "cuda" alone; with any
    channel count, non-square images and sides that the blocks do not divide; with ``dist_mode=True`` (there
    an undefined variable); with ``return_mask=True``; with saliency that is all zero. A ``lam`` that is
    given is used (there it is ignored and drawn). No process pool is left behind. Views ``[N, 2, C, H, W]``
    are refused: there the picture of one sample gets the label and the saliency of another.

    Args:
        img: ``[N, C, H, W]`` images, normalised by ``mean`` and ``std``.
        gt_label: ``[N]`` class indices or ``[N, K]`` labels; None in ``dist_mode`` alone.
        alpha: of the Beta distribution, above 0. Default 0.5.
        lam: expected share of the own image, 0..1. Default None: drawn.
        dist_mode: partners from all processes of torch.distributed, which must be initialised and have
            batches of one size: images, saliency and labels are gathered, the shuffle is that of rank 0, and
            nobody is their own partner. Default False.
        features: ``[N, H, W]`` saliency >= 0 of any scale; must be given.
        block_num: ``high`` or ``(low, high)``: the blocks per side are 2^low .. 2^(high - 1), low 1 if not
            given. Default 2, so 2 blocks per side.
        beta: smoothness. Default 1.2.
        gamma: weight of the local contrast. Default 0.5.
        eta: weight of the prior. Default 0.2.
        neigh_size: pixels per side of the cells compared across borders, at most a block. Default 2.
        n_labels: number of mask values, at least 2. Default 2.
        t_eps: price of moving. Default 10.
        t_size: pixels per side of what moves, at most a block; -1 (default): a block.
        mean: channel means, ``[1, C, 1, 1]`` or C numbers. Default: those of CIFAR-10 for images less than
            64 wide, of ImageNet for others; for other channel counts than 3, images count as they are.
        std: channel standard deviations, likewise.
        transport: whether blocks move. Default True.
        noise: ``[N, C, H, W]`` adversarial noise for images in 0..1.
        adv_mask1: 1 adds the noise to the own images. Default 0.
        adv_mask2: 1 adds it to the partners. Default 0.
        t_batch_size: ignored, transport needs no memory to speak of.
        mp: ignored, the solvers run threads.
        **kwargs: ``return_mask=True`` returns ``(images, mask)`` in place of the images, the mask float32
            ``[N, 1, H, W]`` being the *partner's* share of each pixel, as OpenMixup's cutmix returns it and
            its transmix reads it; ``idx_shuffle_mix`` is the shuffle of ``dist_mode``, int64 ``[world * N]``.
            Others are ignored.

    Returns:
        images ``[N, C, H, W]`` and ``(y_a, y_b, lam)``: own labels, the partners' labels, and the own
        images' shares, float32 ``[N]``. In ``dist_mode`` without labels ``(shuffle, unshuffle, lam)``.

    Raises:
        TypeError, ValueError: an argument of a wrong type, shape or range.
        RuntimeError: ``dist_mode`` without a process group.

    Example:
        >>> import torch
        >>> from comix.integrations.openmixup import puzzlemix
        >>> img, saliency = torch.rand(4, 3, 32, 32), torch.rand(4, 32, 32)
        >>> mixed, (y_a, y_b, lam) = puzzlemix(img, torch.arange(4), 1.0, features=saliency, block_num=5)
        >>> mixed.shape, lam.shape
        (torch.Size([4, 3, 32, 32]), torch.Size([4]))
    """
    features = _check_batch(img, gt_label, features, bool(dist_mode))
    low, high = _block_range(block_num, img)
    if lam is None:
        alpha = checks.check_number(alpha, "alpha", 0.0, above=True)
        lam = float(np.random.beta(alpha, alpha))
    elif not 0 <= checks.check_number(lam, "lam") <= 1:
        checks.fail("lam", "a number in 0..1", repr(lam))
    count = len(img)
    elsewhere = _Shuffle(count, img.device, kwargs.get("idx_shuffle_mix")) if dist_mode else None
    index = torch.randperm(count) if elsewhere is None else torch.arange(count, 2 * count).repeat(2)
    grid = int(2 ** np.random.randint(low, high))
    guess = (_SMALL if img.shape[-1] < 64 else _LARGE) if img.shape[1] == 3 else (None, None)
    mean = _per_channel(guess[0] if mean is None else mean, "mean", img)
    std = _per_channel(guess[1] if std is None else std, "std", img)
    if isinstance(t_size, bool) or not isinstance(t_size, int) or t_size == 0 or t_size < -1:
        checks.fail("t_size", "an int of at least 1, or -1", repr(t_size))
    puzzle = PuzzleMix(
        n_labels=n_labels,
        beta=beta,
        gamma=gamma,
        eta=eta,
        neigh_size=neigh_size,
        transport=bool(transport),
        transport_eps=t_eps,
        transport_size=None if t_size == -1 else t_size,
        mean=None if mean is None else mean.flatten().tolist(),
        std=None if std is None else std.flatten().tolist(),
    )

    # What the masks are found for, [N] or, where partners are elsewhere, [2 N]; what is mixed, likewise.
    of_partners = (lambda rows: rows[index.to(rows.device)]) if elsewhere is None else elsewhere
    pool, saliency = img, features
    if elsewhere is not None:
        pool, saliency = torch.cat((img, elsewhere(img))), torch.cat((features, elsewhere(features)))
    pictures = [] if elsewhere is None else [pool]
    if adv_mask1 == 1 or adv_mask2 == 1:
        noisy = _noisy(img, noise, mean, std)
        pictures = [
            torch.cat((noisy if adv_mask1 == 1 else img, of_partners(noisy if adv_mask2 == 1 else img)))
        ]

    def solve(
        pool: torch.Tensor, saliency: torch.Tensor, *pictures: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        plan = puzzle.plan(pool, saliency, index, lam, grid)
        if not pictures:
            return plan.mix(pool), plan.weight[..., 0]
        rows = torch.arange(2 * count, device=pool.device).view(2, count, 1, 1).movedim(0, -1)
        block, weight = plan.block[:count], plan.weight[:count]
        plan = MixPlan(rows.expand_as(block).contiguous(), block, weight)
        return plan.mix(*pictures), weight[..., 0]

    mixed, shown = where_it_runs(solve, pool, saliency, *pictures)  # shown [N, gh, gw]
    result: Any = mixed
    if kwargs.get("return_mask", False):
        result = (mixed, 1 - F.interpolate(shown[:, None], size=tuple(img.shape[2:]), mode="nearest"))
    lams = shown.flatten(1).mean(1)
    if gt_label is None:  # in dist_mode alone
        shuffle = cast("_Shuffle", elsewhere).order
        return result, (shuffle, shuffle.argsort(), lams)
    return result, (gt_label, of_partners(gt_label), lams)


class _Shuffle:
    """The shuffle over all processes that gives every row another's; called, it gives the partners' rows."""

    def __init__(self, count: int, device: torch.device, order: Any) -> None:
        if not (distributed.is_available() and distributed.is_initialized()):
            raise RuntimeError(
                "dist_mode=True takes partners from all processes: "
                "call torch.distributed.init_process_group first"
            )
        world = distributed.get_world_size()
        counts = _gathered(torch.full((1,), count, device=device)).tolist()
        if len(set(counts)) > 1:
            checks.fail("img", "batches of one size in all processes in dist_mode", str(counts))
        total = world * count
        if order is None:
            # One random cycle: as random a shuffle as one without fixed points gets in one draw.
            cycle = torch.randperm(total)
            order = torch.empty_like(cycle)
            order[cycle] = cycle.roll(1)
        checks.require_tensor(order, "idx_shuffle_mix")
        checks.check_dtype(order, "idx_shuffle_mix", (torch.int64,))
        if list(order.shape) != [total] or not torch.equal(order.sort().values.cpu(), torch.arange(total)):
            got = checks.shape_of(order)
            checks.fail(
                "idx_shuffle_mix", f"a permutation of 0..{total - 1}, {world} x {count}", f"shape {got}"
            )
        self.order = order.to(device).contiguous()
        distributed.broadcast(self.order, src=0)
        self._mine = self.order.view(world, count)[distributed.get_rank()]

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return _gathered(rows)[self._mine.to(rows.device)]


def _gathered(rows: torch.Tensor) -> torch.Tensor:
    rows = rows.detach().contiguous()
    parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, rows)
    return torch.cat(parts)


def _check_batch(img: Any, gt_label: Any, features: Any, dist_mode: bool) -> torch.Tensor:
    """The saliency of a batch that fits together."""
    checks.require_tensor(img, "img")
    checks.check_dtype(img, "img", checks.FLOAT_DTYPES)
    if img.ndim != 4 or 0 in img.shape:
        expected = "shape [N, C, H, W], none of them 0"
        if img.ndim == 5:
            expected += " (two views of a sample have one saliency map and no partner: mix one of them)"
        checks.fail("img", expected, checks.shape_of(img))
    shape = [len(img), *img.shape[2:]]
    if features is None:
        fallback = "comix.spectral_residual(img) is one that needs no model"
        checks.fail("features", f"saliency of shape {shape} ({fallback})", "None", TypeError)
    saliency = checks.require_tensor(features, "features")
    checks.check_dtype(saliency, "features", checks.FLOAT_DTYPES)
    if list(saliency.shape) != shape:
        checks.fail("features", f"shape {shape} (saliency, one map per image)", checks.shape_of(saliency))
    checks.check_same_device({"img": img, "features": saliency})
    if gt_label is not None or not dist_mode:
        checks.require_tensor(gt_label, "gt_label")
        if gt_label.ndim == 0 or len(gt_label) != len(img):
            checks.fail("gt_label", f"{len(img)} labels, one per image", f"shape {checks.shape_of(gt_label)}")
    return saliency


def _block_range(block_num: Any, img: torch.Tensor) -> tuple[int, int]:
    pair = tuple(block_num) if isinstance(block_num, (tuple, list)) else (1, block_num)
    if len(pair) != 2:
        checks.fail("block_num", "an int or a pair (low, high)", repr(block_num))
    low, high = (checks.check_count(value, "block_num", 0) for value in pair)
    if low >= high:
        checks.fail("block_num", "an int above 1, or a pair (low, high) with low < high", repr(block_num))
    if 2 ** (high - 1) > min(img.shape[2:]):  # whatever is drawn this time
        size = f"{img.shape[2]} x {img.shape[3]}"
        got = f"up to {2 ** (high - 1)} per side ({block_num!r})"
        checks.fail("block_num", f"blocks of at least a pixel of {size} images", got)
    return low, high


def _per_channel(value: Any, name: str, img: torch.Tensor) -> torch.Tensor | None:
    """``[1, C, 1, 1]`` from that, from C numbers, or from one."""
    if value is None:
        return None
    try:
        values = torch.as_tensor(value, dtype=torch.float32).detach().to(img.device).reshape(-1)
    except (TypeError, ValueError, RuntimeError):
        checks.fail(name, "numbers, one per channel", repr(value), TypeError)
    if values.numel() not in (1, img.shape[1]):
        checks.fail(name, f"{img.shape[1]} numbers, one per channel", str(values.numel()))
    return values.expand(img.shape[1]).reshape(1, -1, 1, 1)


def _noisy(
    img: torch.Tensor, noise: Any, mean: torch.Tensor | None, std: torch.Tensor | None
) -> torch.Tensor:
    """The images with the noise added where they are in 0..1."""
    if noise is None:
        expected = f"shape {checks.shape_of(img)}, as adv_mask1 or adv_mask2 is 1"
        checks.fail("noise", expected, "None", TypeError)
    checks.require_tensor(noise, "noise")
    if noise.shape != img.shape:
        checks.fail("noise", f"shape {checks.shape_of(img)}", checks.shape_of(noise))
    checks.check_same_device({"img": img, "noise": noise})
    scale, shift = 1 if std is None else std, 0 if mean is None else mean
    noisy: torch.Tensor = ((img * scale + shift + noise).clamp(0, 1) - shift) / scale
    return noisy.to(img.dtype)
