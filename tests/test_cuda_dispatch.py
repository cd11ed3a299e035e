"""The CUDA branches of the Python layer, on machines without a device: see fake_cuda.

Tensors have no values here, so a test that passes proves that nothing on the way waits for the device.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import comix
import pytest
import torch
from comix import _checks as checks
from comix import _native as native
from comix._on_cuda import comixup as comixup_on_cuda
from comix._on_cuda import gridcut as gridcut_on_cuda
from comix._on_cuda import transport as transport_on_cuda
from device_cases import (
    CASES,
    CLASSES,
    COST,
    GRID_LABELS,
    IMAGES,
    INDEX,
    LABELS,
    LAST,
    MASK,
    MATRIX,
    MOVED,
    PAIRWISE,
    SALIENCY,
    SOFT,
    STD,
    UNARY,
    WEIGHT_V,
    B,
    H,
    K,
    Run,
    W,
    entries_of,
    flat,
    rand,
)
from fake_cuda import KERNELS, FakeCuda, devices_not_there, lacks_frexp, stub_functions
from torch.utils._python_dispatch import TorchDispatchMode


class NoCopies(TorchDispatchMode):
    """No operation copies from the host to the device or back: from pageable memory that waits."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        devices = {t.device.type for t in (*args, result) if isinstance(t, torch.Tensor)}
        copies = ("aten::_to_copy", "aten::copy_", "aten::index_put", "aten::index", "aten::where")
        assert len(devices) <= 1 or not func.name().startswith(copies), func.name()
        return result


@pytest.mark.parametrize("name", CASES)
def test_results_are_like_those_of_the_cpu(name: str, fake_cuda: FakeCuda) -> None:
    run, tensors, kernels = CASES[name]
    if name == "input_saliency" and lacks_frexp():
        pytest.skip("this torch has no torch.frexp on the meta device")
    with NoCopies():
        got = flat(run(*(fake_cuda.tensor(t) for t in tensors)))
    assert fake_cuda.names() == kernels
    expected = flat(run(*tensors))
    assert len(got) == len(expected)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.device.type == "meta"
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        assert ours.stride() == theirs.stride()
    assert not fake_cuda.sent


@pytest.mark.parametrize("name", CASES)
def test_debug_looks_at_values(name: str, fake_cuda: FakeCuda) -> None:
    run, tensors, _ = CASES[name]
    unchecked = {"spectral_residual"}  # has no values that could be wrong
    with comix.debug():
        if name in unchecked:
            run(*(fake_cuda.tensor(t) for t in tensors))
        else:
            with pytest.raises((RuntimeError, NotImplementedError), match=r"[Mm]eta"):
                run(*(fake_cuda.tensor(t) for t in tensors))


def test_nothing_is_built_on_a_device_from_python_numbers() -> None:
    # torch.tensor([1, 2], device="cuda") copies from pageable memory; no tensor without values shows that.
    for file in sorted(Path(comix.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                made = node.func.attr in ("tensor", "as_tensor", "asarray", "scalar_tensor")
                places = [ast.unparse(word.value) for word in node.keywords if word.arg == "device"]
                assert not made or places in ([], ["'cpu'"]), f"{file.name}:{node.lineno}"


def test_every_kernel_is_called_by_some_case() -> None:
    called = {kernel for _, _, kernels in CASES.values() for kernel in kernels}
    assert called | {"salient_spots"} == set(KERNELS)
    functions = {name for name in stub_functions() if name != "build_info" and not name.endswith("_scratch")}
    assert set(KERNELS) == functions


def test_numbers_travel_as_arguments_of_the_kernel(fake_cuda: FakeCuda) -> None:
    arguments = [fake_cuda.tensor(t) for t in (IMAGES, SALIENCY, INDEX)]
    comix.puzzlemix_energy(*arguments, 0.25, std=STD)
    _, call = fake_cuda.calls[-1]
    assert (call["lam"], call["uniform_lam"], call["deviation"]) == (0, 0.25, 0)
    assert call["uniform_deviation"] == STD.double().tolist()
    assert not fake_cuda.sent
    many = torch.rand(2, 65, 8, 8), torch.rand(2, 8, 8), torch.tensor([1, 0])
    comix.puzzlemix_energy(*(fake_cuda.tensor(t) for t in many), 0.25)
    assert fake_cuda.calls[-1][1]["uniform_deviation"] == []
    assert [tuple(t.shape) for t in fake_cuda.sent] == [(65,)]


class Launches(TorchDispatchMode):
    """Lists torch's own operations on the device that are a launch."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        here = isinstance(result, torch.Tensor) and result.device.type == "meta"
        if here and not func.is_view and not func.name().startswith(("aten::empty", "aten::detach")):
            self.names.append(func.name())
        return result


def test_a_mask_takes_one_launch_of_torch(fake_cuda: FakeCuda) -> None:
    # Those that small numbers would take cost as much as the kernels.
    arguments = [fake_cuda.tensor(t) for t in (IMAGES, SALIENCY, INDEX)]
    with Launches() as launches:
        comix.puzzlemix_mask(*arguments, 0.25, mean=STD, std=STD)
    assert launches.names == ["aten::index.Tensor"]


def test_tensors_of_the_cpu_are_sent_without_waiting(fake_cuda: FakeCuda) -> None:
    images, saliency, mask = (fake_cuda.tensor(t) for t in (IMAGES, SALIENCY, MASK))
    comix.puzzlemix_energy(images, saliency, INDEX, torch.rand(B))
    comix.puzzlemix_energy(images, saliency, [1, 2, 3, 4, 0], torch.tensor(0.5))
    comix.MixPlan.from_mask(mask, INDEX)
    sent = [(tuple(t.shape), t.dtype) for t in fake_cuda.sent]
    index = ((B,), torch.int64)
    assert sent == [index, ((B,), torch.float64), index, index]


# --- the augmentations, with stand-ins for the solvers --------------------------------------------------


@pytest.fixture
def solvers(fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """All solvers answer; the list holds the arguments that each one got."""
    calls: list[tuple[Any, ...]] = []

    def labels_of(cost: torch.Tensor, matrix: torch.Tensor, init: torch.Tensor, **_: Any) -> torch.Tensor:
        calls.append((cost, matrix, init))
        p, _, m, gh, gw = init.shape
        return cost.new_empty((p, m, gh, gw, 2), dtype=torch.int64)

    def cut(unary: torch.Tensor, *terms: Any) -> tuple[torch.Tensor, ...]:
        calls.append((unary, *terms[:3]))
        problems, sites = unary.shape[0], unary.shape[:-1]
        return unary.new_empty(sites, dtype=torch.int64), unary.new_empty(problems, dtype=torch.bool)

    def moves(saliency: torch.Tensor, mask: torch.Tensor, eps: float, method: str) -> torch.Tensor:
        calls.append((saliency, mask))
        return torch.empty_like(mask, dtype=torch.int64)

    monkeypatch.setattr(comixup_on_cuda, "comixup_labels", labels_of)
    monkeypatch.setattr(gridcut_on_cuda, "cut", cut)
    monkeypatch.setattr(transport_on_cuda, "transport_plan", moves)
    return calls


@pytest.mark.parametrize("targets", [SOFT, CLASSES], ids=["soft", "classes"])
@pytest.mark.parametrize(
    "augmentation",
    [
        comix.CoMixup(num_classes=K, generator=torch.Generator()),
        comix.CoMixup(num_classes=K, partition=2, grid=(3, 2), restarts=2, generator=torch.Generator()),
        comix.PuzzleMix(num_classes=K, generator=torch.Generator()),
        comix.PuzzleMix(num_classes=K, transport=False, std=STD, generator=torch.Generator()),
        comix.PuzzleMix(num_classes=K, transport_size=2, grid_choices=(2,), generator=torch.Generator()),
    ],
    ids=["comixup", "comixup in parts", "puzzlemix", "puzzlemix in place", "puzzlemix fine"],
)
def test_augmentations_do_not_wait(
    augmentation: Any, targets: torch.Tensor, fake_cuda: FakeCuda, solvers: list[tuple[Any, ...]]
) -> None:
    images, soft = fake_cuda.tensor(LAST), fake_cuda.tensor(targets)
    for given in ({}, {"saliency": fake_cuda.tensor(SALIENCY)}):
        augmentation.generator.manual_seed(3)
        with NoCopies():
            result = augmentation(images, soft, **given)
        for part in (*result, result.saliency, *entries_of(result.plan)):
            assert part.device.type == "meta"
        assert (result.images.shape, result.images.stride()) == (LAST.shape, LAST.stride())
        assert (result.targets.shape, result.targets.dtype) == ((B, K), torch.float32)
    assert all(t.device.type == "meta" for call in solvers for t in call if isinstance(t, torch.Tensor))
    drawn = list(fake_cuda.sent)
    augmentation.generator.manual_seed(3)  # the same numbers as on the CPU, in the same order
    if isinstance(augmentation, comix.PuzzleMix):
        expected = [augmentation.draw(B, H, W)[1]]
    else:
        n = min(augmentation.partition, B)
        grid = checks.grid_pair(augmentation.grid, H, W)
        expected = [*augmentation.draw(B // n, n, grid)]
        expected += [*augmentation.draw(1, B % n, grid)] if B % n else []
    assert len(drawn) == 2 * len(expected)
    assert all(map(torch.equal, drawn, 2 * expected))


# --- devices that do not fit --------------------------------------------------------------------------

ELSEWHERE: list[tuple[Run, str]] = [
    (lambda f: comix.MixPlan.from_mask(f(MASK), INDEX).mix(IMAGES), "images: expected the device of plan"),
    (lambda f: comix.MixPlan.from_mask(f(MASK), INDEX).mix_targets(SOFT), "targets: expected the device of"),
    (lambda f: comix.MixPlan.from_mask(f(MASK), INDEX, MOVED), "plan_own: expected the device of mask"),
    (
        lambda f: comix.puzzlemix_energy(f(IMAGES), SALIENCY, INDEX, 0.5),
        "saliency: expected the device of im",
    ),
    (lambda f: comix.grid_energy(f(GRID_LABELS), UNARY, PAIRWISE), "labels: expected the device of unary"),
    (lambda f: comix.grid_cut(f(UNARY), PAIRWISE), "pairwise: expected the device of unary"),
    (lambda f: comix.grid_cut(f(UNARY), f(PAIRWISE), WEIGHT_V), "weight_v: expected the device of unary"),
    (lambda f: comix.grid_cut(f(UNARY), PAIRWISE.numpy()), "pairwise: expected the device of unary"),
    (lambda f: comix.transport_plan(f(MASK), MASK), "mask: expected the device of saliency"),
    (lambda f: comix.transport_cost(MOVED, f(MASK), f(MASK)), "plan: expected the device of saliency"),
    (lambda f: comix.comixup_objective(LABELS, f(COST)), "labels: expected the device of cost"),
    (lambda f: comix.comixup_labels(f(COST), compatibility=MATRIX), "compatibility: expected the device of"),
    (lambda f: comix.comixup_labels(f(COST), init=LABELS[..., 0]), "init: expected the device of cost"),
    (lambda f: comix.PuzzleMix()(f(IMAGES), SOFT), "targets: expected the device of images"),
    (lambda f: comix.CoMixup()(f(IMAGES), f(SOFT), saliency=SALIENCY), "saliency: expected the device of im"),
]


@pytest.mark.parametrize(("run", "text"), ELSEWHERE, ids=[text.split(" of ")[0] for _, text in ELSEWHERE])
def test_devices_that_differ_are_both_named(run: Run, text: str, fake_cuda: FakeCuda) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(text)}") as caught:
        run(fake_cuda.tensor)
    assert {"meta", "cpu"} == set(re.findall(r"meta|cpu", str(caught.value)))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"index": INDEX},
            "index: expected a tensor on meta, as the images are, or on the CPU, got cuda:1",
        ),
        ({"lam": rand(B)}, "lam: expected a tensor on meta, as the images are, or on the CPU, got cuda:1"),
        ({"mean": STD}, "mean: expected a tensor on meta, as the images are, or on the CPU, got cuda:1"),
        ({"std": STD}, "std: expected a tensor on meta, as the images are, or on the CPU, got cuda:1"),
    ],
)
def test_another_device_is_no_place_for_small_arguments(
    changes: dict[str, torch.Tensor], text: str, fake_cuda: FakeCuda
) -> None:
    fitting = {"images": IMAGES, "saliency": SALIENCY, "index": INDEX}
    arguments: dict[str, Any] = {name: fake_cuda.tensor(value) for name, value in fitting.items()}
    with devices_not_there() as empty:  # a tensor on a device that is not there
        moved = {n: empty(*v.shape, dtype=v.dtype, device="cuda:1") for n, v in changes.items()}
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        comix.puzzlemix_energy(**{"lam": 0.5, **arguments, **moved})


def test_empty_batches_are_refused_as_on_the_cpu(fake_cuda: FakeCuda) -> None:
    none = fake_cuda.tensor(IMAGES[:0])
    for augmentation in (comix.PuzzleMix(num_classes=K), comix.CoMixup(num_classes=K)):
        with pytest.raises(
            ValueError, match=r"^images: expected a batch of at least one image, got shape \[0"
        ):
            augmentation(none, fake_cuda.tensor(CLASSES[:0]))
    with pytest.raises(ValueError, match=r"^saliency: expected at least one map of at least one pixel"):
        comix.pool_saliency(fake_cuda.tensor(SALIENCY[:0]), 2)
    with pytest.raises(ValueError, match=r"^mask: expected shape \[B, gh, gw\], none of them 0"):
        comix.MixPlan.from_mask(fake_cuda.tensor(MASK[:0]), fake_cuda.tensor(INDEX[:0]))
    with pytest.raises(ValueError, match=r"^unary: expected at least one problem, site and label"):
        comix.grid_cut(fake_cuda.tensor(UNARY[:0]), fake_cuda.tensor(PAIRWISE))
    with pytest.raises(ValueError, match=r"^cost: expected at least one partition, input and block"):
        comix.comixup_labels(fake_cuda.tensor(COST[:0]))
    with pytest.raises(ValueError, match=r"^saliency: expected at least one map of one block"):
        comix.transport_plan(fake_cuda.tensor(MASK[:0]), fake_cuda.tensor(MASK[:0]))


def test_a_build_without_kernels_names_the_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise comix.BackendUnavailable("this build of comix has CPU solvers only: ...")

    monkeypatch.setattr(native, "cuda", missing)
    with devices_not_there() as empty:
        unary, pairwise = empty(2, 2, 2, device="cuda:0"), empty(2, 2, device="cuda:0")
        with pytest.raises(
            comix.BackendUnavailable, match=r"^unary: is on cuda:0, but this build of comix ha"
        ):
            comix.grid_cut(unary, pairwise)
    # Saliency and plans need no kernels.
    assert comix.pool_saliency(SALIENCY.to("meta"), 4).shape == (B, 4, 4)
    assert comix.MixPlan.from_mask(MASK.to("meta"), INDEX.to("meta")).ratio(B).shape == (B, B)
    assert comix.build_info()["cuda"] is None
    assert comix.backends() == {"cpu": True, "cuda": False}


def test_draws_are_not_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(
        RuntimeError, match=r"^numbers from the CPU .* draw before the capture, and pass them"
    ):
        native.send(torch.zeros(2), torch.device("cuda:0"))


@pytest.mark.skipif(not native.has_cuda(), reason="this build has no CUDA module")
def test_the_stub_is_the_module() -> None:
    for name, signature in stub_functions().items():
        documented = (getattr(native.cuda(), name).__doc__ or "").split("->")[0]
        assert re.findall(r"(\w+): ", documented) == list(signature), name
