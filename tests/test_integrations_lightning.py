"""comix inside the real Lightning: the mixin and the callback, under both kinds of optimisation."""

from __future__ import annotations

from typing import Any

import comix
import pytest
import torch
from lightning_modules import (
    CLASSES,
    MARKS,
    ComixMixing,
    L,
    Manual,
    Mixed,
    MixedManual,
    Plain,
    Validated,
    both,
    loader,
    mixer,
    network,
    one_thread,
    stripes,
    trainer,
)
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["one_thread"]
pytestmark = MARKS


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_states(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], msg=lambda text, name=name: f"{name}: {text}")


def by_hand(kind: Any, *, clean_weight: float = 0.0, accumulate: int = 1) -> dict[str, Tensor]:
    """One epoch without Lightning: what all the ways through it have to come to."""
    net, mix = network(), mixer(kind)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for number, (images, targets) in enumerate(loader()):
        if number % accumulate == 0:
            optimizer.zero_grad()
        clean: Any = 0
        if clean_weight:
            saliency, clean = comix.input_saliency(net, images, targets, return_loss=True)
        else:
            saliency = comix.input_saliency(net, images, targets)
        mixed, soft = mix(images, targets, saliency=saliency)
        ((F.cross_entropy(net(mixed), soft) + clean_weight * clean) / accumulate).backward()
        if number % accumulate == accumulate - 1:
            optimizer.step()
    return state(net)


# ---- the same training, three ways -----------------------------------------------------------------------

weights = pytest.mark.parametrize("clean_weight", [0.0, 0.7])


@both
@weights
def test_the_callback_trains_as_by_hand(kind: Any, clean_weight: float) -> None:
    module, mixing = Plain(), ComixMixing(mixer(kind), clean_weight=clean_weight)
    trainer(mixing).fit(module, loader())
    assert_states(state(module.net), by_hand(kind, clean_weight=clean_weight))
    assert (mixing.clean_loss is not None) == bool(clean_weight)
    assert mixing.clean_loss is None or not mixing.clean_loss.requires_grad


@both
@weights
def test_the_mixin_trains_as_by_hand(kind: Any, clean_weight: float) -> None:
    module = Mixed(kind, clean_weight=clean_weight)
    trainer().fit(module, loader())
    assert_states(state(module.net), by_hand(kind, clean_weight=clean_weight))


@weights
def test_the_mixin_under_manual_optimisation(clean_weight: float) -> None:
    module = MixedManual(clean_weight=clean_weight)
    trainer().fit(module, loader())
    assert_states(state(module.net), by_hand(comix.PuzzleMix, clean_weight=clean_weight))


@weights
def test_accumulated_gradients(clean_weight: float) -> None:
    module, mixing = Plain(), ComixMixing(mixer(), clean_weight=clean_weight)
    trainer(mixing, accumulate_grad_batches=2).fit(module, loader())
    assert_states(state(module.net), by_hand(comix.PuzzleMix, clean_weight=clean_weight, accumulate=2))


def test_manual_optimisation_with_two_optimisers() -> None:
    module, mixing = Manual(), ComixMixing(mixer())
    before = state(module.net)
    trainer(mixing).fit(module, loader())
    assert len(module.trained) == 4  # two batches, two optimisers, both on the same mixed images
    for first, second in (module.trained[:2], module.trained[2:]):
        assert torch.equal(first[0], second[0])
    after = state(module.net)
    assert all(not torch.equal(before[name], after[name]) for name in ("0.weight", "4.weight"))


@both
@pytest.mark.parametrize("module", [Plain, Validated, Manual, Mixed, MixedManual])
def test_fast_dev_run(kind: Any, module: Any) -> None:
    is_mixin = issubclass(module, Mixed)
    made = module(kind) if module is Mixed else module()
    callbacks = [] if is_mixin else [ComixMixing(mixer(kind))]
    loaders = [loader(), loader()] if module is Validated else [loader()]
    trainer(*callbacks, fast_dev_run=True).fit(made, *loaders)
    assert made.trained[0][1].dtype == torch.float32
    assert made.trained[0][1].shape == (6, CLASSES)


def test_training_with_the_callback_learns() -> None:
    module = Plain()
    images, targets = stripes().tensors
    with torch.no_grad():
        before = F.cross_entropy(module.net(images), targets)
    trainer(ComixMixing(mixer(comix.CoMixup)), max_epochs=8).fit(module, loader(stripes(24)))
    with torch.no_grad():
        assert F.cross_entropy(module.net.eval()(images), targets) < 0.6 * before


# ---- what is mixed, and what is left alone ----------------------------------------------------------------


class Watch(L.Callback):
    """What another callback sees, and the module's gradients and flags before each training step."""

    def __init__(self, mixing: ComixMixing) -> None:
        self.mixing = mixing
        self.batches: list[Any] = []
        self.results: list[Any] = []

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.batches.append(batch)
        self.results.append(self.mixing.result)


def test_only_training_batches_are_mixed() -> None:
    module, mixing = Validated(), ComixMixing(mixer())
    watch, data = Watch(mixing), stripes()
    own = Plain.training_step
    fit = trainer(mixing, watch, max_epochs=2, num_sanity_val_steps=2, val_check_interval=0.5)
    fit.fit(module, loader(data), loader(data))
    images, targets = data.tensors
    assert len(module.validated) == 10  # two sanity steps, then twice per epoch
    for number, (seen, labels) in enumerate(module.validated):
        first = 6 * (number % 2)
        assert torch.equal(seen, images[first : first + 6])
        assert torch.equal(labels, targets[first : first + 6])
    for (seen, soft), result, batch in zip(module.trained, watch.results, watch.batches, strict=True):
        assert torch.equal(seen, result.images)
        assert torch.equal(soft, result.targets)
        assert torch.equal(seen, result.plan.mix(batch[0]))  # other callbacks have the batch as it was
        assert not torch.equal(seen, batch[0])
    assert module.training_step.__func__ is own
    assert "training_step" not in vars(module)


def test_the_saliency_pass_leaves_no_trace() -> None:
    class Nosy(Plain):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            assert all(p.grad is None for p in self.parameters())
            assert all(p.requires_grad for p in self.parameters())
            assert all(m.training for m in self.modules())
            assert int(self.net[1].num_batches_tracked) == 0
            return super().training_step(batch, batch_idx)

    module = Nosy()
    trainer(ComixMixing(mixer()), limit_train_batches=1).fit(module, loader())
    assert int(module.net[1].num_batches_tracked) == 1


@pytest.mark.parametrize("clean_weight", [0.0, 1.0])
def test_the_step_is_put_back_when_the_fit_fails(clean_weight: float) -> None:
    class Failing(Plain):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise ArithmeticError("on purpose")

    module, mixing = Failing(), ComixMixing(mixer(), clean_weight=clean_weight)
    with pytest.raises(ArithmeticError, match="on purpose"):
        trainer(mixing).fit(module, loader())
    assert "training_step" not in vars(module)
    good = Plain()
    trainer(mixing).fit(good, loader())  # the callback can be used again
    assert len(good.trained) == 2


def test_a_step_that_was_never_put_back_is_not_wrapped_twice() -> None:
    class Automatic(Plain):
        automatic_optimization = True

    module, mixing = Automatic(), ComixMixing(mixer(), saliency="spectral")
    for _ in range(2):  # a fit that ended without a word, then another
        mixing.on_train_start(None, module)
    module.training_step(next(iter(loader())), 0)
    assert torch.equal(module.trained[0][0], mixing.result.images)
    mixing.on_train_end(None, module)
    assert "training_step" not in vars(module)


def test_a_closure_that_runs_several_times_sees_one_mixed_batch() -> None:
    class Newton(Plain):
        def configure_optimizers(self) -> Any:
            return torch.optim.LBFGS(self.parameters(), lr=0.01, max_iter=3)

    module = Newton()
    trainer(ComixMixing(mixer(), clean_weight=0.5), limit_train_batches=1).fit(module, loader())
    assert len(module.trained) >= 2
    assert all(torch.equal(module.trained[0][0], images) for images, _ in module.trained)


@pytest.mark.filterwarnings("ignore:`training_step` returned `None`:UserWarning")
@pytest.mark.parametrize("output", ["mapping", "none"])
def test_outputs_of_the_training_step(output: str) -> None:
    class Other(Plain):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            losses.append(super().training_step(batch, batch_idx))
            returned.append({"loss": losses[-1], "more": 1} if output == "mapping" else None)
            return returned[-1]

    losses: list[Tensor] = []
    returned: list[Any] = []
    module, mixing = Other(), ComixMixing(mixer(), clean_weight=0.7)
    before = state(module.net)
    trainer(mixing).fit(module, loader())
    if output == "mapping":
        assert_states(state(module.net), by_hand(comix.PuzzleMix, clean_weight=0.7))
        assert all(mine["loss"] is loss for mine, loss in zip(returned, losses, strict=True))  # only read
    else:  # Lightning skips such batches
        assert torch.equal(before["4.weight"], module.net[4].weight)


def test_a_training_step_without_batch_idx() -> None:
    class Short(Plain):
        def training_step(self, batch: Any) -> Any:
            return super().training_step(batch, 0)

    module = Short()
    trainer(ComixMixing(mixer()), fast_dev_run=True).fit(module, loader())
    assert len(module.trained) == 1


# ---- precision, parallel wrappers -------------------------------------------------------------------------


@pytest.mark.parametrize("clean_weight", [0.0, 1.0])
@pytest.mark.parametrize("make", [Plain, Mixed])
def test_bfloat16_mixed_precision(make: Any, clean_weight: float) -> None:
    module = make(**({"clean_weight": clean_weight} if make is Mixed else {}))
    callbacks = [ComixMixing(mixer(), clean_weight=clean_weight)] if make is Plain else []
    trainer(*callbacks, precision="bf16-mixed").fit(module, loader())
    assert set(module.autocast) == {torch.bfloat16}  # the saliency pass, too
    assert len(module.autocast) == 4
    assert all(soft.dtype == torch.float32 for _, soft in module.trained)
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in module.parameters())


def test_the_mixin_opens_the_autocast_where_nobody_has() -> None:
    module = Mixed()
    fit = trainer(precision="bf16-mixed")
    fit.strategy.connect(module)
    module.trainer = fit
    module.comix_step(next(iter(loader())))
    assert module.autocast == [torch.bfloat16]


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_true_precisions(precision: str) -> None:
    module = Plain()
    trainer(ComixMixing(mixer()), precision=precision).fit(module, loader())
    dtype = torch.float64 if precision == "64-true" else torch.bfloat16
    assert all(images.dtype == dtype and soft.dtype == torch.float32 for images, soft in module.trained)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without torch.distributed")
@pytest.mark.parametrize("make", [Plain, Mixed])
def test_under_distributed_data_parallel(make: Any) -> None:
    """BatchNorm, two forward passes and one backward: outside the wrapper's forward this would fail."""
    module = make(**({"clean_weight": 0.7} if make is Mixed else {}))
    callbacks = [ComixMixing(mixer(), clean_weight=0.7)] if make is Plain else []
    try:
        trainer(*callbacks, strategy="ddp", use_distributed_sampler=False).fit(module, loader())
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    assert_states(state(module.net), by_hand(comix.PuzzleMix, clean_weight=0.7))
