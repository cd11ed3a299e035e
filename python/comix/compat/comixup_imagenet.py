"""Co-Mixup for ImageNet: ``comix-imagenet/lib`` of snu-mllab/Co-Mixup at ``2a76816``.

Fixed there: partitions of 16, gamma 1, eta 0.05, hard threshold, 3 sweeps, a Dirichlet(1) prior
(``mixup_alpha`` is ignored); targets are divided by the number of blocks instead of by their sum. The
official code drops what does not fill a partition, and its workers are never seeded.
"""

from __future__ import annotations

from typing import Any

import torch

from comix import _checks as checks
from comix.compat import _comixup_match as match
from comix.compat._comixup_parts import (
    graphcut_multi,
    graphcut_wrapper,
    mix_masks,
    random_initialize,
    resolve_label,
    shared_blocks,
    smooth_cost,
)
from comix.compat._official import official, one_hot
from comix.compat._replay import replaying
from comix.compat.comixup import distance

__all__ = [
    "MixupProcessParallel",
    "distance",
    "get_onehot_matrix",
    "graphcut_multi",
    "graphcut_wrapper",
    "mix_input",
    "mixup_match",
    "obj_fn",
    "random_initialize",
    "resolve_label",
    "to_onehot",
]

_PART, _GAMMA, _ETA, _SWEEPS = 16, 1.0, 0.05, 3


@official
def to_onehot(inp: torch.Tensor, num_classes: int, device: Any = "cuda") -> torch.Tensor:
    """One-hot rows of integers ``[N]`` in 0..num_classes-1.

    Args:
        inp: integers ``[N]``.
        num_classes: K.
        device: ignored, that of ``inp`` is used.

    Returns:
        float32 ``[N, K]``.

    Raises:
        TypeError, ValueError: not integers, wrong shape, a class out of range.
    """
    return one_hot(inp, num_classes, "inp")


@official
def obj_fn(cost_matrix: torch.Tensor, mask_onehot: torch.Tensor, beta: float, gamma: float) -> torch.Tensor:
    """The objective that this script's loop stops on: as in :mod:`comix.compat.comixup`, but ``beta/2 |dz|``.

    Args:
        cost_matrix: ``[n, H, W]``.
        mask_onehot: ``[m, H, W, n]``.
        beta: smoothness per edge.
        gamma: diversity per pair of blocks.

    Returns:
        A scalar of the dtype of the mask.

    Raises:
        TypeError, ValueError: not tensors, shapes that do not fit.
    """
    overlap = shared_blocks(cost_matrix, mask_onehot)
    return smooth_cost(cost_matrix, mask_onehot, beta, power=1) + gamma * overlap


@official
def get_onehot_matrix(
    cost_matrix: torch.Tensor,
    A: torch.Tensor,
    n_output: int,
    idx: torch.Tensor | None = None,
    beta: float = 1,
    gamma: float = 1,
    eta: float = 0.0,
    thres: float = 0.0,
    thres_type: str = "hard",
    set_resolve: bool = False,
    niter: int = 2,
    print_log: bool = False,
    device: Any = "cuda",
) -> torch.Tensor:
    """Label one partition, as :func:`comix.compat.comixup.get_onehot_matrix` with ``mixup_alpha=1``.

    Args:
        cost_matrix: ``[n, H, W]``; only read.
        A: ``[n, n]`` compatibility, >= 0.
        n_output: m.
        idx: integers ``[m, H, W]``, start labels (the official code cannot take any). Default: drawn.
        beta: smoothness, for the whole grid. Default 1.
        gamma: diversity. Default 1.
        eta: weight of the prior. Default 0.
        thres: share of the others' area that an input may fill before it costs extra. Default 0.
        thres_type: "hard" (default) or "soft".
        set_resolve: tell equal outputs to differ. Default False.
        niter: sweeps over the outputs, at most. Default 2.
        print_log: ignored.
        device: ignored, that of the cost is used.

    Returns:
        float32 ``[m, H, W, n]``, values 0, 1/2, 1 that sum to 1.

    Raises:
        TypeError, ValueError: wrong types, shapes or ranges, NaN; in replay also costs that overflow.
    """
    settings = match.Settings(beta, gamma, eta, 1.0, thres, thres_type, set_resolve, niter, power=1)
    return match.onehot(cost_matrix, A, n_output, idx, settings)


@official
def mix_input(
    mask_onehot: torch.Tensor, input_sp: torch.Tensor, target_reweighted: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix images and targets by a labelling; targets are divided by the number of blocks.

    Args:
        mask_onehot: ``[m, H, W, n]`` shares.
        input_sp: ``[n, C, Y, X]`` images.
        target_reweighted: ``[n, K]`` soft labels.

    Returns:
        images ``[m, C, Y, X]`` and targets ``[m, K]``.

    Raises:
        TypeError, ValueError: not tensors, shapes that do not fit.
    """
    output, sums = mix_masks(mask_onehot, input_sp, target_reweighted)
    return output, sums / mask_onehot.shape[1] / mask_onehot.shape[2]


@official
def mixup_match(
    out: torch.Tensor,
    target_reweighted: torch.Tensor,
    param_list: Any,
    sc: torch.Tensor | None = None,
    A_dist: torch.Tensor | None = None,
    device: Any = "cuda",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Co-Mixup a batch in partitions of 16; a smaller last one is mixed too (in replay it is dropped).

    Draws per partition: the Dirichlet prior (torch's global state), then the start labels (NumPy's).

    Args:
        out: ``[N, C, H, W]`` images.
        target_reweighted: ``[N, K]`` soft labels.
        param_list: mapping with m_block_num, m_beta, thres, lam_dist, set_resolve.
        sc: ``[N, H, W]`` saliency >= 0.
        A_dist: ``[N, N]`` distances between inputs. Default: none.
        device: ignored, that of the images is used.

    Returns:
        images ``[N, C, H, W]`` and targets ``[N, K]``.

    Raises:
        TypeError, ValueError: an entry of param_list is missing, wrong types, shapes or ranges; in replay
            also fewer than 16 images, and sizes and costs that the official code cannot take.
    """
    names = ("m_block_num", "m_beta", "thres", "lam_dist", "set_resolve")
    try:
        grid, beta, thres, omega, resolve = (param_list[name] for name in names)
    except (TypeError, KeyError, AttributeError) as error:
        checks.fail(
            "param_list", f"a mapping with {', '.join(names)}", f"{type(error).__name__}: {error}", TypeError
        )
    settings = match.Settings(beta, _GAMMA, _ETA, 1.0, thres, "hard", resolve, _SWEEPS, omega, power=1)
    checks.check_images(out)
    if replaying():
        count = len(out) // _PART * _PART
        if count == 0:
            checks.fail("out", f"at least {_PART} images in replay", str(len(out)))
        out, target_reweighted = out[:count], target_reweighted[:count]
        sc = None if sc is None else sc[:count]
        A_dist = None if A_dist is None else A_dist[:count, :count]
    return match.mix_batch(out, target_reweighted, sc, A_dist, _PART, grid, settings, blocks_as_total=True)


class MixupProcessParallel:
    """Co-Mixup of a batch in chunks of ``part``, without processes: the solvers run threads.

    Draws come from the global random states, chunk after chunk.

    Args:
        part: images per chunk, 16 in the official script; a chunk is mixed in partitions of 16.
        num_thread: ignored.

    Raises:
        TypeError, ValueError: part is not an int of at least 1.
    """

    @official
    def __init__(self, part: int, num_thread: int) -> None:
        self.part = checks.check_count(part, "part", 1)
        self.num_thread = num_thread

    @official
    def __call__(
        self,
        out: torch.Tensor,
        target_reweighted: torch.Tensor,
        param_list: Any,
        sc: torch.Tensor | None = None,
        A_dist: torch.Tensor | None = None,
        device: Any = "cuda",
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix a batch, chunk by chunk, as :func:`mixup_match`; a smaller last chunk is mixed too.

        Args:
            out: ``[N, C, H, W]`` images.
            target_reweighted: ``[N, K]`` soft labels.
            param_list: see :func:`mixup_match`.
            sc: ``[N, H, W]`` saliency >= 0.
            A_dist: ``[N, N]`` distances between inputs. Default: none.
            device: ignored.

        Returns:
            images ``[N, C, H, W]`` and targets ``[N, K]``.
        """
        checks.check_images(out)
        if sc is None:
            checks.fail("sc", "saliency [N, H, W]", "None", TypeError)
        if replaying() and len(out) % self.part:
            checks.fail("out", f"a multiple of {self.part} images in replay", str(len(out)))
        mixed = []
        for begin in range(0, len(out), self.part):
            rows = slice(begin, begin + self.part)
            far = None if A_dist is None else A_dist[rows, rows]
            mixed.append(mixup_match(out[rows], target_reweighted[rows], param_list, sc[rows], far))
        return torch.cat([images for images, _ in mixed]), torch.cat([targets for _, targets in mixed])

    def close(self) -> None:
        """Nothing to do: there are no processes."""
