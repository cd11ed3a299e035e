"""Mixing under torch.compile: one node of the graph, the same bytes and gradients as the eager call."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import comix
import pytest
import torch
from comix import _mix_op as mix_op

needs_operators = pytest.mark.skipif(not mix_op.HAS_OPERATORS, reason="torch before 2.4 has no custom_op")
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not comix.backends()["cuda"], reason="no CUDA")),
]
FORMATS = [torch.contiguous_format, torch.channels_last]


def some_plan(inputs: int = 4, device: str = "cpu") -> comix.MixPlan:
    generator = torch.Generator().manual_seed(5)
    moved = [torch.stack([torch.randperm(12, generator=generator).view(4, 3) for _ in range(inputs)])] * 2
    mask = torch.randint(5, (inputs, 4, 3), generator=generator) / 4
    plan = comix.MixPlan.from_mask(mask, torch.randperm(inputs, generator=generator), *moved)
    return plan.to(device)


def some_images(
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    memory_format: torch.memory_format = torch.contiguous_format,
) -> torch.Tensor:
    images = torch.rand(4, 3, 9, 8, generator=torch.Generator().manual_seed(6))
    return images.to(device, dtype).contiguous(memory_format=memory_format)


def entries(plan: comix.MixPlan) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return plan.source, plan.block, plan.weight


def eager_and_operator(monkeypatch: pytest.MonkeyPatch, call: Any) -> tuple[Any, Any]:
    eager = call()
    monkeypatch.setattr(mix_op, "_traced", lambda images: True)
    return eager, call()


@needs_operators
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_the_operator_gives_the_bytes_of_the_eager_call(
    dtype: torch.dtype, memory_format: torch.memory_format, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, images = some_plan(device=device), some_images(dtype, device, memory_format)

    def gradients() -> list[torch.Tensor]:
        leaf = images.clone().requires_grad_()
        mixed = plan.mix(leaf)
        (first,) = torch.autograd.grad(mixed.square().sum(), leaf, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), leaf)
        return [mixed.detach(), first.detach(), second, plan.mix(images)]

    for eager, operator in zip(*eager_and_operator(monkeypatch, gradients), strict=True):
        assert torch.equal(eager, operator)
        assert eager.stride() == operator.stride()


@needs_operators
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
@pytest.mark.parametrize("grad", [False, True])
def test_the_operators_pass_torchs_own_checks(
    grad: bool, memory_format: torch.memory_format, device: str
) -> None:
    plan = some_plan(device=device)
    for dtype in (torch.float32, torch.float64):
        images = some_images(dtype, device, memory_format).requires_grad_(grad)
        torch.library.opcheck(torch.ops.comix.mix.default, (images, *entries(plan)))
        torch.library.opcheck(torch.ops.comix.mix_transpose.default, (images, *entries(plan), 7))


@needs_operators
@pytest.mark.parametrize("traced", [False, True])
def test_gradients_of_gradients(traced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if traced:
        monkeypatch.setattr(mix_op, "_traced", lambda images: True)
    plan, images = some_plan(), some_images(torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(plan.mix, images)
    assert torch.autograd.gradgradcheck(plan.mix, images)


@needs_operators
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_without_a_break(backend: str, device: str) -> None:
    plan, images = some_plan(device=device), some_images(device=device)
    nodes: list[str] = []

    def watching(module: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        nodes.extend(str(node.target) for node in module.graph.nodes if node.op == "call_function")
        if backend == "eager":
            return module.forward
        from torch._dynamo.backends.debugging import aot_eager

        return aot_eager(module, inputs)

    def step(batch: torch.Tensor) -> torch.Tensor:
        return plan.mix(batch * 2).square().sum((1, 2, 3))

    compiled = torch.compile(step, backend=watching, fullgraph=True)
    results = []
    for function in (step, compiled):
        leaf = images.clone().requires_grad_()
        loss = function(leaf)
        results.append((loss.detach(), *torch.autograd.grad(loss.sum(), leaf)))
    assert all(map(torch.equal, *results))
    assert [name for name in nodes if "comix" in name] == ["comix.mix.default"] or nodes.count(
        "comix.mix"
    ) == 1


@needs_operators
def test_compiled_for_every_batch_size() -> None:
    def step(batch: torch.Tensor, source: Any, block: Any, weight: Any) -> torch.Tensor:
        return mix_op.mix_images(batch, source, block, weight)

    compiled = torch.compile(step, backend="aot_eager", fullgraph=True, dynamic=True)
    for inputs in (2, 3, 5):
        plan, images = some_plan(inputs), torch.rand(inputs, 3, 8, 6)
        assert torch.equal(compiled(images, *entries(plan)), plan.mix(images))


@needs_operators
def test_compiled_functions_see_new_values_of_a_plan_and_refuse_wrong_ones() -> None:
    plan, images = some_plan(), some_images()
    compiled = torch.compile(plan.mix, backend="eager", fullgraph=True)
    assert torch.equal(compiled(images), plan.mix(images))
    plan.source.fill_(3)
    assert torch.equal(compiled(images), plan.mix(images))
    plan.source.fill_(4)
    with pytest.raises(ValueError, match=r"^source: expected values in 0\.\.3, got 4"):
        compiled(images)


@pytest.mark.filterwarnings(
    "ignore:Dynamo does not know how to trace:UserWarning",
    "ignore:Graph break due to unsupported builtin:UserWarning",  # the same in torch 2.4
)
def test_a_whole_augmentation_in_a_compiled_function() -> None:
    # The solvers are not part of a graph: torch leaves it for them, and comes back.
    augmentation = comix.PuzzleMix(num_classes=3, generator=torch.Generator())
    images, targets = some_images(), torch.tensor([0, 1, 2, 1])

    def step(batch: torch.Tensor) -> torch.Tensor:
        return augmentation(batch, targets).images * 2

    results = []
    for function in (step, torch.compile(step, backend="eager")):
        augmentation.generator.manual_seed(2)  # type: ignore[union-attr]
        results.append(function(images))
    assert torch.equal(*results)


@needs_operators
def test_fake_tensors_go_through_the_operator() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    plan = some_plan()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        mixed = plan.mix(mode.from_tensor(some_images(memory_format=torch.channels_last)))
    assert mixed.shape == (4, 3, 9, 8)
    assert mixed.is_contiguous(memory_format=torch.channels_last)


def test_without_operators_mixing_works_as_ever() -> None:
    # As with torch 2.2 and 2.3; in a process of its own, for operators are registered once.
    code = """
import torch
operator = vars(torch.library).pop("custom_op", None)
import comix
if operator:  # torch itself needs it to compile
    torch.library.custom_op = operator
from comix import _mix_op
assert not _mix_op.HAS_OPERATORS and not hasattr(torch.ops.comix, "mix")
plan = comix.MixPlan.from_mask(torch.tensor([[[0.25]], [[1.0]]]), torch.tensor([1, 0]))
images = torch.rand(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
assert torch.autograd.gradcheck(plan.mix, images) and torch.autograd.gradgradcheck(plan.mix, images)
compiled = torch.compile(lambda batch: plan.mix(batch * 2), backend="eager")
assert torch.equal(compiled(images), plan.mix(images * 2))
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
