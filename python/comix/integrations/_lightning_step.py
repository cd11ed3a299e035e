"""A training step on mixed batches: what the mixin and the callback for Lightning share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

import comix
from comix import _checks as checks

Criterion = Callable[[Any, Any], Tensor] | None
SALIENCIES = ("model", "spectral")


@dataclass(frozen=True, eq=False, repr=False)
class StepMix(comix.MixResult):
    """A :class:`comix.MixResult` whose ``loss`` includes the loss on the clean images.

    Attributes:
        clean_loss: ``clean_weight`` times the loss on the images before mixing, a scalar with its graph;
            None without a clean weight.
    """

    clean_loss: Tensor | None = None

    def loss(self, logits: Tensor, *, label_smoothing: float = 0.0, reduction: str = "mean") -> Tensor:
        """The mixed loss of :meth:`comix.MixResult.loss`, plus ``clean_loss`` where there is one."""
        mixed = super().loss(logits, label_smoothing=label_smoothing, reduction=reduction)
        return mixed if self.clean_loss is None else mixed + self.clean_loss


class ComixMixin:
    """Gives a LightningModule ``comix_step``: a training batch in, a mixed batch out.

    Attributes:
        comix_mixer: the :class:`comix.PuzzleMix` or :class:`comix.CoMixup`; set it on the class, or on the
            instance in ``__init__``.

    Example:
        >>> import comix, torch
        >>> import lightning.pytorch as L
        >>> from comix.integrations.lightning import ComixMixin
        >>> class Net(ComixMixin, L.LightningModule):
        ...     comix_mixer = comix.PuzzleMix(num_classes=10)
        ...
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 10))
        ...
        ...     def forward(self, images):
        ...         return self.net(images)
        ...
        ...     def training_step(self, batch, batch_idx):
        ...         mixed = self.comix_step(batch)
        ...         return mixed.loss(self(mixed.images))
        >>> Net().training_step((torch.rand(4, 3, 16, 16), torch.tensor([1, 2, 3, 4])), 0).shape
        torch.Size([])
    """

    comix_mixer: comix.PuzzleMix | comix.CoMixup | None = None

    def comix_network(self) -> Callable[..., Any]:
        """What maps images to logits for the saliency; override to choose.

        Default: the module itself where it defines ``forward``, else its attribute ``net``.
        """
        return network_of(self)

    def comix_step(
        self,
        batch: Any,
        *,
        net: Callable[..., Any] | None = None,
        saliency: str = "model",
        clean_weight: float = 0.0,
        criterion: Criterion = None,
    ) -> StepMix:
        """Mix a batch; for ``training_step``, under automatic and manual optimisation alike.

        Args:
            batch: the pair (images ``[B, C, H, W]``, class indices ``[B]`` or soft labels ``[B, K]``).
            net: whose input gradient is the saliency. Default: ``comix_network()``.
            saliency: ``"model"`` (default), or ``"spectral"`` for :func:`comix.spectral_residual`, which
                needs no pass through the network.
            clean_weight: weight of the loss on the clean images in ``result.loss``, the papers' clean_lam.
                The saliency pass then runs in training mode and its graph is kept. Default 0: none.
            criterion: of saliency and clean loss, ``criterion(outputs, targets)``. Default: cross entropy.

        Returns:
            StepMix: ``images, targets = result``; ``result.loss(logits)`` has all that is to be minimised.
            Parameter gradients and, without ``clean_weight``, BatchNorm statistics are untouched.

        Raises:
            TypeError: the batch is not a pair of tensors, or there is no ``comix_mixer``.
            ValueError: an argument of a wrong shape or value; the text names it.
        """
        mixer = check_mixer(self.comix_mixer, "comix_mixer")
        clean_weight = check_clean_weight(saliency, clean_weight)
        images, targets = pair(batch, "comix_step((images, targets)) takes the tensors of any batch")
        network = self.comix_network() if net is None else net
        with precision_of(self):
            maps, clean = saliency_and_clean_loss(network, images, targets, saliency, clean_weight, criterion)
        mixed = mixer(images, targets, saliency=maps)
        return StepMix(mixed.images, mixed.targets, mixed.plan, mixed.saliency, clean)


def saliency_and_clean_loss(
    network: Callable[..., Any],
    images: Tensor,
    targets: Tensor,
    saliency: str,
    clean_weight: float,
    criterion: Criterion,
) -> tuple[Tensor | None, Tensor | None]:
    """Maps [B, H, W] (None: the mixer is to find its own) and the weighted clean loss (None: no weight)."""
    if saliency == "spectral":
        return None, None
    if not clean_weight:
        return comix.input_saliency(network, images, targets, criterion=criterion), None
    maps, loss = comix.input_saliency(network, images, targets, criterion=criterion, return_loss=True)
    return maps, clean_weight * loss


def precision_of(module: Any) -> AbstractContextManager[Any]:
    """The autocast of the trainer; nothing for a module without one."""
    try:
        plugin = module.trainer.precision_plugin
    except (AttributeError, RuntimeError):  # Lightning's own error for a module that is not attached
        return contextlib.nullcontext()
    context: AbstractContextManager[Any] = plugin.forward_context()
    return context


def network_of(module: Any) -> Callable[..., Any]:
    """The module itself where its class defines ``forward``, else its attribute ``net``."""
    defining = next((c for c in type(module).__mro__ if "forward" in vars(c)), object)
    if defining.__module__.split(".")[0] not in ("lightning", "pytorch_lightning", "torch", "builtins"):
        network: Callable[..., Any] = module
        return network
    net = getattr(module, "net", None)
    if not isinstance(net, nn.Module):
        expected = "given, since the module has neither a forward method nor a network named net"
        checks.fail("net", expected, "None", TypeError)
    return net


def pair(batch: Any, hint: str) -> tuple[Tensor, Tensor]:
    if isinstance(batch, (list, tuple)) and len(batch) == 2 and all(isinstance(x, Tensor) for x in batch):
        return batch[0], batch[1]
    got = type(batch).__name__
    if isinstance(batch, Mapping):
        got += f" with the keys {', '.join(map(str, batch))}"
    elif isinstance(batch, (list, tuple)):
        got += f" of ({', '.join(type(x).__name__ for x in batch)})"
    return checks.fail("batch", "a pair of tensors (images, targets)", f"{got}; {hint}", TypeError)


def check_mixer(mixer: Any, name: str) -> comix.PuzzleMix | comix.CoMixup:
    if not isinstance(mixer, (comix.PuzzleMix, comix.CoMixup)):
        got = "None" if mixer is None else repr(mixer) if isinstance(mixer, type) else type(mixer).__name__
        checks.fail(name, "a comix.PuzzleMix or a comix.CoMixup", got, TypeError)
    return mixer


def check_clean_weight(saliency: object, clean_weight: object) -> float:
    checks.check_option(saliency, "saliency", SALIENCIES)
    weight = checks.check_number(clean_weight, "clean_weight", 0.0)
    if weight and saliency == "spectral":
        expected = "0 with saliency='spectral', which runs no network on the clean images"
        checks.fail("clean_weight", expected, repr(clean_weight))
    return weight
