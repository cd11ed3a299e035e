"""Co-Mixup for CIFAR and Tiny-ImageNet: snu-mllab/Co-Mixup at ``2a76816``.

Everything that ``main.py`` imports from ``match.py``, ``mixup.py``, ``mixup_parallel.py`` and ``utils.py``:

    from comix.compat.comixup import mixup_process, MixupProcessParallel, to_one_hot, distance

Outside :func:`comix.compat.replay` the threshold compares ``A @ pi`` as the paper has it (the official code
masks the columns of A instead), the sweep with the lowest objective is kept, and it is improved by descent.
Kim, Choo, Jeong & Song, "Co-Mixup", ICLR 2021.
"""

# ruff: noqa: NPY002 - the official code draws from NumPy's global state

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from comix import _checks as checks
from comix.compat import _comixup_match as match
from comix.compat._comixup_parts import (
    graphcut_multi,
    graphcut_wrapper,
    mix_masks,
    obj_fn,
    obj_fn_thres,
    random_initialize,
    resolve_label,
    to_onehot,
)
from comix.compat._official import official, setting, to_one_hot

__all__ = [
    "MixupProcessParallel",
    "distance",
    "get_onehot_matrix",
    "graphcut_multi",
    "graphcut_wrapper",
    "mix_input",
    "mixup_process",
    "mixup_process_worker",
    "obj_fn",
    "obj_fn_thres",
    "random_initialize",
    "resolve_label",
    "to_one_hot",
    "to_onehot",
]


@official
def distance(z: torch.Tensor, dist_type: str = "l2") -> torch.Tensor:
    """Distances between all pairs of rows.

    Args:
        z: ``[n, d]``.
        dist_type: "l2" (default), "l22" (its square), "l1" or "linf".

    Returns:
        ``[n, n]``, without a graph.

    Raises:
        TypeError, ValueError: not a tensor, wrong shape, unknown type (the official code returns None).
    """
    checks.require_tensor(z, "z")
    if z.ndim != 2:
        checks.fail("z", "shape [n, d]", checks.shape_of(z))
    checks.check_option(dist_type, "dist_type", ("l2", "l22", "l1", "linf"))
    with torch.no_grad():
        apart = z.unsqueeze(1) - z.unsqueeze(0)
        if dist_type == "l1":
            return apart.abs().sum(-1)
        if dist_type == "linf":
            return apart.abs().amax(-1)
        squares = apart.square().sum(-1)
        return squares.sqrt() if dist_type == "l2" else squares


@official
def get_onehot_matrix(
    cost_matrix: torch.Tensor,
    A: torch.Tensor,
    n_output: int,
    idx: torch.Tensor | None = None,
    beta: float = 0.32,
    gamma: float = 1.0,
    eta: float = 0.05,
    mixup_alpha: float = 2.0,
    thres: float = 0.84,
    thres_type: str = "hard",
    set_resolve: bool = True,
    niter: int = 3,
    device: Any = "cuda",
) -> torch.Tensor:
    """Label every block of every output of one partition with one input, or two at half weight.

    Draws a Dirichlet prior from torch's global state, then start labels from NumPy's if none are given. The
    official code adds the prior to the caller's ``cost_matrix``; this only reads it.

    Args:
        cost_matrix: ``[n, H, W]``, minus the block saliency of every input (each map sums to -1).
        A: ``[n, n]`` compatibility, >= 0.
        n_output: m.
        idx: integers ``[m, H, W]``, start labels. Default: drawn.
        beta: smoothness, for the whole grid. Default 0.32.
        gamma: diversity. Default 1.
        eta: weight of the prior. Default 0.05.
        mixup_alpha: of the Dirichlet prior. Default 2.
        thres: share of the others' area that an input may fill before it costs extra. Default 0.84.
        thres_type: "hard" (default) or "soft".
        set_resolve: tell equal outputs to differ. Default True.
        niter: sweeps over the outputs, at most. Default 3.
        device: ignored, that of the cost is used.

    Returns:
        float32 ``[m, H, W, n]``, values 0, 1/2, 1 that sum to 1.

    Raises:
        TypeError, ValueError: wrong types, shapes or ranges, NaN; in replay also costs that overflow.

    Example:
        >>> import torch
        >>> from comix.compat.comixup import get_onehot_matrix
        >>> saliency = torch.rand(4, 2, 2)
        >>> cost = -saliency / saliency.sum((1, 2), keepdim=True)
        >>> get_onehot_matrix(cost, torch.eye(4), 4).sum(-1).unique()
        tensor([1.])
    """
    settings = match.Settings(beta, gamma, eta, mixup_alpha, thres, thres_type, set_resolve, niter)
    return match.onehot(cost_matrix, A, n_output, idx, settings)


@official
def mix_input(
    mask_onehot: torch.Tensor,
    input_sp: torch.Tensor,
    target_reweighted: torch.Tensor,
    sc: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix images and targets by a labelling.

    Args:
        mask_onehot: ``[m, H, W, n]`` shares.
        input_sp: ``[n, C, Y, X]`` images.
        target_reweighted: ``[n, K]`` soft labels.
        sc: ``[n, H, W]``, weighs the blocks in the targets. Default: all alike.

    Returns:
        images ``[m, C, Y, X]`` and targets ``[m, K]`` that sum to 1.

    Raises:
        TypeError, ValueError: not tensors, shapes that do not fit.
    """
    if sc is not None:
        expected = [mask_onehot.shape[3], *mask_onehot.shape[1:3]]
        if list(checks.require_tensor(sc, "sc").shape) != expected:
            checks.fail("sc", f"shape {expected}", checks.shape_of(sc))
    output, sums = mix_masks(mask_onehot, input_sp, target_reweighted, sc)
    return output, sums / sums.sum(-1, keepdim=True)


@official
def mixup_process(
    out: torch.Tensor,
    target_reweighted: torch.Tensor,
    args: Any = None,
    sc: torch.Tensor | None = None,
    A_dist: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Co-Mixup a batch: consecutive partitions of ``args.m_part`` images, each mixed jointly.

    Draws blocks per side ``2^randint(1, 5)`` from NumPy's global state where ``m_block_num`` is -1; then per
    partition the Dirichlet prior (torch) and the start labels (NumPy). Any batch size, image size and channel
    count; saliency without information counts as uniform, distances that are all zero as none.

    Args:
        out: ``[N, C, H, W]`` images.
        target_reweighted: ``[N, K]`` soft labels.
        args: namespace with m_block_num, m_part, m_beta, m_gamma, m_eta, mixup_alpha, m_thres, m_thres_type,
            m_omega, set_resolve, m_niter.
        sc: ``[N, H, W]`` saliency >= 0.
        A_dist: ``[N, N]`` distances between inputs. Default: none.

    Returns:
        images ``[N, C, H, W]`` and targets ``[N, K]``.

    Raises:
        TypeError, ValueError: a field of args is missing, wrong types, shapes or ranges; in replay also
            sizes and costs that the official code cannot take.
    """
    return _process(out, target_reweighted, args, sc, A_dist, setting(args, "m_part"))


def _process(
    out: torch.Tensor, target: torch.Tensor, args: Any, sc: Any, distances: Any, part: int
) -> tuple[torch.Tensor, torch.Tensor]:
    grid = setting(args, "m_block_num")
    if grid == -1:
        grid = int(2 ** np.random.randint(1, 5))
    settings = match.Settings(
        beta=setting(args, "m_beta"),
        gamma=setting(args, "m_gamma"),
        eta=setting(args, "m_eta"),
        mixup_alpha=setting(args, "mixup_alpha"),
        thres=setting(args, "m_thres"),
        thres_type=setting(args, "m_thres_type"),
        set_resolve=setting(args, "set_resolve"),
        niter=setting(args, "m_niter"),
        omega=setting(args, "m_omega"),
    )
    return match.mix_batch(out, target, sc, distances, part, grid, settings)


@official
def mixup_process_worker(
    out: torch.Tensor,
    target_reweighted: torch.Tensor,
    hidden: int = 0,
    args: Any = None,
    sc: torch.Tensor | None = None,
    A_dist: torch.Tensor | None = None,
    debug: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix all images given as one partition; see :meth:`MixupProcessParallel.__call__`.

    Args:
        out: see there.
        target_reweighted: see there.
        hidden: ignored.
        args: see there.
        sc: see there.
        A_dist: see there.
        debug: ignored.

    Returns:
        images ``[N, C, H, W]`` and targets ``[N, K]``.
    """
    return _process(out, target_reweighted, args, sc, A_dist, len(checks.check_images(out)))


class MixupProcessParallel:
    """Co-Mixup of a batch in partitions of ``part``, without processes: the solvers run threads.

    The official workers draw from random states of their own, which all start alike and which no seed
    reaches; this draws from the global states, partition after partition.

    Args:
        part: images mixed jointly; ``args.m_part`` is not looked at.
        batch_size: ignored, a call mixes all it is given.
        num_gpu: ignored.

    Raises:
        TypeError, ValueError: part is not an int of at least 1.

    Example:
        >>> from comix.compat.comixup import MixupProcessParallel
        >>> mpp = MixupProcessParallel(20, 100)
        >>> mpp.close()
    """

    @official
    def __init__(self, part: int, batch_size: int, num_gpu: int = 1) -> None:
        self.part = checks.check_count(part, "part", 1)
        self.batch_size = checks.check_count(batch_size, "batch_size", 1)
        self.n_workers = math.ceil(batch_size / part)

    @official
    def __call__(
        self,
        out: torch.Tensor,
        target_reweighted: torch.Tensor,
        hidden: int = 0,
        args: Any = None,
        sc: torch.Tensor | None = None,
        A_dist: torch.Tensor | None = None,
        debug: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix a batch, as :func:`mixup_process`; tensors on any device, results on theirs.

        Args:
            out: ``[N, C, H, W]`` images.
            target_reweighted: ``[N, K]`` soft labels.
            hidden: ignored.
            args: see :func:`mixup_process`.
            sc: ``[N, H, W]`` saliency >= 0.
            A_dist: ``[N, N]`` distances between inputs. Default: none.
            debug: ignored.

        Returns:
            images ``[N, C, H, W]`` and targets ``[N, K]``.
        """
        return _process(out, target_reweighted, args, sc, A_dist, self.part)

    def close(self) -> None:
        """Nothing to do: there are no processes."""
