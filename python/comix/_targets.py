"""Partners and targets of a batch, checked and in the one form that the rest works with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native


def check_index(value: object, batch: int, device: torch.device, name: str = "index") -> torch.Tensor:
    """Partners ``[B]`` as int64 on ``device``, in range; from there, from the CPU, or a sequence of ints."""
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str):
        try:
            value = torch.as_tensor(value, device="cpu")
        except (TypeError, ValueError, RuntimeError):
            checks.fail(name, f"{batch} ints (one partner per sample)", repr(value), TypeError)
    index = checks.require_tensor(value, name)
    checks.check_dtype(index, name, checks.INDEX_DTYPES)
    if tuple(index.shape) != (batch,):
        checks.fail(name, f"shape [{batch}] (one partner per sample)", checks.shape_of(index))
    if index.device.type != "cpu" and index.device != device:
        checks.fail(name, f"a tensor on {device}, as the images are, or on the CPU", str(index.device))
    checks.check_range(index, name, 0, batch - 1)
    if index.dtype != torch.int64:
        index = index.to(torch.int64)
    index = index.contiguous()
    return index if index.device == device else native.send(index, device)


def checked_targets(value: object, num_classes: int | None) -> torch.Tensor:
    """Targets as float32 ``[n, K]``, or int64 ``[n]``: class indices on the CPU stay what they are."""
    targets = checks.require_tensor(value, "targets")
    if targets.ndim == 1:
        checks.check_dtype(targets, "targets", checks.INDEX_DTYPES)
        if num_classes is None:
            checks.fail("num_classes", "the number of classes, since targets are class indices", "None")
        checks.check_count(num_classes, "num_classes", 1)
        checks.check_range(targets, "targets", 0, num_classes - 1)
        if targets.device.type == "cpu":
            return targets if targets.dtype == torch.int64 else targets.to(torch.int64)
        # nothing that a class out of range could stop
        return (targets[:, None] == torch.arange(num_classes, device=targets.device)).to(torch.float32)
    if targets.ndim != 2 or 0 in targets.shape:
        checks.fail("targets", "shape [B] (class indices) or [B, K] (soft labels)", checks.shape_of(targets))
    if targets.dtype.is_complex:
        checks.fail("targets", "a real dtype", str(targets.dtype).removeprefix("torch."), TypeError)
    if num_classes is not None and targets.shape[1] != num_classes:
        checks.fail("targets", f"{num_classes} columns (num_classes)", checks.shape_of(targets))
    checks.check_finite(targets, "targets")
    return targets.detach().to(torch.float32)
