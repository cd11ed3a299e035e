"""What all adapters share: official signatures, and where tensors live."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from comix import BackendUnavailable, MixPlan
from comix import _checks as checks
from comix import _native as native

_Function = TypeVar("_Function", bound=Callable[..., Any])


def official(function: _Function) -> _Function:
    """Show the signature as the official code has it: no annotations (type checkers still see them)."""
    signature = inspect.signature(function)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    vars(function)["__signature__"] = inspect.Signature(bare)
    return function


def for_solver(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor where the solvers can read it, without its graph."""
    return tensor.detach().cpu()


def where_solved(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor without its graph: where it is, or on the CPU where this build has no kernels for that."""
    tensor = tensor.detach()
    return tensor if tensor.is_cpu or native.has_kernels(tensor) else tensor.cpu()


def mix(plan: MixPlan, images: torch.Tensor) -> torch.Tensor:
    """``plan.mix(images)`` on the device of the images; over the CPU where that device has no kernel."""
    if images.device.type == "cpu":
        return plan.mix(images)
    try:
        return plan.to(images.device).mix(images)
    except BackendUnavailable:
        return plan.mix(images.cpu()).to(images.device)


def device_named(device: torch.device | str) -> torch.device:
    """The device of functions that are given no tensor; the official default "cuda" needs one to be there."""
    chosen = torch.device(device)
    return torch.device("cpu") if chosen.type == "cuda" and not torch.cuda.is_available() else chosen


def one_hot(labels: torch.Tensor, classes: int, name: str) -> torch.Tensor:
    """float32 ``[n, classes]`` of integers ``[n]``, on their device."""
    checks.require_tensor(labels, name)
    checks.check_dtype(labels, name, checks.INDEX_DTYPES)
    if labels.ndim != 1:
        checks.fail(name, "shape [n]", checks.shape_of(labels))
    checks.check_range(labels, name, 0, classes - 1)
    rows = torch.zeros(len(labels), classes, device=labels.device)
    return rows.scatter_(1, labels.to(torch.int64).unsqueeze(1), 1)


@official
def to_one_hot(inp: torch.Tensor, num_classes: int, device: Any = "cuda") -> torch.Tensor:
    """One-hot labels.

    Args:
        inp: integers ``[N]`` in 0..num_classes-1.
        num_classes: K.
        device: ignored, the labels' own is used.

    Returns:
        float32 ``[N, K]``.

    Raises:
        TypeError, ValueError: not integers, wrong shape, a class out of range.
    """
    return one_hot(inp, num_classes, "inp")


def soft(targets: Any, name: str, count: int) -> torch.Tensor:
    """Soft labels ``[count, K]``, as float32 if they are integers."""
    labels = checks.require_tensor(targets, name)
    if labels.ndim != 2 or len(labels) != count:
        checks.fail(name, f"shape [{count}, K]", checks.shape_of(labels))
    return labels if labels.is_floating_point() else labels.to(torch.float32)


def setting(args: Any, name: str) -> Any:
    """One field of the official ``args`` namespace."""
    if args is None:
        checks.fail("args", f"a namespace with {name}", "None", TypeError)
    if not hasattr(args, name):
        checks.fail("args", f"a namespace with {name}", f"{type(args).__name__} without it", TypeError)
    return getattr(args, name)
