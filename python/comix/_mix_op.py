"""Mixing as a differentiable function of the images, on every device; one node for torch.compile.

Two ways to the same kernels. Called eagerly, a plain function or a torch.autograd.Function: that costs less
per call than an operator. While torch compiles or traces, the operators ``comix::mix`` and
``comix::mix_transpose``, which it can neither look into nor split. torch before 2.4 has no operators
written in Python, and compiled functions leave the graph at a call of ``mix``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from comix import _checks as checks
from comix import _native as native
from comix._mix_kernel import Entries, mix_kernel, mix_transpose_kernel
from comix._on_cuda import is_channels_last, new_images
from comix._on_cuda import mixing as on_cuda

HAS_OPERATORS = hasattr(torch.library, "custom_op")
# torch 2.3 gave it this name.
is_compiling: Callable[[], bool] = getattr(torch.compiler, "is_compiling", None) or torch._utils.is_compiling


def fits(images: object, source: Tensor) -> bool:
    """Whether ``check_fit`` would pass, for plain tensors on the CPU: the usual case, for less."""
    if type(images) is not Tensor or not images.is_cpu or not source.is_cpu or images.ndim != 4:
        return False
    if images.layout != torch.strided or images.dtype not in checks.IMAGE_DTYPES:
        return False
    (inputs, channels, height, width), (_, gh, gw, _) = images.shape, source.shape
    return inputs > 0 and channels > 0 and gh <= height and gw <= width


def check_fit(images: Tensor, source: Tensor) -> None:
    """TypeError or ValueError unless images of this kind can be mixed by a plan of this size."""
    checks.check_images(images)
    checks.check_same_device({"plan": source, "images": images})
    (gh, gw), (height, width) = source.shape[1:3], images.shape[2:]
    if gh > height or gw > width:
        expected = f"at least one pixel per block of the {gh} x {gw} plan"
        checks.fail("images", expected, f"{height} x {width} pixels")


def is_plain(images: Tensor) -> bool:
    """Whether ``mix_images`` would do no more than run the kernel of the CPU."""
    if type(images) is not Tensor or not images.is_cpu or is_compiling():
        return False
    return not images.requires_grad or not torch.is_grad_enabled()


def mix_images(images: Tensor, source: Tensor, block: Tensor, weight: Tensor) -> Tensor:
    """Gather and blend blocks; arguments checked by the caller. Records a graph when images require it."""
    entries = (source, block, weight.detach() if weight.requires_grad else weight)
    if HAS_OPERATORS and _traced(images):
        return _mix_operator(images, *entries)  # type: ignore[no-any-return]
    if images.requires_grad and torch.is_grad_enabled():
        mixed: Tensor = _Mix.apply(images, entries)  # type: ignore[no-untyped-call]
        return mixed
    return _mix(images, entries)


def _traced(images: Tensor) -> bool:
    if is_compiling():
        return True
    # Tensors that stand for others while something is traced or exported.
    return type(images) is not Tensor and type(images).__torch_dispatch__ is not Tensor.__torch_dispatch__


def _mix(images: Tensor, entries: Entries) -> Tensor:
    return mix_kernel(images, entries) if images.is_cpu else on_cuda.mix(images, entries)


def _mix_transpose(mixed: Tensor, entries: Entries, n_inputs: int) -> Tensor:
    if mixed.is_cpu:
        return mix_transpose_kernel(mixed, entries, n_inputs)
    return on_cuda.mix_transpose(mixed, entries, n_inputs)


class _Mix(torch.autograd.Function):
    """Mixing is linear in the images: its backward is the transpose, and that one's backward is mixing."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, entries: Entries) -> Tensor:
        ctx.entries, ctx.n_inputs = entries, images.shape[0]
        return _mix(images, entries)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _MixTranspose.apply(gradient, ctx.entries, ctx.n_inputs), None  # type: ignore[no-untyped-call]


class _MixTranspose(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mixed: Tensor, entries: Entries, n_inputs: int) -> Tensor:
        ctx.entries = entries
        return _mix_transpose(mixed, entries, n_inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Mix.apply(gradient, ctx.entries), None, None  # type: ignore[no-untyped-call]


# --- the same as operators ------------------------------------------------------------------------------


def _mix_entry(images: Tensor, source: Tensor, block: Tensor, weight: Tensor) -> Tensor:
    native.require_device(images, "images")
    return _mix(images, (source, block, weight))


def _mix_shape(images: Tensor, source: Tensor, block: Tensor, weight: Tensor) -> Tensor:
    return new_images(images, source.shape[0], is_channels_last(images))


def _mix_transpose_entry(
    mixed: Tensor, source: Tensor, block: Tensor, weight: Tensor, n_inputs: int
) -> Tensor:
    native.require_device(mixed, "images")
    return _mix_transpose(mixed, (source, block, weight), n_inputs)


def _mix_transpose_shape(
    mixed: Tensor, source: Tensor, block: Tensor, weight: Tensor, n_inputs: int
) -> Tensor:
    # The kernel of the CPU writes contiguous images.
    return new_images(mixed, n_inputs, mixed.device.type != "cpu" and is_channels_last(mixed))


def _keep_for_mix(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    images, *entries = inputs
    ctx.save_for_backward(*entries)
    ctx.n_inputs = images.shape[0]


def _mix_backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    return _mix_transpose_operator(gradient, *ctx.saved_tensors, ctx.n_inputs), None, None, None


def _keep_for_transpose(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    _, *entries, _ = inputs
    ctx.save_for_backward(*entries)


def _mix_transpose_backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    return _mix_operator(gradient, *ctx.saved_tensors), None, None, None, None


_mix_operator: Any = None
_mix_transpose_operator: Any = None
if HAS_OPERATORS:
    _plan = "Tensor source, Tensor block, Tensor weight"  # each [B_out, gh, gw, 2]
    _mix_operator = torch.library.custom_op(
        "comix::mix", _mix_entry, mutates_args=(), schema=f"(Tensor images, {_plan}) -> Tensor"
    )
    _mix_operator.register_fake(_mix_shape)
    _mix_operator.register_autograd(_mix_backward, setup_context=_keep_for_mix)
    _mix_transpose_operator = torch.library.custom_op(
        "comix::mix_transpose",
        _mix_transpose_entry,
        mutates_args=(),
        schema=f"(Tensor mixed, {_plan}, SymInt n_inputs) -> Tensor",
    )
    _mix_transpose_operator.register_fake(_mix_transpose_shape)
    _mix_transpose_operator.register_autograd(_mix_transpose_backward, setup_context=_keep_for_transpose)
