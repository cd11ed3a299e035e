"""Saliency from a model: exactly the definition, and a guest that leaves the training step as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comix.saliency import input_saliency, pool_saliency
from torch import Tensor, nn
from torch.nn import functional as F

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def small_net(channels: int = 3, classes: int = 5, size: int = 8) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Sequential(nn.Dropout(0.5), nn.Flatten()),
        nn.Linear(4 * size * size, classes),
    )


def batch(size: int = 8, count: int = 4, channels: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, channels, size, size, generator=generator)
    return images, torch.arange(count) % 5


def plain_saliency(model: nn.Module, images: Tensor, loss_of_output) -> Tensor:
    """The definition: eval mode, backward, root of the channel mean of squares."""
    model.eval()
    leaf = images.clone().requires_grad_()
    loss_of_output(model(leaf)).backward()
    model.zero_grad()
    return leaf.grad.pow(2).mean(dim=1).sqrt()


# ---- input_saliency: the value ---------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_input_saliency_is_the_definition(channels: int) -> None:
    model = small_net(channels)
    images, targets = batch(channels=channels)
    expected = plain_saliency(model, images, lambda out: F.cross_entropy(out, targets))
    saliency = input_saliency(model, images, targets)
    assert saliency.shape == (4, 8, 8)
    assert saliency.dtype == torch.float32
    assert not saliency.requires_grad
    assert saliency.is_contiguous()
    torch.testing.assert_close(saliency, expected, rtol=1e-5, atol=0)


def test_input_saliency_of_a_linear_model_by_hand() -> None:
    # loss = mean over the batch of w . x, so the gradient is w / B at every image.
    weight = torch.arange(12.0).reshape(3, 2, 2)
    images = torch.rand(2, 3, 2, 2)

    def model(x: Tensor) -> Tensor:
        return (x * weight).sum(dim=(1, 2, 3))

    saliency = input_saliency(model, images, None, criterion=lambda out, _: out.mean())
    expected = (weight.numpy() ** 2).mean(axis=0) ** 0.5 / 2
    np.testing.assert_allclose(saliency[0], expected, rtol=1e-6)
    np.testing.assert_allclose(saliency[1], expected, rtol=1e-6)


def test_index_and_one_hot_targets_agree() -> None:
    model, (images, targets) = small_net(), batch()
    by_index = input_saliency(model, images, targets)
    for labels in (targets.int(), targets.to(torch.uint8)):
        torch.testing.assert_close(input_saliency(model, images, labels), by_index, rtol=0, atol=0)
    for dtype in (torch.float16, torch.float32, torch.float64):
        one_hot = F.one_hot(targets, 5).to(dtype)
        torch.testing.assert_close(input_saliency(model, images, one_hot), by_index)


def test_criterion_and_its_own_targets() -> None:
    model, (images, _) = small_net(), batch()
    wanted = {"labels": torch.rand(4, 5).round()}

    def criterion(outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, targets["labels"])

    expected = plain_saliency(model, images, lambda out: criterion(out, wanted))
    torch.testing.assert_close(input_saliency(model, images, wanted, criterion=criterion), expected)


def test_model_with_a_dict_output_needs_a_criterion() -> None:
    net, (images, targets) = small_net(), batch()
    with pytest.raises(TypeError, match=r"^model: expected .*logits \[4, K\].*, got dict$"):
        input_saliency(lambda x: {"logits": net(x)}, images, targets)
    net.eval()

    def criterion(outputs: dict[str, Tensor], targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs["logits"], targets)

    saliency = input_saliency(lambda x: {"logits": net(x)}, images, targets, criterion=criterion)
    torch.testing.assert_close(saliency, input_saliency(net, images, targets))


def test_float64_stays_float64() -> None:
    model, (images, targets) = small_net().double(), batch()
    saliency = input_saliency(model, images.double(), targets)
    assert saliency.dtype == torch.float64
    expected = plain_saliency(model, images.double(), lambda out: F.cross_entropy(out, targets))
    torch.testing.assert_close(saliency, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_model_and_images(dtype: torch.dtype) -> None:
    model, (images, targets) = nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), batch()
    expected = input_saliency(model, images.to(dtype).float(), targets)
    saliency = input_saliency(model.to(dtype), images.to(dtype), targets)
    assert saliency.dtype == torch.float32
    torch.testing.assert_close(saliency, expected, rtol=0.1, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_criterion_gets_half_outputs_as_float32(dtype: torch.dtype) -> None:
    images, targets = batch()
    heard = []
    input_saliency(
        small_net().to(dtype), images.to(dtype), targets, criterion=lambda x, _: (heard.append(x), x.sum())[1]
    )
    assert [outputs.dtype for outputs in heard] == [torch.float32]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(dtype: torch.dtype) -> None:
    model, (images, targets) = small_net(), batch()
    exact = input_saliency(model, images, targets)
    with torch.autocast("cpu", dtype=dtype):
        saliency = input_saliency(model, images, targets)
    assert saliency.dtype == torch.float32
    # Not elementwise: a ReLU near zero may switch sides in half precision.
    assert F.cosine_similarity(saliency.flatten(), exact.flatten(), dim=0) > 0.999
    assert 0.99 < saliency.norm() / exact.norm() < 1.01


def test_float16_autocast_does_not_underflow() -> None:
    # The model is certain of every sample: gradients near 1e-9 at the logits, which float16 rounds to zero.
    model, (images, targets) = nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), batch()
    with torch.no_grad():
        model[1].bias.copy_(torch.tensor([20.0, 0, 0, 0, 0]))
    targets = torch.zeros_like(targets)
    exact = input_saliency(model, images, targets)
    assert 0 < exact.max() < 1e-8
    with torch.autocast("cpu", dtype=torch.float16):
        leaf = images.clone().requires_grad_()
        naive = torch.autograd.grad(F.cross_entropy(model(leaf), targets), leaf)[0]
        saliency = input_saliency(model, images, targets)
    assert not naive.any()
    torch.testing.assert_close(saliency, exact, rtol=0.02, atol=0)


def test_tiny_and_huge_gradients_survive_the_square() -> None:
    images = torch.rand(1, 3, 4, 4)
    for factor in (1e-30, 1e30):
        weight = torch.tensor(factor)
        saliency = input_saliency(weight.mul, images, None, criterion=lambda out, _: out.sum())
        torch.testing.assert_close(saliency, torch.full((1, 4, 4), factor))


def test_zero_gradient_gives_zero_saliency_and_a_uniform_pool() -> None:
    images = torch.rand(2, 3, 4, 4)
    saliency = input_saliency(lambda x: x * 0, images, None, criterion=lambda out, _: out.sum())
    assert not saliency.any()
    assert torch.equal(pool_saliency(saliency, 2), torch.full((2, 2, 2), 0.25))


def test_channels_last_images_and_non_contiguous_ones() -> None:
    model, (images, targets) = small_net(), batch()
    expected = input_saliency(model, images, targets)
    channels_last = images.to(memory_format=torch.channels_last)
    for other in (channels_last, images.transpose(2, 3).contiguous().transpose(2, 3)):
        saliency = input_saliency(model, other, targets)
        assert saliency.is_contiguous()
        torch.testing.assert_close(saliency, expected)


# ---- input_saliency: what it leaves alone ----------------------------------------------------------------


class Unruly(nn.Module):
    """Nested modules in mixed modes, a frozen one, and a train() with side effects."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small_net()
        self.calls = 0

    def train(self, mode: bool = True) -> Unruly:
        self.calls = getattr(self, "calls", 0) + 1
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        assert not any(module.training for module in self.modules())
        return self.body(x)


def snapshot(model: nn.Module) -> tuple[list, list, list, list]:
    parameters = list(model.parameters())
    return (
        [module.training for module in model.modules()],
        [value.clone() for value in model.state_dict().values()],
        [p.requires_grad for p in parameters],
        [None if p.grad is None else p.grad.clone() for p in parameters],
    )


def assert_unchanged(model: nn.Module, before: tuple[list, list, list, list]) -> None:
    after = snapshot(model)
    assert after[0] == before[0]
    assert after[2] == before[2]
    for now, then in zip(after[1] + after[3], before[1] + before[3], strict=True):
        assert (now is None) == (then is None)
        assert then is None or torch.equal(now, then)


def unruly() -> Unruly:
    model = Unruly()
    model.body[1].eval()
    model.body[3][0].eval()
    model.body[0].weight.requires_grad_(False)
    for index, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, 7.0) if index % 2 else None
    return model


def test_model_is_left_as_it_was() -> None:
    model, (images, targets) = unruly(), batch()
    before, calls, copy = snapshot(model), model.calls, images.clone()
    version = images._version
    input_saliency(model, images, targets)
    assert_unchanged(model, before)
    assert model.calls == calls
    assert images._version == version
    assert torch.equal(images, copy)
    assert not images.requires_grad
    assert images.grad is None


def test_model_is_left_as_it_was_after_an_exception() -> None:
    model, (images, targets) = unruly(), batch()
    before = snapshot(model)
    with pytest.raises(ValueError, match=r"^targets: "):
        input_saliency(model, images, targets[:2])

    class BrokenError(Exception):
        pass

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        raise BrokenError

    with pytest.raises(BrokenError):
        input_saliency(model, images, targets, criterion=criterion)
    assert_unchanged(model, before)


def test_model_that_writes_to_its_input() -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), small_net())
    images, targets = batch()
    images -= 0.5
    copy = images.clone()
    expected = input_saliency(nn.Sequential(nn.ReLU(), model[1]), images, targets)
    assert torch.equal(input_saliency(model, images, targets), expected)
    assert torch.equal(images, copy)


def test_images_that_require_grad_and_no_grad() -> None:
    model, (images, targets) = small_net(), batch()
    expected = input_saliency(model, images, targets)
    asked = images.clone().requires_grad_()
    assert torch.equal(input_saliency(model, asked, targets), expected)
    assert asked.grad is None
    with torch.no_grad():
        assert torch.equal(input_saliency(model, images, targets), expected)
        assert not torch.is_grad_enabled()


def test_inference_mode() -> None:
    model, (images, targets) = small_net(), batch()
    expected = input_saliency(model, images, targets)
    with torch.inference_mode():
        with pytest.raises(RuntimeError, match=r"gradients.*torch\.inference_mode\(\).*torch\.no_grad\(\)"):
            input_saliency(model, images, targets)
        made_inside = images.clone()
    assert torch.equal(input_saliency(model, made_inside, targets), expected)


@pytest.mark.filterwarnings("ignore:.torch.cpu.amp.autocast:FutureWarning")  # torch 2.4 warns of itself
def test_checkpointed_model_recomputes_in_eval_mode() -> None:
    from torch.utils.checkpoint import checkpoint

    net, (images, targets) = small_net(), batch()

    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(self.net, x, use_reentrant=False)

    model = Checkpointed().train()
    before = snapshot(model)
    torch.testing.assert_close(input_saliency(model, images, targets), input_saliency(net, images, targets))
    assert_unchanged(model, before)


# ---- input_saliency: the loss to train on ----------------------------------------------------------------


def test_return_loss_trains_like_one_plain_step() -> None:
    images, targets = batch()
    mixed = images.flip(0)
    plain = small_net().train()
    plain[3][0].p = 0.0
    clean_loss = F.cross_entropy(plain(images), targets)
    (clean_loss + plain(mixed).square().mean()).backward()

    model = small_net().train()
    model[3][0].p = 0.0
    saliency, loss = input_saliency(model, images, targets, return_loss=True)
    assert all(p.grad is None for p in model.parameters())
    assert all(module.training for module in model.modules())
    assert loss.shape == ()
    torch.testing.assert_close(loss, clean_loss)
    (loss + model(mixed).square().mean()).backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    for ours, theirs in zip(model.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)  # the statistics saw the clean and the mixed batch once each
    assert not saliency.requires_grad


def test_return_loss_in_eval_mode_equals_the_plain_call() -> None:
    model, (images, targets) = small_net().eval(), batch()
    saliency, _ = input_saliency(model, images, targets, return_loss=True)
    assert torch.equal(saliency, input_saliency(model, images, targets))


def test_return_loss_under_autocast_and_with_a_dict_output() -> None:
    model, (images, targets) = small_net(), batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, loss = input_saliency(model, images, targets, return_loss=True)
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())

    def criterion(outputs: tuple[Tensor], targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs[0], targets)

    _, loss = input_saliency(lambda x: (model(x),), images, targets, criterion=criterion, return_loss=True)
    loss.backward()


# ---- input_saliency: errors -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"model": 3}, TypeError, r"model: expected a callable, got int"),
        ({"images": np.zeros((4, 3, 8, 8))}, TypeError, r"images: expected a torch\.Tensor, got ndarray"),
        ({"images": torch.zeros(4, 3, 8, 8).byte()}, TypeError, r"images: expected dtype .*, got uint8"),
        (
            {"images": torch.zeros(4, 3, 8, 8).cfloat()},
            TypeError,
            r"images: expected dtype .*, got complex64",
        ),
        (
            {"images": torch.zeros(3, 8, 8)},
            ValueError,
            r"images: expected shape \[B, C, H, W\], got \[3, 8, 8\]",
        ),
        (
            {"images": torch.zeros(0, 3, 8, 8)},
            ValueError,
            r"images: expected .*one image, got .*\[0, 3, 8, 8\]",
        ),
        ({"targets": [1, 2]}, TypeError, r"targets: expected a torch\.Tensor, got list"),
        (
            {"targets": torch.zeros(3).long()},
            ValueError,
            r"targets: expected class indices \[4\] or soft labels \[4, 5\], got shape \[3\]",
        ),
        ({"targets": torch.zeros(4, 6)}, ValueError, r"targets: expected class .*, got shape \[4, 6\]"),
        ({"targets": torch.zeros(4)}, TypeError, r"targets: expected dtype .*int64, got float32"),
        ({"targets": torch.zeros(4, 5).long()}, TypeError, r"targets: expected dtype float.*, got int64"),
        ({"targets": torch.tensor([0, 1, 2, 5])}, ValueError, r"targets: expected values in 0\.\.4, got 5"),
        ({"targets": torch.tensor([0, 1, 2, -1])}, ValueError, r"targets: expected values in 0\.\.4, got -1"),
        (
            {"criterion": nn.CrossEntropyLoss(reduction="none")},
            ValueError,
            r"criterion: expected one that returns a scalar tensor, got shape \[4\]",
        ),
        ({"criterion": "ce"}, TypeError, r"criterion: expected a callable or None, got str"),
        ({"return_loss": "no"}, TypeError, r"return_loss: expected True or False, got 'no'"),
        ({"criterion": lambda out, y: 1.0}, TypeError, r"criterion: expected one .* tensor, got float"),
        (
            {"criterion": lambda out, y: out.detach().sum()},
            ValueError,
            r"model: .*that depends on the images.*",
        ),
        ({"model": lambda x: torch.zeros(4, 5)}, ValueError, r"model: .*that depends on the images.*"),
        (
            {"model": lambda x: torch.zeros(4, 5, requires_grad=True) * 1},
            ValueError,
            r"model: expected an output, and from it a loss, that depends on the images, got one .*",
        ),
        ({"model": lambda x: {"logits": x}}, TypeError, r"model: expected .*logits \[4, K\].*, got dict"),
        (
            {"model": lambda x: x},
            ValueError,
            r"model: expected .*logits \[4, K\].*, got shape \[4, 3, 8, 8\]",
        ),
        ({"model": lambda x: x.flatten(1)[:2]}, ValueError, r"model: expected .*, got shape \[2, 192\]"),
    ],
)
def test_input_saliency_errors(change: dict, error: type[Exception], text: str) -> None:
    images, targets = batch()
    arguments = {"model": small_net(), "images": images, "targets": targets} | change
    with pytest.raises(error, match=f"^{text}$"):
        input_saliency(**arguments)


# ---- on a GPU --------------------------------------------------------------------------------------------


@needs_cuda
@pytest.mark.parametrize("dtype", [None, torch.float16, torch.bfloat16])
def test_cuda_agrees_and_does_not_wait(dtype: torch.dtype | None) -> None:
    model, (images, targets) = small_net(), batch()
    exact = input_saliency(model, images, targets)
    model, images, targets = model.cuda(), images.cuda(), targets.cuda()
    input_saliency(model, images, targets)  # warm up the libraries
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", dtype=dtype, enabled=dtype is not None):
            saliency = input_saliency(model, images, targets)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert saliency.device == images.device
    assert F.cosine_similarity(saliency.cpu().flatten(), exact.flatten(), dim=0) > 0.999


@needs_cuda
def test_cuda_targets_must_follow_the_images() -> None:
    images, targets = batch()
    with pytest.raises(ValueError, match=r"^targets: expected the device of images \(cuda:0\), got cpu$"):
        input_saliency(small_net().cuda(), images.cuda(), targets)
