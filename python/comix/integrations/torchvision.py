"""PuzzleMix and Co-Mixup as transforms of torchvision v2, beside its ``MixUp`` and ``CutMix``.

from torchvision.transforms import v2
from comix.integrations.torchvision import CoMixup, PuzzleMix

mix = v2.RandomChoice([PuzzleMix(num_classes=100, model=model), v2.CutMix(num_classes=100)])
images, labels = mix(images, labels)
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

import comix
from comix import _checks as checks

__all__ = ["CoMixup", "PuzzleMix"]

Getter = Callable[[Any], Any]

# What saliency_getter found in the sample of the call that is going on.
_found: ContextVar[torch.Tensor | None] = ContextVar("comix_saliency", default=None)


class _Transform(v2.MixUp):  # type: ignore[misc]
    """What torchvision's MixUp asks of a sample (labels, refused types, shapes), mixed by comix instead.

    MixUp calls make_params with the images, then transform with each image and with the labels; the two were
    called _get_params and _transform before torchvision 0.21.
    """

    _method: type[comix.PuzzleMix] | type[comix.CoMixup]

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        labels_getter: str | Getter | None = "default",
        model: Callable[..., Any] | None = None,
        saliency: str | None = None,
        saliency_getter: Getter | None = None,
        **options: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, labels_getter=labels_getter)
        if saliency is not None:
            checks.check_option(saliency, "saliency", ("spectral",))
        for name, value in (("model", model), ("saliency_getter", saliency_getter)):
            if value is not None and not callable(value):
                checks.fail(name, "a callable or None", type(value).__name__, TypeError)
        given = sum(value is not None for value in (model, saliency, saliency_getter))
        if given > 1:
            checks.fail("model, saliency, saliency_getter", "at most one of the three", str(given))
        self.mixer = self._method(num_classes=num_classes, **options)
        self.alpha = self.mixer.alpha
        # In a tuple: the transform neither owns, moves nor saves the network.
        self._models: tuple[Any] = (model,)
        self._saliency_getter = saliency_getter

    def extra_repr(self) -> str:
        return f"num_classes={self.num_classes}, mixer={self.mixer}"

    def forward(self, *inputs: Any) -> Any:
        if self._saliency_getter is None:
            return super().forward(*inputs)
        maps = self._saliency_getter(inputs if len(inputs) > 1 else inputs[0])
        if not isinstance(maps, torch.Tensor):
            checks.fail("saliency_getter", "one that returns a tensor", type(maps).__name__, TypeError)
        token = _found.set(maps)
        try:
            return super().forward(*inputs)
        finally:
            _found.reset(token)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"inputs": flat_inputs}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if "result" not in params:
            params["result"] = self._mix(params)
        result: comix.MixResult = params["result"]
        if inpt is params["labels"]:
            return result.targets
        first = inpt is params["inputs"][0]
        mixed = result.images if first else result.plan.mix(_plain(inpt))
        return tv_tensors.wrap(mixed, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else mixed

    _get_params, _transform = make_params, transform

    def _mix(self, params: dict[str, Any]) -> comix.MixResult:
        """Mix the first image and the labels; its plan is that of all images of the sample."""
        images, labels = params["inputs"], params["labels"]
        if not images or images[0] is labels:
            raise ValueError(
                f"{type(self).__name__}() found no images: expected them before the labels, or as "
                f"tv_tensors.Image."
            )
        for inpt in images:
            if isinstance(inpt, tv_tensors.Video):
                raise ValueError(f"{type(self).__name__}() does not support videos.")
            self._check_image_or_video(inpt, batch_size=params["batch_size"])
        (model,) = self._models
        maps = _found.get() if self._saliency_getter is not None else None
        return self.mixer(_plain(images[0]), _plain(labels), saliency=maps, model=model)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.as_subclass(torch.Tensor)


class PuzzleMix(_Transform):
    """:class:`comix.PuzzleMix` as a transform of batches.

    Takes what ``v2.MixUp`` and ``v2.CutMix`` take, ``(images, labels)`` or any nested structure in which
    ``labels_getter`` finds the labels, and gives it back mixed: images of their type, dtype and memory
    format, labels as soft float32 [B, K], everything else as it came. Inputs are never written to. Of
    several images in a sample the first decides, and all are mixed alike. PIL images, bounding boxes, masks,
    keypoints and videos are refused.

    Args:
        num_classes: K; needed when labels are class indices. Default None.
        labels_getter: As in ``v2.MixUp``. Default "default".
        model: Gives the saliency (:func:`comix.input_saliency`, from images [B, C, H, W] and labels). It is
            not a submodule: the transform does not move, train or save it. Default None.
        saliency: "spectral": :func:`comix.spectral_residual`, also what is used when nothing is said.
        saliency_getter: Called with the input of the transform, returns saliency maps [B, H, W] (that a data
            set delivers, say). Default None.
        options: Keyword arguments of :class:`comix.PuzzleMix`.

    Images are float16, bfloat16, float32 or float64, or uint8 where no model gives the saliency (blends are
    then rounded to nearest).

    Raises:
        TypeError, ValueError: An argument of a wrong type or value; in the call, the texts of torchvision's
            MixUp about labels, shapes and types, those of comix about dtypes and values.

    Example:
        >>> import torch
        >>> from comix.integrations.torchvision import PuzzleMix
        >>> mix = PuzzleMix(num_classes=10)
        >>> images, labels = mix(torch.rand(4, 3, 32, 32), torch.tensor([1, 0, 7, 2]))
        >>> labels.shape
        torch.Size([4, 10])
    """

    _method = comix.PuzzleMix


class CoMixup(_Transform):
    """:class:`comix.CoMixup` as a transform of batches.

    Everything is as in :class:`PuzzleMix` of this module, except for ``options``: those of
    :class:`comix.CoMixup`.

    Example:
        >>> import torch
        >>> from comix.integrations.torchvision import CoMixup
        >>> mix = CoMixup(num_classes=10, partition=4)
        >>> images, labels = mix(torch.rand(4, 3, 32, 32), torch.tensor([1, 0, 7, 2]))
        >>> labels.shape
        torch.Size([4, 10])
    """

    _method = comix.CoMixup
