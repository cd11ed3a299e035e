"""What the two augmentations share: the result, the checks of a batch, the saliency it uses."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from comix import _checks as checks
from comix._mix_kernel import Arrays, Batch, as_tensors, batch_to_mix
from comix._mix_op import is_plain, mix_images
from comix._targets import checked_targets
from comix.losses import dense_cross_entropy
from comix.mixing import MixPlan
from comix.saliency import input_saliency, spectral_residual


class PlanDraft(NamedTuple):
    """A plan as the native code wrote it. Most users never look at it, and tensors of it cost time."""

    entries: Arrays
    largest: int  # source
    pairs: bool  # whether no output names more than two inputs

    def finished(self) -> MixPlan:
        """The plan, over the same memory."""
        plan = MixPlan._of_checked(as_tensors(self.entries), self.largest)
        return plan._of_pairs() if self.pairs else plan


@dataclass(frozen=True, eq=False, repr=False)
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

    @classmethod
    def _of_draft(
        cls, images: torch.Tensor, targets: torch.Tensor, draft: PlanDraft, saliency: torch.Tensor
    ) -> MixResult:
        """A result whose plan is finished when somebody asks for it."""
        result = cls.__new__(cls)
        result.__dict__.update(images=images, targets=targets, saliency=saliency, _draft=draft)
        return result

    def __getattr__(self, name: str) -> Any:  # of what is not there yet
        draft = self.__dict__.get("_draft") if name == "plan" else None
        if draft is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.__dict__.setdefault("plan", draft.finished())

    def __repr__(self) -> str:  # shapes: a batch of numbers fills the screen
        shown = ("images", "targets", "saliency")
        tensors = ", ".join(f"{name} {checks.shape_of(getattr(self, name))}" for name in shown)
        return f"{type(self).__name__}({tensors}, {self.plan})"

    def __iter__(self) -> Iterator[torch.Tensor]:
        yield self.images
        yield self.targets

    def loss(
        self, logits: torch.Tensor, *, label_smoothing: float = 0.0, reduction: str = "mean"
    ) -> torch.Tensor:
        """Return the cross entropy of a model's logits with the mixed targets.

        Args:
            logits: ``[B, K]`` floats, ``model(result.images)``. Half precision is computed in float32.
            label_smoothing: share of every target that is spread evenly over all classes, 0..1. Default 0.
            reduction: "mean" (default), "sum" or "none".

        Returns:
            A scalar, or ``[B]`` for "none"; float64 for float64 logits and float32 otherwise.

        Raises:
            TypeError, ValueError: an argument of a wrong type, shape or value; the text names it.

        Example:
            >>> import comix, torch
            >>> aug = comix.PuzzleMix(num_classes=4)
            >>> result = aug(torch.rand(2, 3, 16, 16), torch.tensor([1, 3]))
            >>> result.loss(torch.zeros(2, 4))  # log 4
            tensor(1.3863)
        """
        return dense_cross_entropy(logits, self.targets, label_smoothing, reduction)


class Mixer(abc.ABC):
    """An augmentation: checks a batch, finds its saliency, and mixes by the plan that a subclass makes."""

    num_classes: int | None

    @abc.abstractmethod
    def _plan_batch(
        self, images: torch.Tensor, saliency: torch.Tensor, batch: Batch | None
    ) -> MixPlan | PlanDraft:
        """The plan for checked images ``[B, C, H, W]`` and saliency ``[B, H, W]``; may draw.

        A draft has mixed the batch as well, if there is one; a finished plan has not.
        """

    def __call__(
        self,
        images: torch.Tensor,
        targets: torch.Tensor,
        *,
        saliency: torch.Tensor | None = None,
        model: torch.nn.Module | None = None,
    ) -> MixResult:
        """Mix a batch.

        Args:
            images: ``[B, C, H, W]``, any float dtype or uint8, any B >= 1; read only.
            targets: ``[B]`` class indices or ``[B, K]`` soft labels.
            saliency: ``[B, H, W]`` maps >= 0.
            model: takes the saliency from this model's input gradient (:func:`comix.input_saliency`).
                Neither: :func:`comix.spectral_residual`.

        Returns:
            MixResult: images ``[B, C, H, W]``, targets float32 ``[B, K]``, plan, saliency.

        Raises:
            TypeError, ValueError: an argument of a wrong type, shape or value; the text names it.
        """
        checks.check_images(images)
        labels = checked_targets(targets, self.num_classes)
        if labels.shape[0] != images.shape[0]:
            checks.fail("targets", f"{images.shape[0]} rows, one per image", str(labels.shape[0]))
        checks.check_same_device({"images": images, "targets": labels})
        if saliency is not None and model is not None:
            checks.fail("saliency, model", "at most one of the two", "both")
        if saliency is not None:
            checks.check_saliency(saliency, images)
            checks.check_same_device({"images": images, "saliency": saliency})
            saliency = saliency.detach() if saliency.requires_grad else saliency
        elif model is not None:
            # Whole numbers [B, K] are soft labels here, but nothing that a cross entropy takes.
            takes = targets if targets.ndim == 1 or targets.is_floating_point() else labels
            saliency = input_saliency(model, images, takes)
        else:
            saliency = spectral_residual(images)
        batch = batch_to_mix(images, labels, self.num_classes) if is_plain(images) else None
        plan = self._plan_batch(images, saliency, batch)
        if isinstance(plan, PlanDraft):
            if batch is not None:
                return MixResult._of_draft(batch.images, batch.targets, plan, saliency)
            plan = plan.finished()
        # The plan is made for these images: nothing is left that plan.mix would check.
        mixed = mix_images(images, plan.source, plan.block, plan.weight)
        return MixResult(mixed, plan._mix_checked(labels, self.num_classes), plan, saliency)


def check_generator(generator: Any) -> torch.Generator | None:
    """None (torch's global generator) or a torch.Generator."""
    if generator is not None and not isinstance(generator, torch.Generator):
        checks.fail("generator", "a torch.Generator or None", type(generator).__name__, TypeError)
    if generator is not None and generator.device.type != "cpu":
        expected = "a CPU generator (draws are the same for all devices)"
        checks.fail("generator", expected, str(generator.device))
    return generator


def draw_gamma(alpha: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """One Gamma variate for each alpha; over their sum they are a Dirichlet variate."""
    return torch._standard_gamma(alpha, generator=generator)


def draw_beta(alpha: float, generator: torch.Generator | None) -> float:
    """One Beta(alpha, alpha) variate: the first share of ``draw_shares((2,), alpha, generator)``."""
    if alpha < 1:
        return float(draw_dirichlet((2,), alpha, generator)[0])
    own, other = draw_gamma(_filled((2,), alpha), generator).tolist()
    return float(own / (own + other))


def draw_shares(shape: tuple[int, ...], alpha: float, generator: torch.Generator | None) -> torch.Tensor:
    """Float64 amounts; over their sum along the last axis they are Dirichlet(alpha, ..., alpha) variates."""
    if alpha < 1:
        return draw_dirichlet(shape, alpha, generator)
    return draw_gamma(_filled(shape, alpha), generator)


_filled_before: dict[tuple[tuple[int, ...], float], torch.Tensor] = {}


def _filled(shape: tuple[int, ...], value: float) -> torch.Tensor:
    """A float64 tensor of one value, kept: batches of one size follow each other. Not to be written to."""
    known = _filled_before.get((shape, value))
    if known is None:
        if len(_filled_before) >= 64:
            _filled_before.clear()
        known = _filled_before[shape, value] = torch.from_numpy(np.full(shape, value, np.float64))
    return known


def draw_dirichlet(shape: tuple[int, ...], alpha: float, generator: torch.Generator | None) -> torch.Tensor:
    """Dirichlet(alpha, ..., alpha) variates along the last axis, float64; 0 < alpha < 1."""
    # torch.distributions takes no generator; _standard_gamma is the sampler under it. Gamma(alpha) =
    # Gamma(alpha + 1) U^(1/alpha) underflows for a small alpha: stay in logarithms.
    gamma = draw_gamma(_filled(shape, alpha + 1), generator)
    uniform = 1 - torch.rand(shape, dtype=torch.float64, generator=generator, device="cpu")  # in (0, 1]
    logarithm = alpha * gamma.log() + uniform.log()  # alpha times that of a Gamma(alpha)
    return torch.softmax((logarithm - logarithm.amax(-1, keepdim=True)) / alpha, -1)
