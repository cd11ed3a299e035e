"""Losses over few (class, weight) pairs per output instead of dense soft labels.

A mixed image holds two to five classes, whatever the number of classes K. As pairs ``[B, k]`` its target is
small enough for any K, and it is what loss functions and heads need that take class indices. ::

    result = aug(images, targets)
    index, weight = comix.losses.class_pairs(result.plan, targets)
    loss = comix.losses.soft_cross_entropy(model(result.images), index, weight)
"""

from __future__ import annotations

import torch

from comix import _checks as checks
from comix.mixing import MixPlan

__all__ = ["class_pairs", "decoupled_ce", "soft_cross_entropy"]

_REDUCTIONS = ("mean", "sum", "none")


def class_pairs(
    plan: MixPlan, targets: torch.Tensor, *, k: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the heaviest classes of every output of a plan, with their shares.

    A class that several inputs of an output have is one entry with their shares added up. Entries come
    heaviest first; of equal ones, that of the earlier input first. Entries that an output does not need have
    weight 0 and repeat its heaviest class (so sum over entries of a class, do not assign).

    Args:
        plan: The :class:`comix.MixPlan` of n inputs and B_out outputs.
        targets: [n] class indices, any integer dtype.
        k: How many classes to keep of every output. What is cut off is not lost: the weights that stay are
            divided by their sum. Default None: as many as any output can need, known without a look at
            values: 2 for plans of pairs (:meth:`comix.MixPlan.from_mask`, so all of PuzzleMix), otherwise
            min(n, 2 * gh * gw).

    Returns:
        index int64 [B_out, k] and weight float32 [B_out, k]; every row of weights sums to 1.

    Raises:
        TypeError: If an argument is of a wrong type or dtype.
        ValueError: If ``targets`` is not [n] or has negative classes, the plan uses an input beyond n,
            devices differ, or ``k`` is below 1.

    Example:
        >>> import comix, torch
        >>> plan = comix.MixPlan.from_mask(torch.tensor([[[0.25]], [[0.5]]]), torch.tensor([1, 0]))
        >>> comix.losses.class_pairs(plan, torch.tensor([7, 3]))
        (tensor([[3, 7],
                [7, 3]]), tensor([[0.7500, 0.2500],
                [0.5000, 0.5000]]))
    """
    if not isinstance(plan, MixPlan):
        checks.fail("plan", "a comix.MixPlan", type(plan).__name__, TypeError)
    targets = checks.require_tensor(targets, "targets")
    checks.check_dtype(targets, "targets", checks.INDEX_DTYPES)
    if targets.ndim != 1 or targets.shape[0] == 0:
        checks.fail("targets", "shape [n] (class indices)", checks.shape_of(targets))
    checks.check_same_device({"plan": plan.source, "targets": targets})
    checks.check_range(targets, "targets", 0, 2**31 - 1)
    plan._check_inputs(targets.shape[0], "targets")
    n = targets.shape[0]
    if k is None:
        k = 2 if plan._has_pairs() else min(n, 2 * plan.grid[0] * plan.grid[1])
    checks.check_count(k, "k", 1)
    targets = targets.to(torch.int64)
    in_order, order = targets.sort(stable=True)
    first = order.gather(0, torch.searchsorted(in_order, targets))  # [n], the first input of the same class
    # Whole numbers of 2^-52 add up to the same sum in any order, also in that of the threads of a GPU.
    shares = plan.ratio(n).to(torch.float64)  # [B_out, n]
    parts = torch.zeros(shares.shape, dtype=torch.int64, device=shares.device)
    parts.scatter_add_(1, first.expand_as(shares), (shares * 2.0**52).round().to(torch.int64))
    heaviest, position = parts.sort(dim=1, descending=True, stable=True)
    kept = heaviest[:, :k].to(torch.float64)
    index = targets.expand_as(shares).gather(1, position[:, :k])
    if k > n:
        kept = torch.nn.functional.pad(kept, (0, k - n))
        index = torch.cat((index, index[:, :1].expand(-1, k - n)), 1)
    total = kept.sum(1, keepdim=True) + 0 * shares.sum(1, keepdim=True)  # NaN stays NaN
    return torch.where(kept > 0, index, index[:, :1]), (kept / total).to(torch.float32)


def soft_cross_entropy(
    logits: torch.Tensor,
    index: torch.Tensor,
    weight: torch.Tensor,
    *,
    label_smoothing: float = 0.0,
    class_weight: torch.Tensor | None = None,
    reduction: str = "mean",
) -> torch.Tensor:
    """Return the cross entropy of logits with targets given as (class, weight) pairs.

    Equal to ``torch.nn.functional.cross_entropy(logits, dense, class_weight, label_smoothing=...,
    reduction=...)`` with ``dense[b, index[b, j]] += weight[b, j]``, but ``dense`` is never built: a row costs
    its log-sum-exp and k gathered logits. As there, "mean" divides by B, also with class weights.

    Args:
        logits: [B, K], floating. Half precision is computed, and the loss returned, in float32.
        index: [B, k] class indices, any integer dtype.
        weight: [B, k], floating, >= 0; rows of :func:`class_pairs` sum to 1, others need not. A class may
            come in several entries of a row.
        label_smoothing: Share of every row's target that is spread evenly over all classes, 0..1. Default 0.
        class_weight: [K], floating, the weight of each class. Default None: 1 each.
        reduction: "mean" (default), "sum" or "none".

    Returns:
        A scalar, or [B] for "none"; float64 for float64 logits and float32 otherwise. Differentiable in
        logits, weight and class_weight.

    Raises:
        TypeError: If an argument is of a wrong type or dtype.
        ValueError: If a shape, a device, a class index, a weight or an option does not fit. (Values on CUDA:
            only inside ``comix.debug()``; outside, a class out of range counts as the nearest.)

    Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (CVPR 2016),
    section 7, for smoothed labels.

    Example:
        >>> import comix, torch
        >>> logits, index = torch.zeros(1, 4), torch.tensor([[2, 0]])
        >>> comix.losses.soft_cross_entropy(logits, index, torch.tensor([[0.75, 0.25]]))  # log 4
        tensor(1.3863)
    """
    logits, index, weight = _check_pairs(logits, index, weight)
    smoothing = _check_smoothing(label_smoothing)
    checks.check_option(reduction, "reduction", _REDUCTIONS)
    if class_weight is not None:
        class_weight = _check_class_weight(class_weight, logits)
    loss = _pair_loss(logits, index, weight, smoothing, class_weight)
    return _reduced(loss, reduction)


def decoupled_ce(
    logits: torch.Tensor,
    index: torch.Tensor,
    weight: torch.Tensor,
    *,
    eta: float = 0.1,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> torch.Tensor:
    """Return the decoupled mixup loss: cross entropy, plus each mixed class against the unmixed ones alone.

    For a sample with mixed classes M (those of positive weight), each counted once ::

        soft_cross_entropy + eta * sum_{i in M} -log(exp(x_i) / (exp(x_i) + sum_{c not in M} exp(x_c)))

    The mixed classes of a sample do not compete in the second term, so a network may be sure of all of them.
    Where one class is all of a sample, the second term is eta times its cross entropy.

    Args:
        logits: [B, K], floating. Half precision is computed, and the loss returned, in float32.
        index: [B, k] class indices, any integer dtype (:func:`class_pairs`).
        weight: [B, k], floating, >= 0. Differentiable in the cross entropy; of the second term it decides
            which classes are mixed.
        eta: Weight of the second term, >= 0. Default 0.1.
        label_smoothing: Of the cross entropy, as in :func:`soft_cross_entropy`. Default 0.
        reduction: "mean" (default), "sum" or "none".

    Returns:
        A scalar, or [B] for "none"; float64 for float64 logits and float32 otherwise.

    Raises:
        TypeError: If an argument is of a wrong type or dtype.
        ValueError: If a shape, a device, a class index, a weight or an option does not fit. (Values on CUDA:
            only inside ``comix.debug()``.)

    Source: Liu et al., "Harnessing Hard Mixed Samples with Decoupled Regularizer" (NeurIPS 2023), section 4;
    here per sample, and for any number of mixed classes.

    Example:
        >>> import comix, torch
        >>> logits, index = torch.zeros(1, 4), torch.tensor([[2, 0]])
        >>> comix.losses.decoupled_ce(logits, index, torch.tensor([[0.75, 0.25]]))  # log 4 + 0.1 * 2 log 3
        tensor(1.6060)
    """
    logits, index, weight = _check_pairs(logits, index, weight)
    eta = checks.check_number(eta, "eta", 0)
    smoothing = _check_smoothing(label_smoothing)
    checks.check_option(reduction, "reduction", _REDUCTIONS)
    loss = _pair_loss(logits, index, weight, smoothing, None)
    mixed = weight > 0  # [B, k]
    # Entries of weight 0 hide nothing: they become copies of the heaviest one.
    named = torch.where(mixed, index, index.gather(1, weight.argmax(1, keepdim=True)))
    unmixed = logits.scatter(1, named, -torch.inf).logsumexp(1, keepdim=True)  # [B, 1]; -inf if all are mixed
    alone = torch.logaddexp(logits.gather(1, index), unmixed) - logits.gather(1, index)  # [B, k]
    same = index[:, :, None] == index[:, None, :]  # [B, k, k]
    counted = mixed & ~(same & mixed[:, None, :]).tril(-1).any(2)  # a class counts in its first entry
    return _reduced(loss + eta * alone.masked_fill(~counted, 0).sum(1), reduction)


def _pair_loss(
    logits: torch.Tensor,  # [B, K]
    index: torch.Tensor,  # [B, k]
    weight: torch.Tensor,  # [B, k]
    smoothing: float,
    class_weight: torch.Tensor | None,  # [K]
) -> torch.Tensor:  # [B]
    normaliser = logits.logsumexp(1, keepdim=True)  # [B, 1]
    surprise = normaliser - logits.gather(1, index)  # -log probability, [B, k]
    if class_weight is not None:
        surprise = surprise * class_weight[index]
    loss = (weight * surprise).sum(1)
    if smoothing == 0:
        return loss
    even = normaliser - logits  # [B, K]
    if class_weight is not None:
        even = even * class_weight
    return (1 - smoothing) * loss + smoothing * even.mean(1)


def dense_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, label_smoothing: float, reduction: str
) -> torch.Tensor:
    """Cross entropy of logits ``[B, K]`` with soft labels ``[B, K]``, both checked; for MixResult.loss."""
    logits = _check_logits(logits)
    if logits.shape != targets.shape:
        checks.fail("logits", f"shape {checks.shape_of(targets)}, as the targets", checks.shape_of(logits))
    checks.check_same_device({"targets": targets, "logits": logits})
    smoothing = _check_smoothing(label_smoothing)
    checks.check_option(reduction, "reduction", _REDUCTIONS)
    return torch.nn.functional.cross_entropy(
        logits, targets.to(logits.dtype), label_smoothing=smoothing, reduction=reduction
    )


def _check_logits(logits: torch.Tensor) -> torch.Tensor:
    checks.check_dtype(checks.require_tensor(logits, "logits"), "logits", checks.FLOAT_DTYPES)
    if logits.ndim != 2 or 0 in logits.shape:
        checks.fail("logits", "shape [B, K], none of them 0", checks.shape_of(logits))
    return logits if logits.dtype == torch.float64 else logits.float()


def _check_pairs(
    logits: torch.Tensor, index: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The three in the dtypes of the computation; index in range, whatever the values are."""
    logits = _check_logits(logits)
    checks.check_dtype(checks.require_tensor(index, "index"), "index", checks.INDEX_DTYPES)
    checks.check_dtype(checks.require_tensor(weight, "weight"), "weight", checks.FLOAT_DTYPES)
    if index.ndim != 2 or index.shape[0] != logits.shape[0] or index.shape[1] == 0:
        checks.fail("index", f"shape [{logits.shape[0]}, k] (classes of every row)", checks.shape_of(index))
    if weight.shape != index.shape:
        checks.fail("weight", f"the shape of index, {checks.shape_of(index)}", checks.shape_of(weight))
    checks.check_same_device({"logits": logits, "index": index, "weight": weight})
    classes = logits.shape[1]
    checks.check_range(index, "index", 0, classes - 1)
    checks.check_finite(weight, "weight")
    checks.check_range(weight.detach(), "weight", 0.0, float("inf"))
    index = index.to(torch.int64)
    if not checks.values_checked(index):
        index = index.clamp(0, classes - 1)
    return logits, index, weight.to(logits.dtype)


def _check_smoothing(value: float) -> float:
    smoothing = checks.check_number(value, "label_smoothing", 0)
    if smoothing > 1:
        checks.fail("label_smoothing", "a number in 0..1", repr(value))
    return smoothing


def _check_class_weight(value: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    checks.check_dtype(checks.require_tensor(value, "class_weight"), "class_weight", checks.FLOAT_DTYPES)
    if value.shape != logits.shape[1:]:
        expected = f"shape [{logits.shape[1]}] (one weight per class)"
        checks.fail("class_weight", expected, checks.shape_of(value))
    checks.check_same_device({"logits": logits, "class_weight": value})
    checks.check_finite(value, "class_weight")
    return value.to(logits.dtype)


def _reduced(loss: torch.Tensor, reduction: str) -> torch.Tensor:
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()
