"""comix in Lightning: ``ComixMixin`` for the modules one writes, ``ComixMixing`` for those one has.

    class Net(ComixMixin, L.LightningModule):
        comix_mixer = comix.CoMixup(num_classes=100)

        def training_step(self, batch, batch_idx):
            mixed = self.comix_step(batch)
            return mixed.loss(self(mixed.images))

    trainer = L.Trainer(callbacks=[ComixMixing(comix.PuzzleMix(num_classes=100))])   # training_step as it was

Works with ``lightning.pytorch`` and with ``pytorch_lightning``. Both run the saliency pass inside
``training_step``: under the precision plugin's autocast, and under DistributedDataParallel after the buffers
were synchronised, on the module itself, so that no collective call is added.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

import comix
from comix import _checks as checks
from comix.integrations._lightning_step import (
    ComixMixin,
    Criterion,
    StepMix,
    check_clean_weight,
    check_mixer,
    network_of,
    pair,
    precision_of,
    saliency_and_clean_loss,
)

__all__ = ["ComixMixin", "ComixMixing", "StepMix"]


def _callback_classes() -> tuple[Any, ...]:
    """``Callback`` of every Lightning that the program has imported; if none, of the one it can import."""
    found: list[Any] = []
    if "pytorch_lightning" in sys.modules:
        from pytorch_lightning import Callback as OfPytorchLightning

        found.append(OfPytorchLightning)
    if "lightning.pytorch" in sys.modules or not found:
        try:
            from lightning.pytorch import Callback as OfLightning
        except ImportError:
            from pytorch_lightning import Callback as OfLightning
        found.append(OfLightning)
    return tuple(found)


_Callback: Any = type("_Callback", _callback_classes(), {})


class ComixMixing(_Callback):  # type: ignore[misc]
    """Mixes the training batches of any LightningModule; validation, test and sanity checks stay clean.

    ``training_step`` is called with ``(mixed images, soft targets float32 [B, K])`` in place of the batch,
    so its loss must take soft targets, as ``F.cross_entropy`` does. Other hooks see the batch as it was
    loaded. The step is wrapped from ``on_train_start`` to the end of the fit, also when that fails. An
    optimizer that evaluates its closure several times per batch (LBFGS) gets the same mixed batch each time.

    Args:
        mixer: a :class:`comix.PuzzleMix` or :class:`comix.CoMixup`, with ``num_classes`` for class indices.
        net: whose input gradient is the saliency: a module, or the name of an attribute of the
            LightningModule (``"student"``, ``"model.net"``). Default: what :meth:`ComixMixin.comix_network`
            says, for all modules.
        saliency: ``"model"`` (default) or ``"spectral"`` (:func:`comix.spectral_residual`).
        clean_weight: adds this times the loss on the clean images to the loss that ``training_step``
            returns, the papers' clean_lam; for automatic optimisation. Default 0.
        criterion: of saliency and clean loss, ``criterion(outputs, targets)``. Default: cross entropy.

    Attributes:
        result: the :class:`comix.MixResult` of the current training batch, for other callbacks and for
            metrics; None before the first.
        clean_loss: the clean loss that was added (detached scalar), or None.

    Raises:
        TypeError, ValueError: an argument of a wrong type or value; a training batch that is not a pair of
            tensors (override ``split_batch`` and ``join_batch`` for others); ``clean_weight`` with manual
            optimisation.

    Example:
        >>> import comix
        >>> from comix.integrations.lightning import ComixMixing
        >>> mixing = ComixMixing(comix.CoMixup(num_classes=100), clean_weight=1.0)
        >>> # trainer = L.Trainer(callbacks=[mixing])
    """

    def __init__(
        self,
        mixer: comix.PuzzleMix | comix.CoMixup,
        *,
        net: nn.Module | str | None = None,
        saliency: str = "model",
        clean_weight: float = 0.0,
        criterion: Criterion = None,
    ) -> None:
        super().__init__()
        self.mixer = check_mixer(mixer, "mixer")
        if net is not None and not isinstance(net, (str, nn.Module)):
            expected = "a module, the name of an attribute of the LightningModule, or None"
            checks.fail("net", expected, type(net).__name__, TypeError)
        self.net = net
        self.saliency = saliency
        self.clean_weight = check_clean_weight(saliency, clean_weight)
        self.criterion = criterion
        self.result: comix.MixResult | None = None
        self.clean_loss: Tensor | None = None
        self._restore: Callable[[], None] | None = None

    def split_batch(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Images and targets of a training batch; override for batches that are not such a pair."""
        return pair(batch, "for other batches override ComixMixing.split_batch and join_batch")

    def join_batch(self, batch: Any, images: Tensor, targets: Tensor) -> Any:
        """The batch that ``training_step`` receives: a list, tuple or named tuple as ``batch`` is."""
        if hasattr(batch, "_fields"):
            return type(batch)(images, targets)
        return (images, targets) if isinstance(batch, tuple) else [images, targets]

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Wraps ``training_step``."""
        self._unwrap()
        if self.clean_weight and not pl_module.automatic_optimization:
            raise ValueError(
                "clean_weight: expected 0 with manual optimization, where the module does its own backward "
                f"passes, got {self.clean_weight:g} (ComixMixin.comix_step gives a loss that includes the "
                "clean one)"
            )
        original = pl_module.training_step
        was_set = "training_step" in vars(pl_module)

        @functools.wraps(original)
        def training_step(batch: Any, *args: Any, **kwargs: Any) -> Any:
            return self._step(pl_module, original, batch, *args, **kwargs)

        def restore() -> None:
            if was_set:
                pl_module.training_step = original
            else:
                del pl_module.training_step

        # Lightning looks at the signature under one wrapper to see whether to pass batch_idx.
        training_step.__wrapped__ = getattr(original, "__wrapped__", original)
        pl_module.training_step = training_step
        self._restore = restore

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Forgets the result of the batch before."""
        self.result = self.clean_loss = None

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Puts ``training_step`` back."""
        self._unwrap()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Puts ``training_step`` back."""
        self._unwrap()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Puts ``training_step`` back."""
        self._unwrap()

    def _unwrap(self) -> None:
        if self._restore is not None:
            self._restore()
        self._restore = None

    def _step(self, module: Any, original: Callable[..., Any], batch: Any, *args: Any, **kwargs: Any) -> Any:
        clean = None
        # A closure evaluated again finds the batch as it was mixed; its clean loss is of the new weights.
        if self.result is None or self.clean_weight:
            images, targets = self.split_batch(batch)
            network, weight = self._network(module), self.clean_weight
            with precision_of(module):
                maps, clean = saliency_and_clean_loss(
                    network, images, targets, self.saliency, weight, self.criterion
                )
            if self.result is None:
                self.result = self.mixer(images, targets, saliency=maps)
            self.clean_loss = None if clean is None else clean.detach()
        batch = self.join_batch(batch, self.result.images, self.result.targets)
        return _add_loss(original(batch, *args, **kwargs), clean)

    def _network(self, module: Any) -> Callable[..., Any]:
        if isinstance(self.net, str):
            try:
                found: Callable[..., Any] = operator.attrgetter(self.net)(module)
            except AttributeError:
                checks.fail("net", f"the name of an attribute of {type(module).__name__}", repr(self.net))
            return found
        if self.net is not None:
            return self.net
        return module.comix_network() if isinstance(module, ComixMixin) else network_of(module)


def _add_loss(output: Any, clean: Tensor | None) -> Any:
    """What ``training_step`` returned, ``clean`` added to its loss; None (skip this batch) stays None."""
    if clean is None or output is None:
        return output
    if isinstance(output, Mapping) and "loss" in output:
        return {**output, "loss": output["loss"] + clean}
    return output + clean if isinstance(output, Tensor) else output
