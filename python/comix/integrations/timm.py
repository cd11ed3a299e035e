"""PuzzleMix and Co-Mixup where timm's training script calls its own ``Mixup``.

from comix.integrations.timm import ComixMixup

mixup_fn = ComixMixup(mode="puzzle", prob=0.8, num_classes=1000).bind(model, amp_autocast)
input, target = mixup_fn(input, target)  # soft float32 [B, K], for SoftTargetCrossEntropy
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from timm.data import mixup
from torch.nn.parallel import DataParallel, DistributedDataParallel

import comix
from comix import _checks as checks

__all__ = ["ComixMixup"]

_timm: Any = mixup  # its functions have no types
_METHODS: dict[str, Any] = {"puzzle": comix.PuzzleMix, "comixup": comix.CoMixup}


class ComixMixup:
    """A ``mixup_fn`` of timm that mixes by PuzzleMix or Co-Mixup.

    It is called after the loader and before the model, as ``timm.data.Mixup`` is: outside autocast, with or
    without channels_last, on any device, in every rank of its own. Two things differ. The saliency needs the
    model, so :meth:`bind` it; without one, the saliency is :func:`comix.spectral_residual`. And the input is
    never written to.

    Args:
        mode: "puzzle" (default, :class:`comix.PuzzleMix`) or "comixup" (:class:`comix.CoMixup`).
        mixup_alpha: ``alpha`` of that class. Default None: its own, 1 for "puzzle" and 2 for "comixup".
        prob: Probability that a batch is mixed, 0..1. Default 1.
        label_smoothing: As in timm: 1 - s + s/K for the label and s/K for all other classes, then mixed.
            Default 0.1.
        num_classes: K. Default 1000.
        saliency: None (default: of the bound model, if there is one) or "spectral" (never of the model).
        cutmix_alpha: With this above 0, some batches go to timm's own CutMix instead. Default 0.
        cutmix_minmax: As in timm; with it CutMix is on, whatever ``cutmix_alpha`` is. Default None.
        switch_prob: Probability that a batch which is mixed goes to CutMix, if that is on. Default 0.5.
        correct_lam: Of CutMix, as in timm. Default True.
        generator: CPU ``torch.Generator`` of all draws except CutMix's. Default None: torch's global one,
            which ``timm.utils.random_seed(seed, rank)`` seeds differently in every rank.
        options: Further keyword arguments of the class, for example ``std=`` or ``grid=``.

    Attributes:
        mixup_enabled: Set it to False, as timm's script does at ``--mixup-off-epoch``, and batches only get
            their smoothed targets.

    Raises:
        TypeError, ValueError: An argument of a wrong type or value; the text names it.

    Example:
        >>> import torch
        >>> from comix.integrations.timm import ComixMixup
        >>> mixup_fn = ComixMixup(mode="puzzle", label_smoothing=0.1, num_classes=5)
        >>> images, targets = mixup_fn(torch.rand(3, 3, 32, 32), torch.tensor([0, 4, 2]))
        >>> targets.shape
        torch.Size([3, 5])
    """

    def __init__(
        self,
        mode: str = "puzzle",
        mixup_alpha: float | None = None,
        prob: float = 1.0,
        label_smoothing: float = 0.1,
        num_classes: int = 1000,
        *,
        saliency: str | None = None,
        cutmix_alpha: float = 0.0,
        cutmix_minmax: Sequence[float] | None = None,
        switch_prob: float = 0.5,
        correct_lam: bool = True,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> None:
        checks.check_option(mode, "mode", tuple(_METHODS))
        if saliency is not None:
            checks.check_option(saliency, "saliency", ("spectral",))
        if mixup_alpha is not None:
            options["alpha"] = mixup_alpha
        self.mode = mode
        self.prob = _check_share(prob, "prob")
        self.label_smoothing = _check_share(label_smoothing, "label_smoothing")
        self.num_classes = checks.check_count(num_classes, "num_classes", 1)
        self.switch_prob = _check_share(switch_prob, "switch_prob")
        self.saliency = saliency
        self.generator = generator
        self.mixup_enabled = True
        self.mixer: comix.PuzzleMix | comix.CoMixup = _METHODS[mode](generator=generator, **options)
        self.cutmix: Any = None  # or a timm.data.Mixup
        if checks.check_number(cutmix_alpha, "cutmix_alpha", 0) > 0 or cutmix_minmax is not None:
            self.cutmix = _timm.Mixup(
                mixup_alpha=0.0,
                cutmix_alpha=cutmix_alpha,
                cutmix_minmax=cutmix_minmax,
                correct_lam=correct_lam,
                label_smoothing=self.label_smoothing,
                num_classes=self.num_classes,
            )
        self._model: Callable[..., Any] | None = None
        self._amp_autocast: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext

    def __repr__(self) -> str:
        bound = "unbound" if self._model is None else "bound"
        return f"ComixMixup({self.mixer}, prob={self.prob:g}, num_classes={self.num_classes}, {bound})"

    def bind(
        self,
        model: Callable[..., Any] | None,
        amp_autocast: Callable[[], AbstractContextManager[Any]] | None = None,
    ) -> ComixMixup:
        """Take the saliency from this model's input gradient from now on.

        Args:
            model: Images to logits [B, K]. Of compiled models and of ``DistributedDataParallel`` and
                ``DataParallel`` the module inside runs: no second compilation, no collective calls. None
                unbinds.
            amp_autocast: Opened around the saliency pass, timm's variable of that name:
                ``partial(torch.autocast, device_type=..., dtype=...)``. Default None: no autocast.

        Returns:
            This object.

        Raises:
            TypeError: If an argument is not callable.
        """
        for name, value in (("model", model), ("amp_autocast", amp_autocast)):
            if value is not None and not callable(value):
                checks.fail(name, "a callable or None", type(value).__name__, TypeError)
        self._model = model if model is None else _unwrapped(model)
        self._amp_autocast = contextlib.nullcontext if amp_autocast is None else amp_autocast
        return self

    def __call__(self, x: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix a batch.

        Args:
            x: [B, C, H, W], any B >= 1, any memory format; read only. Floating, or uint8 where no model gives
                the saliency.
            target: [B] class indices.

        Returns:
            x mixed, of the same dtype and memory format (``x`` itself when the batch is not mixed), and
            soft targets float32 [B, num_classes].

        Raises:
            TypeError, ValueError: An argument of a wrong type, shape or value; the text names it.
        """
        checks.check_images(x)
        checks.check_dtype(checks.require_tensor(target, "target"), "target", checks.INDEX_DTYPES)
        if list(target.shape) != [x.shape[0]]:
            checks.fail("target", f"shape [{x.shape[0]}] (class indices)", checks.shape_of(target))
        checks.check_range(target, "target", 0, self.num_classes - 1)
        if not self.mixup_enabled or not self._happens(self.prob):
            return x, self._smoothed(target)
        # timm's CutMix takes even batches only; the odd last one of an epoch stays here.
        if self.cutmix is not None and len(x) % 2 == 0 and self._happens(self.switch_prob):
            mixed, soft = self.cutmix(x.clone(), target)  # it writes to what it gets
            return mixed, soft
        images, targets = self.mixer(x, self._smoothed(target), saliency=self._saliency_of(x, target))
        return images, targets

    def _happens(self, prob: float) -> bool:
        """True with this probability; certain events draw nothing."""
        return prob > 0 and (prob == 1 or float(torch.rand((), generator=self.generator)) < prob)

    def _smoothed(self, target: torch.Tensor) -> torch.Tensor:  # [B] -> [B, K]
        soft: torch.Tensor = _timm.mixup_target(target, self.num_classes, smoothing=self.label_smoothing)
        return soft

    def _saliency_of(self, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor | None:
        if self._model is None or self.saliency is not None:
            return None  # spectral residual
        with self._amp_autocast():
            return comix.input_saliency(self._model, x, target)


def _unwrapped(model: Any) -> Any:
    while True:
        if isinstance(model, (DataParallel, DistributedDataParallel)):
            model = model.module
        elif hasattr(model, "_orig_mod"):
            model = model._orig_mod
        else:
            return model


def _check_share(value: float, name: str) -> float:
    share = checks.check_number(value, name, 0)
    if share > 1:
        checks.fail(name, "a number in 0..1", repr(value))
    return share
