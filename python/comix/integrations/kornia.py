"""comix as kornia mix augmentations, standing where ``RandomMixUpV2`` and ``RandomCutMixV2`` stand.

    mix = RandomPuzzleMix(p=0.8, num_classes=100, data_keys=["input", "class"])
    images, targets = mix(images, labels, saliency=comix.input_saliency(model, images, labels))

The class output is a soft target, float32 ``[B, num_classes]`` whatever the dtype of the images: what
``cross_entropy`` takes. kornia's ``[B, 3]`` triples (label, partner's label, lambda) cannot hold it, since
every sample has a share of its own and Co-Mixup's outputs come from more than two inputs.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import torch
from kornia.augmentation import MixAugmentationBaseV2
from kornia.augmentation.random_generator import RandomGeneratorBase
from kornia.constants import DataKey
from torch import Tensor

import comix
from comix import _checks as checks

__all__ = ["RandomCoMixup", "RandomPuzzleMix"]

Params = dict[str, Tensor]
_NAMES = {DataKey.INPUT: "input", DataKey.CLASS: "class"}  # kornia's aliases "image" and "label" are these


class _Draws(RandomGeneratorBase):  # type: ignore[misc]
    """What is random; always drawn on the CPU, so that a seed means the same on every device."""

    keys: tuple[str, ...]  # of what forward draws

    def __init__(self, mixer: Any, options: dict[str, Any]) -> None:
        super().__init__()
        self.mixer = mixer
        self.options = options

    def __repr__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.options.items())

    def make_samplers(self, device: torch.device, dtype: torch.dtype) -> None:
        """Nothing to move."""


class _PuzzleMixDraws(_Draws):
    keys = ("index", "lam", "grid")

    def forward(self, batch_shape: Sequence[int], same_on_batch: bool = False) -> Params:
        batch, _, height, width = (int(n) for n in batch_shape)
        grid, index, lam = self.mixer.draw(batch, height, width)
        return {
            "index": index,
            "lam": torch.full((batch,), lam, dtype=torch.float64),
            "grid": torch.tensor([grid]),
        }


class _CoMixupDraws(_Draws):
    keys = ("seed",)

    def forward(self, batch_shape: Sequence[int], same_on_batch: bool = False) -> Params:
        return {"seed": torch.randint(2**63 - 1, (1,), generator=self.mixer.generator)}


class _Mix(MixAugmentationBaseV2):  # type: ignore[misc]
    """What both augmentations share: kornia's call, the gate ``p``, and the application of a plan."""

    def __init__(
        self,
        draws: _Draws,
        num_classes: int | None,
        p: float,
        keepdim: bool,
        data_keys: Sequence[str | int | DataKey],
    ) -> None:
        if checks.check_number(p, "p", 0.0) > 1:
            checks.fail("p", "a probability in 0..1", repr(p))
        keys = list(data_keys)
        super().__init__(p=1.0, p_batch=float(p), same_on_batch=False, keepdim=keepdim, data_keys=keys)
        self.num_classes = num_classes
        self.flags = {"num_classes": num_classes}  # kornia prints them
        self._param_generator = draws
        _check_keys(self.data_keys)

    def forward_parameters(self, batch_shape: Sequence[int]) -> Params:
        """Draw everything random for a batch: the gate (only where 0 < p < 1), then what the method draws.

        Args:
            batch_shape: ``(B, C, H, W)``.

        Returns:
            CPU tensors; ``batch_prob`` float32 ``[B]`` is all ones or all zeros.
        """
        applied = self.p_batch > 0
        if 0 < self.p_batch < 1:
            generator = self._param_generator.mixer.generator
            applied = bool(torch.rand((), dtype=torch.float32, generator=generator) < self.p_batch)
        params: Params = self.generate_parameters(batch_shape)
        params["batch_prob"] = torch.full((int(batch_shape[0]),), float(applied), dtype=torch.float32)
        params["forward_input_shape"] = torch.tensor([int(n) for n in batch_shape])
        return params

    def forward(
        self,
        *input: Tensor,
        saliency: Tensor | None = None,
        params: Params | None = None,
        data_keys: Sequence[str | int | DataKey] | None = None,
    ) -> Tensor | list[Tensor]:
        """Mix a batch.

        Args:
            *input: what ``data_keys`` names, in its order. Images ``[B, C, H, W]`` of a floating dtype (an
                image without batch dimension becomes a batch of one); class indices ``[B]`` or soft labels
                ``[B, K]``.
            saliency: ``[B, H, W]`` maps >= 0, of :func:`comix.input_saliency` for example. Default:
                :func:`comix.spectral_residual` of the images, which needs no model.
            params: ``_params`` of an earlier call, to mix in the same way. Default: newly drawn.
            data_keys: in place of those of the constructor.

        Returns:
            A list with one entry for each input (the entry itself when there is one): images in their dtype
            and memory format, targets float32 ``[B, num_classes]``.

        Raises:
            TypeError, ValueError: an argument of a wrong type, shape or value; the text names it.
            NotImplementedError: a data key other than "input" (or "image") and "class" (or "label").
        """
        keys = self.data_keys if data_keys is None else [DataKey.get(key) for key in data_keys]
        _check_keys(keys)
        if len(input) != len(keys):
            names = ", ".join(_NAMES[key] for key in keys)
            checks.fail("input", f"{len(keys)} tensors, one for each of data_keys ({names})", str(len(input)))
        images = self.transform_tensor(checks.require_tensor(input[keys.index(DataKey.INPUT)], "input"))
        if saliency is not None:
            saliency = checks.check_saliency(saliency, images).detach()
            checks.check_same_device({"input": images, "saliency": saliency})
        batch = images.shape[0]
        drawn = self.forward_parameters(images.shape) if params is None else params
        applied = self._gate_of(drawn, batch)
        self._params = drawn
        plan = self._plan(images, saliency, drawn) if bool(applied.any()) else None
        rest = None if bool(applied.all()) else _unmixed(batch, images.device)
        outputs = []
        for key, value in zip(keys, input, strict=True):
            if key == DataKey.CLASS:
                if checks.require_tensor(value, "class").shape[:1] != (batch,):
                    checks.fail("class", f"{batch} labels, one per image", f"shape {checks.shape_of(value)}")
                plans = [p for p in (plan, rest) if p is not None]
                soft = [p.mix_targets(value, num_classes=self.num_classes) for p in plans]
                outputs.append(_choose(applied, soft))
            else:
                mixed = [] if plan is None else [plan.mix(images)]
                chosen = _choose(applied, mixed if rest is None else [*mixed, images])
                outputs.append(chosen.reshape(value.shape) if self.keepdim else chosen)
        return outputs[0] if len(outputs) == 1 else outputs

    def apply_transform(self, input: Tensor, params: Params, flags: dict[str, Any] | None = None) -> Tensor:
        """The images of every sample mixed, ``[B, C, H, W]``, without regard to the gate."""
        return self._plan(input, None, params).mix(input)

    def _gate_of(self, params: Params, batch: int) -> Tensor:  # bool [B], on the CPU
        missing = [key for key in ("batch_prob", *self._param_generator.keys) if key not in params]
        if missing:
            expected = f"{', '.join(missing)} among the keys, as in {type(self).__name__}._params"
            checks.fail("params", expected, ", ".join(params) or "none")
        gate = (params["batch_prob"] > 0.5).reshape(-1).cpu()
        if len(gate) not in (1, batch):
            checks.fail("params['batch_prob']", f"{batch} values, one per image", str(len(gate)))
        return gate.expand(batch)

    @abc.abstractmethod
    def _plan(self, images: Tensor, saliency: Tensor | None, params: Params) -> comix.MixPlan:
        """The plan for checked images ``[B, C, H, W]`` and drawn ``params``; deterministic."""


class RandomPuzzleMix(_Mix):
    """PuzzleMix as a kornia augmentation: each sample with a partner, salient blocks of both survive.

    ``_params`` of a call holds all that was random: ``index`` int64 ``[B]``, the partners; ``lam`` float64
    ``[B]``, the expected share of the *own* image (kornia's lambda is the partner's); ``grid`` int64 ``[1]``,
    blocks per side; ``batch_prob``. With the same images and saliency they give the same result; they may
    also be edited, to choose partners or shares.

    Args:
        num_classes: number of classes, for class indices. Default None: labels are soft already.
        p: probability that a batch is mixed, drawn once per batch as in ``RandomMixUpV2``. Batches that are
            not mixed keep their images, and their labels become one-hot. Default 1.0.
        keepdim: whether an image without batch dimension comes back without one. Default False.
        data_keys: what the inputs are, "input" and "class" in any order. Default ``("input", "class")``.
        **options: of :class:`comix.PuzzleMix` (alpha, grid_choices, n_labels, beta, ..., generator).

    Raises:
        TypeError, ValueError: an argument of a wrong type or range.
        NotImplementedError: a data key that cannot be mixed.

    Example:
        >>> import torch
        >>> from comix.integrations.kornia import RandomPuzzleMix
        >>> mix = RandomPuzzleMix(num_classes=10)
        >>> images, targets = mix(torch.rand(4, 3, 32, 32), torch.tensor([1, 2, 3, 4]))
        >>> images.shape, targets.shape
        (torch.Size([4, 3, 32, 32]), torch.Size([4, 10]))
    """

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        p: float = 1.0,
        keepdim: bool = False,
        data_keys: Sequence[str | int | DataKey] = ("input", "class"),
        **options: Any,
    ) -> None:
        mixer = comix.PuzzleMix(num_classes=num_classes, **options)
        super().__init__(_PuzzleMixDraws(mixer, options), num_classes, p, keepdim, data_keys)

    def _plan(self, images: Tensor, saliency: Tensor | None, params: Params) -> comix.MixPlan:
        saliency = comix.spectral_residual(images) if saliency is None else saliency
        grid = int(params["grid"].reshape(-1)[0])
        mixer: comix.PuzzleMix = self._param_generator.mixer
        return mixer.plan(images, saliency, params["index"], params["lam"], grid)


class RandomCoMixup(_Mix):
    """Co-Mixup as a kornia augmentation: every output gathers salient blocks of several inputs.

    ``_params`` of a call holds ``seed`` int64 ``[1]``, from which prior and start labels are drawn, and
    ``batch_prob``. With the same images and saliency they give the same result.

    Args:
        num_classes: number of classes, for class indices. Default None: labels are soft already.
        p: probability that a batch is mixed, drawn once per batch as in ``RandomMixUpV2``. Batches that are
            not mixed keep their images, and their labels become one-hot. Default 1.0.
        keepdim: whether an image without batch dimension comes back without one. Default False.
        data_keys: what the inputs are, "input" and "class" in any order. Default ``("input", "class")``.
        **options: of :class:`comix.CoMixup` (grid, partition, alpha, beta, ..., generator).

    Raises:
        TypeError, ValueError: an argument of a wrong type or range.
        NotImplementedError: a data key that cannot be mixed.

    Example:
        >>> import torch
        >>> from comix.integrations.kornia import RandomCoMixup
        >>> mix = RandomCoMixup(num_classes=10, p=0.5)
        >>> images, targets = mix(torch.rand(4, 3, 32, 32), torch.tensor([1, 2, 3, 4]))
        >>> targets.dtype, targets.shape
        (torch.float32, torch.Size([4, 10]))
    """

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        p: float = 1.0,
        keepdim: bool = False,
        data_keys: Sequence[str | int | DataKey] = ("input", "class"),
        **options: Any,
    ) -> None:
        mixer = comix.CoMixup(num_classes=num_classes, **options)
        super().__init__(_CoMixupDraws(mixer, options), num_classes, p, keepdim, data_keys)

    def _plan(self, images: Tensor, saliency: Tensor | None, params: Params) -> comix.MixPlan:
        saliency = comix.spectral_residual(images) if saliency is None else saliency
        seeded = torch.Generator().manual_seed(int(params["seed"].reshape(-1)[0]))
        mixer = comix.CoMixup(**{**self._param_generator.options, "generator": seeded})
        return comix.MixPlan.from_labels(mixer.labels(saliency))


def _check_keys(keys: Sequence[DataKey]) -> None:
    for key in keys:
        if key not in _NAMES:
            raise NotImplementedError(
                f'data_keys: expected "input" and "class", got "{key.name.lower()}" (to mix something else '
                "by the same plan, call comix.PuzzleMix or comix.CoMixup and use result.plan.mix)"
            )
    if keys.count(DataKey.INPUT) != 1:
        checks.fail("data_keys", '"input" once', f"{keys.count(DataKey.INPUT)} times")


def _unmixed(batch: int, device: torch.device) -> comix.MixPlan:
    """The plan that leaves every sample as it is."""
    own = torch.arange(batch, device=device)
    return comix.MixPlan.from_labels(own.view(-1, 1, 1, 1).expand(-1, 1, 1, 2))


def _choose(applied: Tensor, versions: Sequence[Tensor]) -> Tensor:
    """The only version; or of two, row by row, the first where ``applied`` [B] and the second elsewhere."""
    if len(versions) == 1:
        return versions[0]
    mixed, rest = versions
    return torch.where(applied.to(mixed.device).view(-1, *[1] * (mixed.ndim - 1)), mixed, rest)
