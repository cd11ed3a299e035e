"""Saliency: how much each pixel matters, from a model's input gradient or from the picture alone.

Three functions, in the order a training step uses them: a map per image (``input_saliency`` with a model,
``spectral_residual`` without one), then its mean per block (``pool_saliency``) for the solvers.
Outside the model everything is elementwise or a plain sum, no matrix product or convolution: those lose
digits under autocast and ``torch.set_float32_matmul_precision``, and masks must depend on neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, overload

import torch
from torch import Tensor
from torch.nn import functional as F

from comix import _checks as checks
from comix._model_state import Model, buffers_kept_apart, eval_mode, without_parallel_wrapper
from comix._pooling import pool_elsewhere, pool_in_one_pass

# The largest output gradient is scaled to 2^8 before it enters the model. In float16 that leaves 8 binary
# digits for layers that amplify it, and 32 for samples that the model is already sure of.
_SEED_EXPONENT = 8
# Hou & Zhang work at 64 pixels and smooth with a Gaussian of 2.5 of those pixels.
_SPECTRAL_SIDE, _SPECTRAL_SIGMA = 64, 2.5

Loss = Callable[[Any, Any], Tensor] | None


@overload
def input_saliency(
    model: Model, images: Tensor, targets: Any, *, criterion: Loss = None, return_loss: Literal[False] = ...
) -> Tensor: ...
@overload
def input_saliency(
    model: Model, images: Tensor, targets: Any, *, criterion: Loss = None, return_loss: Literal[True]
) -> tuple[Tensor, Tensor]: ...
def input_saliency(
    model: Model,
    images: Tensor,  # [B, C, H, W]
    targets: Any,  # [B] class indices or [B, K] soft labels
    *,
    criterion: Loss = None,
    return_loss: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return how strongly the loss reacts to each pixel: the root mean square of its gradient over channels.

    One forward pass, and a backward pass to the input only: ``.grad`` and ``requires_grad`` of the parameters
    stay as they are. Without ``return_loss`` the model runs in eval mode and every submodule's training flag
    is put back, so BatchNorm statistics do not move. With ``return_loss`` it runs in the mode it is in, and
    ``(loss + mixed_loss).backward()`` trains on the clean images too.

    Works under ``torch.autocast`` (float16 gradients are scaled on their way down, so they do not underflow)
    and inside ``torch.no_grad()``. Of ``DistributedDataParallel`` and ``DataParallel`` the wrapped module
    runs, without collective calls; the step's own backward pass still reduces the gradients of the loss.

    Args:
        model: Maps images to outputs; a module or any callable. Without ``criterion``: to logits [B, K].
        images: [B, C, H, W], float16, bfloat16, float32 or float64, any memory format. Never written to.
        targets: Class indices [B] (integer) or soft labels [B, K] (floating); or what ``criterion`` takes.
        criterion: Called as ``criterion(outputs, targets)``, must return a scalar tensor. It receives outputs
            of half precision as float32. Default None: cross entropy, averaged over the batch.
        return_loss: Also return the loss on these images, with its graph. Default False.

    Returns:
        Saliency [B, H, W] >= 0 without a graph, float64 for float64 images and float32 otherwise; with
        ``return_loss`` the pair (saliency, loss). Where the gradient vanishes a map is all zero.

    Raises:
        TypeError: If ``model`` or ``criterion`` is not callable, ``images`` is not a floating tensor,
            ``targets`` has the wrong dtype, or the criterion (without one: the model) does not return a
            tensor.
        ValueError: If a shape, a device or a class index does not fit, the loss is not a scalar, or it does
            not depend on the images.
        RuntimeError: Inside ``torch.inference_mode()``, where no gradient can be computed.

    Source: Kim et al., "Puzzle Mix" (ICML 2020), section 4; Co-Mixup (ICLR 2021) uses the same map.

    Example:
        >>> import torch, comix
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 10))
        >>> comix.input_saliency(model, torch.rand(4, 3, 8, 8), torch.tensor([1, 0, 7, 2])).shape
        torch.Size([4, 8, 8])
    """
    if not callable(model):
        checks.fail("model", "a callable", type(model).__name__, TypeError)
    if criterion is not None and not callable(criterion):
        checks.fail("criterion", "a callable or None", type(criterion).__name__, TypeError)
    checks.check_flag(return_loss, "return_loss")
    checks.check_dtype(checks.require_tensor(images, "images"), "images", checks.FLOAT_DTYPES)
    checks.check_images(images)
    if torch.is_inference_mode_enabled():
        raise RuntimeError(
            "input_saliency needs gradients, which torch.inference_mode() rules out: "
            "call it outside that block, or use torch.no_grad() there instead"
        )
    network = without_parallel_wrapper(model)
    # Non-reentrant checkpoints run their forward again during the backward pass: eval mode must cover both.
    kept_apart = buffers_kept_apart(network, wanted=return_loss and network is not model)
    with torch.enable_grad(), eval_mode(network, wanted=not return_loss), kept_apart:
        # Tensors made in inference mode cannot carry gradients, their copies can.
        leaf = (images.clone() if images.is_inference() else images.detach()).requires_grad_()
        # A copy goes in, so that a model which normalises in place neither fails nor writes to ``images``.
        outputs = network(leaf.clone())
        if isinstance(outputs, Tensor) and outputs.dtype in (torch.float16, torch.bfloat16):
            outputs = outputs.float()
        loss = _cross_entropy(outputs, targets, images) if criterion is None else criterion(outputs, targets)
        if not isinstance(loss, Tensor):
            checks.fail("criterion", "one that returns a scalar tensor", type(loss).__name__, TypeError)
        if loss.ndim != 0:
            checks.fail("criterion", "one that returns a scalar tensor", f"shape {checks.shape_of(loss)}")
        gradient, scale = _input_gradient(loss, outputs, leaf, keep_graph=return_loss)
    saliency = _channel_rms(gradient) / scale
    return (saliency, loss) if return_loss else saliency


def spectral_residual(images: Tensor) -> Tensor:
    """Return the spectral residual saliency of each image, which needs no model and no labels.

    The log amplitude spectra of natural scenes are alike and smooth; what sticks out of an image's spectrum
    marks what sticks out of the scene. Grey image (channel mean), area-resized so that the longer side has at
    most 64 pixels; residual = log amplitude minus its 3x3 mean (periodic, as the spectrum is); inverse
    transform with the old phase; squared magnitude; Gaussian of 2.5/64 of the longer side; resized back.

    Args:
        images: [B, C, H, W], floating or uint8, any channel count, any size >= 1, any range of values.

    Returns:
        [B, H, W] float32 >= 0 on the device of ``images``; not finite where an image has non-finite pixels.

    Raises:
        TypeError: If ``images`` is not a tensor, or neither floating nor uint8.
        ValueError: If ``images`` is not [B, C, H, W].

    Source: Hou & Zhang, "Saliency Detection: A Spectral Residual Approach" (CVPR 2007), equations 5 to 9.

    Example:
        >>> import torch, comix
        >>> comix.spectral_residual(torch.rand(2, 3, 48, 64)).shape
        torch.Size([2, 48, 64])
    """
    checks.check_images(images)
    height, width = images.shape[-2:]
    shrink = min(1.0, _SPECTRAL_SIDE / max(height, width))
    small = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    grey = images.detach().mean(dim=1, keepdim=True, dtype=torch.float32)  # [B, 1, H, W]
    spectrum = torch.fft.fft2(F.interpolate(grey, size=small, mode="area"))  # complex [B, 1, h, w]
    # float32 noise sits near 1e-7 of the peak: below it a logarithm measures rounding; at zero it is -inf.
    peak = spectrum.abs().amax(dim=(-2, -1), keepdim=True)
    amplitude = spectrum.abs().clamp(min=torch.finfo(torch.float32).tiny).maximum(peak * 1e-6)
    log_amplitude = amplitude.log()
    residual = log_amplitude - _neighbour_mean(log_amplitude)
    # spectrum / amplitude is the phase factor, so no angle has to be computed.
    saliency = torch.fft.ifft2(residual.exp() * (spectrum / amplitude)).abs().square()
    saliency = _gaussian_blur(saliency, sigma=_SPECTRAL_SIGMA * max(small) / _SPECTRAL_SIDE)
    return F.interpolate(saliency, size=(height, width), mode="bilinear", align_corners=False)[:, 0]


def pool_saliency(saliency: Tensor, grid: int | tuple[int, int]) -> Tensor:
    """Return the mean saliency of each block, scaled so that every image sums to 1.

    Block i of g along an axis of n pixels covers the pixels ceil(i*n/g) .. ceil((i+1)*n/g) - 1: each pixel
    belongs to exactly one block, whatever the size. (The official code drops trailing pixels, or fails.)

    Args:
        saliency: [B, H, W], floating, >= 0, of any scale. Half precision is computed in float32.
        grid: Blocks per side, or the pair (rows, columns); at most one block per pixel.

    Returns:
        [B, rows, columns], float64 for float64 input and float32 otherwise. A map that is all zero or holds a
        non-finite value says nothing about its image and becomes uniform.

    Raises:
        TypeError: If ``saliency`` is not a floating tensor, or ``grid`` is not an int or a pair of ints.
        ValueError: If ``saliency`` is not [B, H, W] or has negative values (on CUDA checked only inside
            ``comix.debug()``), or ``grid`` does not fit the map.

    Source: Kim et al., "Puzzle Mix" (ICML 2020), section 4, for the block means.

    Example:
        >>> import torch, comix
        >>> comix.pool_saliency(torch.tensor([[[3.0, 1.0], [0.0, 0.0]]]), 2)
        tensor([[[0.7500, 0.2500],
                 [0.0000, 0.0000]]])
    """
    checks.check_saliency(saliency)
    rows, columns = checks.grid_pair(grid, saliency.shape[1], saliency.shape[2])
    if (pooled := pool_in_one_pass(saliency, rows, columns)) is not None:
        return pooled
    if checks.values_checked(saliency) and (lowest := float(saliency.detach().amin())) < 0:
        checks.fail("saliency", "values >= 0", f"{lowest:g}")
    return pool_elsewhere(saliency, rows, columns)


def _cross_entropy(outputs: Any, targets: Any, images: Tensor) -> Tensor:
    batch = images.shape[0]
    logits = f"one that returns logits [{batch}, K] (or pass a criterion)"
    if not isinstance(outputs, Tensor):
        checks.fail("model", logits, type(outputs).__name__, TypeError)
    if outputs.ndim != 2 or outputs.shape[0] != batch:
        checks.fail("model", logits, f"shape {checks.shape_of(outputs)}")
    classes = outputs.shape[1]
    checks.require_tensor(targets, "targets")
    checks.check_same_device({"images": images, "targets": targets})
    if list(targets.shape) == [batch, classes]:
        checks.check_dtype(targets, "targets", checks.FLOAT_DTYPES)
        return F.cross_entropy(outputs, targets.to(outputs.dtype))
    if list(targets.shape) != [batch]:
        expected = f"class indices [{batch}] or soft labels [{batch}, {classes}]"
        checks.fail("targets", expected, f"shape {checks.shape_of(targets)}")
    checks.check_dtype(targets, "targets", checks.INDEX_DTYPES)
    checks.check_range(targets, "targets", 0, classes - 1)
    return F.cross_entropy(outputs, targets.long())


def _input_gradient(loss: Tensor, outputs: Any, leaf: Tensor, *, keep_graph: bool) -> tuple[Tensor, Tensor]:
    """Return the gradient times a power of two, and that power. Nothing here waits for the device."""
    gradient: Tensor | None = None
    scale = torch.full_like(loss.detach(), 2.0**10, dtype=torch.float32)  # if there is no one seed to measure
    if loss.requires_grad and not isinstance(outputs, Tensor):
        (gradient,) = torch.autograd.grad(loss * scale, leaf, retain_graph=keep_graph, allow_unused=True)
    elif loss.requires_grad and outputs.requires_grad:
        # Stop between model and criterion, where gradients are still float32, and scale them there.
        (seed,) = torch.autograd.grad(loss, outputs, retain_graph=keep_graph, allow_unused=True)
        if seed is not None:
            exponent = torch.frexp(seed.abs().amax().float()).exponent.clamp(-100, 100)
            scale = torch.exp2((_SEED_EXPONENT - exponent).float())
            seed = seed * scale
            (gradient,) = torch.autograd.grad(outputs, leaf, seed, retain_graph=keep_graph, allow_unused=True)
    if gradient is None:
        checks.fail("model", "an output, and from it a loss, that depends on the images", "one that does not")
    return gradient, scale


def _channel_rms(gradient: Tensor) -> Tensor:  # [B, C, H, W] -> [B, H, W]
    gradient = gradient if gradient.dtype == torch.float64 else gradient.float()
    # Squares of 1e-23 are zero in float32: bring each image's peak to 1 first.
    peak = gradient.abs().amax(dim=(1, 2, 3), keepdim=True)
    peak = peak.masked_fill(~(torch.isfinite(peak) & (peak > 0)), 1.0)
    return ((gradient / peak).square().mean(dim=1).sqrt() * peak[:, 0]).contiguous()


def _neighbour_mean(values: Tensor) -> Tensor:  # 3x3, periodic
    for axis in (-2, -1):
        values = (values.roll(1, axis) + values + values.roll(-1, axis)) / 3
    return values


def _gaussian_blur(values: Tensor, sigma: float) -> Tensor:
    radius = math.ceil(3 * sigma)
    weights = {step: math.exp(-0.5 * (step / sigma) ** 2) for step in range(-radius, radius + 1)}
    for axis in (-2, -1):
        position = torch.arange(values.shape[axis], device=values.device)
        blurred = torch.zeros_like(values)
        for step, weight in weights.items():
            # The border pixel stands in for all beyond it: images may be smaller than the kernel.
            shifted = values.index_select(axis, (position + step).clamp(0, values.shape[axis] - 1))
            blurred += shifted * (weight / sum(weights.values()))
        values = blurred
    return values
