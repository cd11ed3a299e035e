"""Saliency from models in wrappers of torch.nn.parallel: the module inside runs, one backward pass trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from comix.saliency import input_saliency
from test_saliency import assert_unchanged, batch, small_net, snapshot
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel


def test_data_parallel_is_bypassed() -> None:
    model, (images, targets) = small_net(), batch()
    wrapped = nn.DataParallel(model)
    wrapped.forward = None  # calling it would fail
    hidden = nn.Identity()
    hidden._orig_mod = wrapped  # as torch.compile(wrapped) holds it
    for given in (wrapped, hidden):
        assert torch.equal(input_saliency(given, images, targets), input_saliency(model, images, targets))


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_gloo_available()):
        pytest.skip("this torch has no gloo backend")
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_distributed_data_parallel(process_group: None) -> None:
    model, (images, targets) = small_net(), batch()
    expected = input_saliency(model, images, targets)
    ddp = DistributedDataParallel(model)
    before = snapshot(model)
    assert torch.equal(input_saliency(ddp, images, targets), expected)
    assert_unchanged(model, before)
    # The clean pass through the module and the mixed one through the wrapper share one backward pass.
    _, loss = input_saliency(ddp, images, targets, return_loss=True)
    (loss + F.cross_entropy(ddp(images.flip(0)), targets)).backward()
    assert all(p.grad is not None for p in model.parameters())


class Buffered(nn.Module):
    """Buffers that the backward pass needs, that move in place, that are replaced, that need a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("std", torch.full((3, 1, 1), 0.5))
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("latest", torch.zeros(()))
        self.register_buffer("learned", torch.ones((), requires_grad=True))
        self.net = small_net()

    def forward(self, images: Tensor) -> Tensor:
        self.steps += 1
        self.latest = images.detach().mean()
        return self.net(images / self.std + self.learned)


def test_buffers_may_be_written_between_the_clean_pass_and_its_backward(process_group: None) -> None:
    # DistributedDataParallel writes to them when it is called; torch took that for a change for long.
    def gradients(wrap: Callable[[nn.Module], nn.Module]) -> tuple[list[Tensor], list[Tensor]]:
        model, (images, targets) = Buffered(), batch()
        model.net[3][0].p = 0.0
        before = dict(model.named_buffers())
        network = wrap(model)
        _, loss = input_saliency(network, images, targets, return_loss=True)
        after = dict(model.named_buffers())
        assert [name for name in after if after[name] is not before[name]] == ["latest"]
        assert after["latest"] == images.mean()
        if network is not model:
            with torch.no_grad():
                for buffer in after.values():
                    buffer.copy_(buffer.clone())
        (loss + F.cross_entropy(network(images.flip(0)), targets)).backward()
        learned = [model.learned.grad, *(p.grad for p in model.parameters())]
        return learned, [buffer.detach() for buffer in model.buffers()]

    plain = gradients(lambda model: model)
    torch.testing.assert_close(gradients(DistributedDataParallel), plain)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_torchscript_modules_keep_their_buffers(process_group: None) -> None:
    model, (images, targets) = small_net(), batch()
    ddp = DistributedDataParallel(torch.jit.trace(model.eval(), images))
    _, loss = input_saliency(ddp, images, targets, return_loss=True)
    loss.backward()
    assert all(p.grad is not None for p in ddp.parameters())
