"""OpenMixup for tests: the real library where it imports, otherwise a stand-in with the same interface.

The stand-in has what comix.integrations.openmixup touches, as OpenMixup 0.2.9 has it: registries and
``build_model``, the mode dictionaries, draws and calls of ``MixUpClassification``, the labels that
``ClsMixupHead.loss`` and ``co_loss`` take and the options of its criterion. It runs on any device.
"""

# ruff: noqa: NPY002 - OpenMixup draws from NumPy's global state

from __future__ import annotations

import importlib.util
import random
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

NAME = "openmixup"


class Registry:
    def __init__(self, name: str) -> None:
        self.name, self.module_dict = name, {}

    def get(self, key: str) -> Any:
        return self.module_dict.get(key)

    def register_module(self, cls: Any = None, force: bool = False) -> Any:
        if cls is None:
            return lambda cls: self.register_module(cls, force=force)
        if not force and cls.__name__ in self.module_dict:
            raise KeyError(f"{cls.__name__} is already registered in {self.name}")
        self.module_dict[cls.__name__] = cls
        return cls


MODELS, BACKBONES, HEADS = Registry("model"), Registry("backbone"), Registry("head")


def build(config: dict[str, Any], registry: Registry) -> Any:
    arguments = dict(config)
    kind = arguments.pop("type")
    if registry.get(kind) is None:
        raise KeyError(f"{kind} is not in the {registry.name} registry")
    return registry.get(kind)(**arguments)


class CrossEntropyLoss(nn.Module):
    def __init__(self, use_sigmoid=False, use_soft=False, use_mix_decouple=False, class_weight=None) -> None:
        super().__init__()
        self.use_sigmoid, self.use_soft, self.use_mix_decouple = use_sigmoid, use_soft, use_mix_decouple
        self.loss_weight, self.class_weight = 1.0, class_weight

    def forward(
        self, score, label, weight=None, eta_weight=None, avg_factor=None, class_weight_override=None, **_
    ):
        assert not self.use_mix_decouple or eta_weight is not None
        if self.use_sigmoid:
            loss = F.binary_cross_entropy_with_logits(score, label.float(), reduction="none")
            loss = loss if weight is None else loss * weight[:, None]
        else:
            if label.ndim == 2 and not self.use_soft:
                label = label.float()
            soft = self.use_soft
            loss = (
                -(label * score.log_softmax(1)).sum(1)
                if soft
                else F.cross_entropy(score, label, reduction="none")
            )
            loss = loss if weight is None else loss * weight
        return loss.mean() if avg_factor is None else loss.sum() / avg_factor


class LabelSmoothLoss(nn.Module):
    def __init__(self, label_smooth_val, num_classes, mode="original") -> None:
        super().__init__()
        self.loss_weight, self._eps, self.num_classes = 1.0, label_smooth_val, num_classes
        self.ce = CrossEntropyLoss(use_soft=True, use_mix_decouple=mode == "mix_decouple")

    def forward(self, score, label, **arguments):
        soft = F.one_hot(label, self.num_classes).float() if label.ndim == 1 else label.float()
        return self.ce(score, soft * (1 - self._eps) + self._eps / self.num_classes, **arguments)


LOSSES = {"CrossEntropyLoss": CrossEntropyLoss, "LabelSmoothLoss": LabelSmoothLoss}


@HEADS.register_module
class ClsMixupHead(nn.Module):
    def __init__(
        self,
        loss,
        with_avg_pool=False,
        in_channels=2048,
        num_classes=1000,
        multi_label=False,
        two_hot=False,
        two_hot_scale=1,
        lam_scale_mode="none",
        eta_weight=None,
        neg_weight=1,
    ) -> None:
        super().__init__()
        arguments = dict(loss)
        self.criterion = LOSSES[arguments.pop("type")](**arguments)
        self.num_classes, self.multi_label, self.two_hot = num_classes, multi_label, two_hot
        self.two_hot_scale, self.lam_scale_mode, self.neg_weight = two_hot_scale, lam_scale_mode, neg_weight
        self.eta_weight = eta_weight or {"eta": 0, "mode": "both", "thr": 0.5}
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, x):
        return [self.fc(F.adaptive_avg_pool2d(x[0], 1).flatten(1))]

    def loss(self, cls_score, labels):
        (score,) = cls_score
        if not isinstance(labels, tuple):
            target = F.one_hot(labels, self.num_classes) if self.multi_label else labels
            return {"loss": self.criterion(score, target, avg_factor=len(score)), "acc": torch.zeros(1)}
        y_a, y_b, lam = labels
        lam = lam.view(-1, 1) if isinstance(lam, torch.Tensor) else lam
        if not self.multi_label:
            loss = self.criterion(score, y_a, avg_factor=len(score)) * lam
            loss = loss + self.criterion(score, y_b, avg_factor=len(score)) * (1 - lam)
        else:
            soft = lam * F.one_hot(y_a, self.num_classes) + (1 - lam) * F.one_hot(y_b, self.num_classes)
            loss = self.criterion(score, soft, avg_factor=len(score))
        return {"loss": loss, "acc": torch.zeros(1), "acc_mix": torch.zeros(1)}

    def co_loss(self, cls_score, labels):
        (score,), lam = cls_score, labels[-1]
        soft = sum(share * F.one_hot(y, self.num_classes) for y, share in zip(labels[:-1], lam, strict=True))
        return {"loss": self.criterion(score, soft, avg_factor=len(score))}


def _unported(*arguments: Any, **named: Any) -> Any:
    raise RuntimeError("the stand-in has no PuzzleMix of its own")


def mixup(img, gt_label, alpha=1.0, lam=None, dist_mode=False, return_mask=False, **_):
    lam = np.random.beta(alpha, alpha) if lam is None else lam
    index = torch.randperm(len(img))
    return lam * img + (1 - lam) * img[index], (gt_label, gt_label[index], lam)


def _mixup_classification(module: types.ModuleType) -> type:
    """The class; as in the library, its dictionaries read the functions of its own module."""

    class MixUpClassification(nn.Module):
        def __init__(
            self,
            backbone,
            head=None,
            alpha=1.0,
            mix_mode="mixup",
            mix_args=None,
            mix_prob=None,
            mix_repeat=False,
            debug_mode=True,
        ) -> None:
            super().__init__()
            self.backbone, self.head = build(backbone, BACKBONES), build(head, HEADS)
            self.mix_mode = mix_mode if isinstance(mix_mode, list) else [str(mix_mode)]
            self.dynamic_mode = {"puzzlemix": module.puzzlemix}
            self.static_mode = {"mixup": mixup}
            puzzle = {"transport": True, "t_batch_size": None, "block_num": 5, "beta": 1.2, "gamma": 0.5}
            puzzle |= {"eta": 0.2, "neigh_size": 4, "n_labels": 3, "t_eps": 0.8, "t_size": 4}
            self.mix_args = {"mixup": {}, "puzzlemix": puzzle, "vanilla": {}}
            for mode, values in self.mix_args.items():
                values.update((mix_args or {}).get(mode, {}))
            for mode in self.mix_mode:
                assert mode in self.mix_args, f"The mix_mode={mode} is not supported!"
            self.alpha = alpha if isinstance(alpha, list) else [float(alpha)]
            assert len(self.alpha) == len(self.mix_mode)
            self.idx_list = list(range(len(self.mix_mode)))
            self.mix_prob = mix_prob if isinstance(mix_prob, list) else None
            self.mix_repeat = int(mix_repeat) if int(mix_repeat) > 1 else 1
            self.debug_mode, self.save, self.save_name = debug_mode, False, "MixedSamples"

        def _features(self, img, gt_label=None, cur_mode="puzzlemix", **_):
            image = img.clone().requires_grad_()
            self.backbone.eval(), self.head.eval()
            self.head.loss(self.head(self.backbone(image)), gt_label)["loss"].backward()
            self.backbone.zero_grad(), self.head.zero_grad()
            self.backbone.train(), self.head.train()
            return image.grad.square().mean(1).sqrt()

        def forward_mix(self, img, gt_label, remove_idx=-1):
            candidates = self.idx_list.copy()
            if remove_idx >= 0:
                candidates.remove(remove_idx)
            if self.mix_prob is None:
                at = random.choices(candidates, k=1)[0]
            else:
                state = np.random.RandomState(random.randint(0, 2**32 - 1))
                at = state.choice(candidates, p=self.mix_prob)
            mode, alpha = self.mix_mode[at], self.alpha[at]
            arguments = {"alpha": alpha, "dist_mode": False, "return_mask": False}
            if mode == "puzzlemix":
                arguments["features"] = self._features(img, gt_label, mode)
                img, gt_label = self.dynamic_mode[mode](img, gt_label, **arguments, **self.mix_args[mode])
            elif mode == "mixup":
                img, gt_label = self.static_mode[mode](img, gt_label, alpha, dist_mode=False)
            else:
                assert mode == "vanilla"
            losses = self.head.loss(self.head(self.backbone(img)), gt_label)
            losses["loss"] /= self.mix_repeat
            return losses, at

        def forward_train(self, img, gt_label):
            losses, removed = {}, -1
            for _ in range(self.mix_repeat):
                found, at = self.forward_mix(img.clone(), gt_label, remove_idx=removed)
                losses = found if not losses else {**losses, "loss": losses["loss"] + found["loss"]}
                removed = at if self.mix_mode[at] == "vanilla" else removed
            return losses

        def _parse_losses(self, losses):
            values = {name: value.mean() for name, value in losses.items()}
            return values["loss"], {name: float(value.detach()) for name, value in values.items()}

    return MixUpClassification


def _install() -> None:
    names = ["", ".models", ".models.registry", ".models.builder", ".models.augments"]
    names += [".models.augments.puzzlemix", ".models.classifiers", ".models.classifiers.mixup_classification"]
    modules = {name: types.ModuleType(NAME + name) for name in names}
    for name, module in modules.items():
        module.__path__ = []
        sys.modules[NAME + name] = module
        above, _, own = name.rpartition(".")
        if own:
            setattr(modules[above], own, module)
    registry = modules[".models.registry"]
    registry.MODELS, registry.BACKBONES, registry.HEADS = MODELS, BACKBONES, HEADS
    for holder in (".models.augments.puzzlemix", ".models.augments", ".models"):
        modules[holder].puzzlemix = _unported
    classifier = modules[".models.classifiers.mixup_classification"]
    classifier.puzzlemix = _unported
    classifier.MixUpClassification = MODELS.register_module(_mixup_classification(classifier))
    modules[".models"].build_model = modules[".models.builder"].build_model = lambda config: build(
        config, MODELS
    )


def library() -> bool:
    """Make ``openmixup`` importable; whether it is the real one."""
    if NAME in sys.modules:
        return hasattr(sys.modules[NAME], "__version__")
    if importlib.util.find_spec(NAME) is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torchvision_ops  # noqa: F401

            try:
                import openmixup.models  # noqa: F401
            except ImportError:
                for name in [name for name in sys.modules if name.split(".")[0] == NAME]:
                    del sys.modules[name]
            else:
                return True
    _install()
    return False


def on_any_device(real: bool, monkeypatch: Any) -> None:
    """Let the real library's own modes, which say .cuda(), run where there is none."""
    if real and not torch.cuda.is_available():
        same: Callable[..., torch.Tensor] = lambda tensor, *_, **__: tensor  # noqa: E731
        monkeypatch.setattr(torch.Tensor, "cuda", same)
