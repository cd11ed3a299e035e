"""What the two augmentations share: the result, the checks of a batch, the saliency it uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from comix import _checks as checks
from comix._targets import soft_targets
from comix.mixing import MixPlan
from comix.saliency import input_saliency, spectral_residual


@dataclass(frozen=True)
class MixResult:
    """A mixed batch; unpacks as ``images, targets = result``.

    Attributes:
        images: ``[B, C, H, W]``, dtype and memory format of the input.
        targets: float32 ``[B, K]``.
        plan: the :class:`comix.MixPlan` behind both.
        saliency: ``[B, H, W]``, the maps that were used.
    """

    images: torch.Tensor
    targets: torch.Tensor
    plan: MixPlan
    saliency: torch.Tensor

    def __iter__(self) -> Iterator[torch.Tensor]:
        yield self.images
        yield self.targets


@dataclass(frozen=True)
class Batch:
    """A checked batch."""

    images: torch.Tensor  # [B, C, H, W]
    targets: torch.Tensor  # [B, K] float32
    saliency: torch.Tensor  # [B, H, W]

    def mixed_by(self, plan: MixPlan) -> MixResult:
        return MixResult(plan.mix(self.images), plan.mix_targets(self.targets), plan, self.saliency)


def check_batch(
    images: Any, targets: Any, num_classes: int | None, saliency: Any, model: torch.nn.Module | None
) -> Batch:
    """Checks the arguments of an augmentation's call and finds the saliency to use."""
    checks.check_images(images)
    soft = soft_targets(targets, num_classes)
    if soft.shape[0] != images.shape[0]:
        checks.fail("targets", f"{images.shape[0]} rows, one per image", str(soft.shape[0]))
    checks.check_same_device({"images": images, "targets": soft})
    if saliency is not None and model is not None:
        checks.fail("saliency, model", "at most one of the two", "both")
    if saliency is not None:
        checks.check_saliency(saliency, images)
        checks.check_same_device({"images": images, "saliency": saliency})
        return Batch(images, soft, saliency.detach())
    if model is not None:
        maps = input_saliency(model, images, targets)
        assert isinstance(maps, torch.Tensor)  # a pair only with return_loss
        return Batch(images, soft, maps)
    return Batch(images, soft, spectral_residual(images))


def check_generator(generator: Any) -> torch.Generator | None:
    """None (torch's global generator) or a torch.Generator."""
    if generator is not None and not isinstance(generator, torch.Generator):
        checks.fail("generator", "a torch.Generator or None", type(generator).__name__, TypeError)
    if generator is not None and generator.device.type != "cpu":
        expected = "a CPU generator (draws are the same for all devices)"
        checks.fail("generator", expected, str(generator.device))
    return generator


def draw_dirichlet(n: int, alpha: float, generator: torch.Generator | None) -> torch.Tensor:
    """One Dirichlet(alpha, ..., alpha) variate of length n, float64, on the CPU; alpha > 0."""
    # torch.distributions takes no generator; _standard_gamma is the sampler under it.
    if alpha >= 1:
        gamma = torch._standard_gamma(torch.full((n,), alpha, dtype=torch.float64), generator=generator)
        return gamma / gamma.sum()
    # Gamma(alpha) = Gamma(alpha + 1) U^(1/alpha) underflows for a small alpha: stay in logarithms.
    gamma = torch._standard_gamma(torch.full((n,), alpha + 1, dtype=torch.float64), generator=generator)
    uniform = 1 - torch.rand(n, dtype=torch.float64, generator=generator)  # in (0, 1]
    logarithm = alpha * gamma.log() + uniform.log()  # alpha times that of a Gamma(alpha)
    return torch.softmax((logarithm - logarithm.max()) / alpha, 0)
