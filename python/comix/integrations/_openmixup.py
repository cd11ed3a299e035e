"""OpenMixup's mixup classifier with comix's modes; importing this needs OpenMixup and registers the class."""

from __future__ import annotations

import inspect
import random
from typing import Any, cast

import numpy as np
import torch
from openmixup.models.classifiers.mixup_classification import MixUpClassification
from openmixup.models.registry import MODELS
from torch import nn

from comix import CoMixup, MixPlan, input_saliency, losses
from comix import _checks as checks
from comix.integrations._openmixup_puzzle import puzzlemix, where_it_runs

MODES = ("comixup", "comix_puzzle")
_CO_ARGS = {*inspect.signature(CoMixup).parameters, "part", "top_k"} - {"num_classes", "alpha", "generator"}
_PUZZLE_ARGS = {*inspect.signature(puzzlemix).parameters} - {
    *("img", "gt_label", "alpha", "dist_mode", "features", "noise", "adv_mask1", "adv_mask2", "kwargs")
}
# What OpenMixup's classifier gives its own puzzlemix.
_PUZZLE_DEFAULTS = {"block_num": 5, "neigh_size": 4, "n_labels": 3, "t_eps": 0.8, "t_size": 4}
# Options of ClsMixupHead that have a meaning for one lam and two classes only, and what switches them off.
_PAIR_OPTIONS = {"two_hot": False, "two_hot_scale": 1, "neg_weight": 1}


class _Network(nn.Module):
    """Backbone and head as one network from images to scores."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return _only(self.head(self.backbone(images)))


class ComixClassification(MixUpClassification):  # type: ignore[misc]
    """OpenMixup's ``MixUpClassification`` with the modes ``"comixup"`` and ``"comix_puzzle"``.

    Both take their saliency from the gradient of the head's own loss with respect to the images, with all
    modules in eval mode. Unlike OpenMixup's ``_features`` this leaves gradients that have been accumulated
    and the training flags of all modules (frozen BatchNorm, say) as they are. Every sample counts with the
    shares of its own picture, in soft and hard losses alike: the head's ``criterion`` gets soft labels if
    the head is ``multi_label``, otherwise class indices with weights; ``use_mix_decouple`` becomes
    :func:`comix.losses.decoupled_ce` with the head's ``eta_weight["eta"]``. Logged are ``loss``, ``acc``
    (of the own image's class, in comixup of the largest one) and ``acc_mix`` (the share of the target whose
    classes are among as many top predictions), in percent.

    A model without these modes is the library's own, down to the draws.

    Args:
        backbone: config of the backbone.
        head: config of the head; it needs a ``criterion``, which all of OpenMixup's classification heads
            have, and returns one output.
        mix_mode: a mode, or a list to choose one from at every step: ``"comixup"``, ``"comix_puzzle"`` and
            all of ``MixUpClassification``. Default ``"mixup"``, as there.
        alpha: one number per mode: of the Dirichlet prior in comixup (2.0 in the paper), else of the Beta
            distribution of lam. Default 1.0.
        mix_args: arguments by mode. ``comixup``: those of :class:`comix.CoMixup` but for num_classes, alpha
            and generator (with its defaults), ``part`` for its partition, and ``top_k``: how many classes of
            an output count (default: all). ``comix_puzzle``: those of
            :func:`comix.integrations.openmixup.puzzlemix`, with the defaults that OpenMixup has for its
            puzzlemix: block_num 5, neigh_size 4, n_labels 3, t_eps 0.8, t_size 4.
        **kwargs: as in ``MixUpClassification``: mix_prob, mix_repeat, pretrained, ...

    Raises:
        TypeError, ValueError: a mode or an argument of a mode that is not known, one of a wrong type or
            value, a head whose options do not fit.

    Example:
        ::

            model = dict(
                type='ComixClassification', mix_mode=['comixup', 'cutmix'],
                mix_prob=[0.5, 0.5], alpha=[2.0, 1.0],
                mix_args=dict(comixup=dict(grid=4, part=20, beta=0.32)), backbone=backbone,
                head=dict(type='ClsMixupHead', loss=dict(type='CrossEntropyLoss', use_soft=True),
                          multi_label=True, in_channels=512, num_classes=100))
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        head: dict[str, Any] | None = None,
        *,
        mix_mode: str | list[str] = "mixup",
        alpha: float | list[float] = 1.0,
        mix_args: dict[str, dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        modes = list(mix_mode) if isinstance(mix_mode, (list, tuple)) else [str(mix_mode)]
        alphas = list(alpha) if isinstance(alpha, (list, tuple)) else [float(alpha)]
        if len(alphas) != len(modes):
            checks.fail("alpha", f"{len(modes)} numbers, one per mode of mix_mode", str(alphas))
        given = {mode: dict(values) for mode, values in (mix_args or {}).items()}
        own = {mode: given.pop(mode, {}) for mode in MODES}
        _check_names(own["comixup"], "comixup", _CO_ARGS)
        _check_names(own["comix_puzzle"], "comix_puzzle", _PUZZLE_ARGS)
        # The library judges the modes it knows; "vanilla" keeps the places of ours.
        known = ["vanilla" if mode in MODES else mode for mode in modes]
        super().__init__(backbone, head, mix_mode=known, alpha=alphas, mix_args=given, **kwargs)
        self.mix_mode = modes
        self.mix_args["comix_puzzle"] = {**_PUZZLE_DEFAULTS, **own["comix_puzzle"]}
        self.mix_args["comixup"] = own["comixup"]
        self._mixers = {
            at: _co_mixup(alphas[at], own["comixup"]) for at, mode in enumerate(modes) if mode == "comixup"
        }
        if set(MODES) & set(modes):
            self._eta = _check_head(self.head)

    def forward_mix(
        self, img: torch.Tensor, gt_label: torch.Tensor, remove_idx: int = -1
    ) -> tuple[dict[str, torch.Tensor], int]:
        """Losses of one mixed batch, and the position of the mode in ``mix_mode`` that mixed it.

        Args:
            img: ``[N, C, H, W]`` normalised images.
            gt_label: ``[N]`` class indices.
            remove_idx: a mode that is not to be drawn; -1: none.

        Returns:
            ``loss`` (a scalar), ``acc`` and ``acc_mix``; the position.

        Raises:
            TypeError, ValueError: labels that are not class indices, a loss that is not finite.
        """
        state = random.getstate()
        at = self._draw_mode(remove_idx)
        if self.mix_mode[at] not in MODES:
            random.setstate(state)  # the library draws again, the same
            return cast("tuple[dict[str, torch.Tensor], int]", super().forward_mix(img, gt_label, remove_idx))
        labels = _class_indices(gt_label, len(img))
        saliency = input_saliency(_Network(self.backbone, self.head), img, labels, criterion=self._head_loss)
        mix = self._comixup if self.mix_mode[at] == "comixup" else self._comix_puzzle
        img, index, weight = mix(at, img, labels, saliency)
        if self.save:
            self.plot_mix(img_mixed=img, mix_mode=self.mix_mode[at])
        found = self._losses(_only(self.head(self.backbone(img))), index, weight)
        found["loss"] = found["loss"] / self.mix_repeat
        if self.debug_mode and not bool(torch.isfinite(found["loss"])):
            checks.fail("loss", "a finite number (with fp16, use fp32)", f"{float(found['loss'].detach())}")
        return found, at

    def _draw_mode(self, remove_idx: int) -> int:
        """The position of a mode, drawn as the library draws it."""
        candidates = [at for at in self.idx_list if at != remove_idx]
        if self.mix_prob is None:
            return int(random.choices(candidates, k=1)[0])
        seed = random.randint(0, 2**32 - 1)
        return int(np.random.RandomState(seed).choice(candidates, p=self.mix_prob))

    def _head_loss(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self._eta is not None:  # the library's decoupled loss refuses images that are not mixed
            return nn.functional.cross_entropy(scores, labels)
        return cast("torch.Tensor", self.head.loss([scores], labels)["loss"])

    @torch.no_grad()
    def _comixup(
        self, at: int, img: torch.Tensor, labels: torch.Tensor, saliency: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Images ``[N, C, H, W]``, classes ``[N, k]`` and their shares ``[N, k]``."""
        mixer, top_k = self._mixers[at], self.mix_args["comixup"].get("top_k")

        def solve(
            img: torch.Tensor, labels: torch.Tensor, saliency: torch.Tensor
        ) -> tuple[torch.Tensor, ...]:
            plan = MixPlan.from_labels(mixer.labels(saliency))
            return plan.mix(img), *losses.class_pairs(plan, labels, k=top_k)

        return where_it_runs(solve, img, labels, saliency)

    def _comix_puzzle(
        self, at: int, img: torch.Tensor, labels: torch.Tensor, saliency: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """The same; the own image's class first."""
        arguments = self.mix_args["comix_puzzle"]
        img, (own, partner, lam) = puzzlemix(img, labels, self.alpha[at], features=saliency, **arguments)
        return img, torch.stack((own, partner), 1), torch.stack((lam, 1 - lam), 1)

    def _losses(
        self, scores: torch.Tensor, index: torch.Tensor, weight: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        count, classes = scores.shape
        criterion = self.head.criterion
        if self._eta is not None:
            loss = criterion.loss_weight * losses.decoupled_ce(
                scores, index, weight, eta=self._eta, label_smoothing=getattr(criterion, "_eps", 0.0)
            )
        elif getattr(self.head, "multi_label", False):
            soft = torch.zeros(count, classes, device=scores.device).scatter_add_(1, index, weight)
            loss = criterion(scores, soft, avg_factor=count)
        else:  # a row per class
            rows = scores.repeat_interleave(index.shape[1], 0)
            loss = criterion(rows, index.flatten(), weight=weight.flatten(), avg_factor=count)
        return {"loss": loss, **_accuracies(scores.detach(), index, weight)}


def _check_names(given: dict[str, Any], mode: str, known: set[str]) -> None:
    for name in given:
        if name not in known:
            checks.fail(
                f"mix_args[{mode!r}]", f"names among {', '.join(sorted(known))}", repr(name), TypeError
            )


def _co_mixup(alpha: float, arguments: dict[str, Any]) -> CoMixup:
    if "part" in arguments and "partition" in arguments:
        checks.fail("mix_args['comixup']", "one of part and partition", "both")
    if arguments.get("top_k") is not None:
        checks.check_count(arguments["top_k"], "top_k", 1)
    named = {"partition" if name == "part" else name: value for name, value in arguments.items()}
    named.pop("top_k", None)
    return CoMixup(alpha=alpha, **named)


def _check_head(head: Any) -> float | None:
    """The weight of the decoupled term, None for a loss without it; an error if options do not fit."""
    if not callable(getattr(head, "criterion", None)) or getattr(head, "processor", None) is not None:
        expected = "one with a criterion over classes, such as ClsMixupHead"
        checks.fail("head", expected, type(head).__name__, TypeError)
    for option, neutral in _PAIR_OPTIONS.items():
        if getattr(head, option, neutral) != neutral:
            expected = f"{option}={neutral} with the modes {' and '.join(MODES)}"
            checks.fail("head", expected, f"{option}={getattr(head, option)}")
    inner = getattr(head.criterion, "ce", head.criterion)  # label smoothing has its cross entropy inside
    if not getattr(inner, "use_mix_decouple", False):
        return None
    settings = {"eta": 0.0, "mode": "both", **getattr(head, "eta_weight", {})}
    if settings["mode"] != "both" or getattr(head, "lam_scale_mode", "none") != "none":
        expected = "eta_weight with mode='both' and lam_scale_mode='none' for a decoupled loss"
        checks.fail("head", expected, f"{settings}, {getattr(head, 'lam_scale_mode', 'none')!r}")
    if getattr(inner, "class_weight", None) is not None:
        checks.fail("head", "no class_weight in a decoupled loss", repr(inner.class_weight))
    return float(settings["eta"])


def _class_indices(labels: Any, count: int) -> torch.Tensor:
    checks.require_tensor(labels, "gt_label")
    checks.check_dtype(labels, "gt_label", checks.INDEX_DTYPES)
    if list(labels.shape) not in ([count], [count, 1]):
        checks.fail("gt_label", f"shape [{count}] (class indices)", checks.shape_of(labels))
    return cast("torch.Tensor", labels.reshape(-1).to(torch.int64))


def _only(outputs: Any) -> torch.Tensor:
    if not isinstance(outputs, (list, tuple)) or len(outputs) != 1:
        got = f"{len(outputs)} of them" if isinstance(outputs, (list, tuple)) else type(outputs).__name__
        checks.fail("head", "one that returns a list of one output [N, K]", got)
    return cast("torch.Tensor", outputs[0])


def _accuracies(scores: torch.Tensor, index: torch.Tensor, weight: torch.Tensor) -> dict[str, torch.Tensor]:
    best = scores.topk(min(index.shape[1], scores.shape[1]), dim=1).indices  # [N, m]
    shown = weight > 0
    same = index[:, :, None] == index[:, None, :]  # a class counts in its first entry
    classes = (shown & ~(same & shown[:, None, :]).tril(-1).any(2)).sum(1)  # [N]
    counts = torch.arange(best.shape[1], device=best.device) < classes[:, None]  # [N, m]
    hit = ((index[:, :, None] == best[:, None, :]) & counts[:, None, :]).any(2)
    first = (best[:, 0] == index[:, 0]).float()
    return {
        "acc": 100 * first.mean(0, keepdim=True),
        "acc_mix": 100 * (hit * weight).sum(1).mean(0, keepdim=True),
    }


MODELS.register_module(force=True)(ComixClassification)
