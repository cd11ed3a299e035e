"""CUDA without a device: tensors that have no values, and kernels that check what they are given.

Tensors on torch's device "meta" stand for those on CUDA: shapes, dtypes and layouts are computed, and whoever
asks for a value (bool, item, boolean masks, copies to the host) gets an exception. The kernels of
comix._cuda are replaced by recorders that hold every call against the stub and against the memory that
KERNELS says each address must point to.

    def test_something(fake_cuda):
        pooled = comix.pool_saliency(fake_cuda.tensor(torch.rand(2, 8, 8)), 4)
        assert fake_cuda.names() == ["pool_saliency"]
"""

from __future__ import annotations

import ast
import contextlib
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import comix
import pytest
import torch
from comix import _native as native
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import _disable_current_modes

STUB = Path(comix.__file__).with_name("_cuda.pyi")
Signature = dict[str, str]  # parameter: annotation
Memory = tuple[str, tuple[int, ...]]  # dtype, shape of which only the number of elements counts
DEVICE, STREAM = 3, 12345
SCRATCH = 4096  # what all *_scratch functions ask for


def stub_functions() -> dict[str, Signature]:
    """All functions of the stub with the annotations of their (keyword-only) parameters."""
    return {
        node.name: {a.arg: ast.unparse(a.annotation) for a in node.args.kwonlyargs if a.annotation}
        for node in ast.parse(STUB.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }


def _plan(a: dict[str, Any]) -> dict[str, Memory]:
    shape = (a["outputs"], a["grid_height"], a["grid_width"], 2)
    return {"source": ("int64", shape), "block": ("int64", shape), "weight": ("float32", shape)}


def _images(a: dict[str, Any], count: str) -> Memory:
    return a["dtype"], (a[count], a["channels"], a["height"], a["width"])


def _mix(a: dict[str, Any]) -> dict[str, Memory]:
    return _plan(a) | {"images": _images(a, "inputs"), "mixed": _images(a, "outputs")}


def _mix_transpose(a: dict[str, Any]) -> dict[str, Memory]:
    blocks = a["grid_height"] * a["grid_width"]
    lists = {
        "order": ("int64", (a["outputs"] * blocks * 2,)),
        "starts": ("int64", (a["inputs"] * blocks + 1,)),
    }
    return _mix(a) | lists


def _grid_energy(a: dict[str, Any]) -> dict[str, Memory]:
    p, h, w, n = a["problems"], a["height"], a["width"], a["n_labels"]
    return {
        "labels": ("int64", (p, h, w)),
        "unary": ("float64", (p, h, w, n)),
        "pairwise": ("float64", (n, n)),
        "weight_v": ("float64", (p, h - 1, w)),
        "weight_h": ("float64", (p, h, w - 1)),
        "energy": ("float64", (p,)),
    }


def _pool_saliency(a: dict[str, Any]) -> dict[str, Memory]:
    result = "float64" if a["dtype"] == "float64" else "float32"
    return {
        "saliency": (a["dtype"], (a["batch"], a["height"], a["width"])),
        "pooled": (result, (a["batch"], a["grid_height"], a["grid_width"])),
    }


def _puzzlemix_energy(a: dict[str, Any]) -> dict[str, Memory]:
    b, h, w, n = a["batch"], a["grid_height"], a["grid_width"], a["n_labels"]
    return {
        "images": _images(a, "batch"),
        "saliency": (a["saliency_dtype"], (b, h, w)),
        "index": ("int64", (b,)),
        "lam": ("float64", (b,)),
        "deviation": ("float64", (a["channels"],)),
        "unary": ("float64", (b, h, w, n)),
        "pairwise": ("float64", (n, n)),
        "weight_v": ("float64", (b, h - 1, w)),
        "weight_h": ("float64", (b, h, w - 1)),
        "shown": ("float32", (n,)),
    }


def _salient_spots(a: dict[str, Any]) -> dict[str, Memory]:
    return {
        "saliency": (a["dtype"], (a["count"], a["height"], a["width"])),
        "spots": ("int64", (a["count"], 2)),
    }


def _comixup_objective(a: dict[str, Any]) -> dict[str, Memory]:
    p, n, h, w = a["partitions"], a["inputs"], a["height"], a["width"]
    return {
        "labels": ("int64", (p, a["outputs"], h, w, 2)),
        "cost": ("float64", (p, n, h, w)),
        "compatibility": ("float64", (p, n, n)),
        "objective": ("float64", (p,)),
    }


def _grid_cut(a: dict[str, Any]) -> dict[str, Memory]:
    sites = (a["problems"], a["height"], a["width"])
    energy = _grid_energy(a)
    del energy["energy"]
    return energy | {"init": ("int64", sites), "optimal": ("bool", sites[:1])}


def _transport_plan(a: dict[str, Any]) -> dict[str, Memory]:
    shape = (a["count"], a["height"], a["width"])
    return {"saliency": (a["dtype"], shape), "mask": (a["dtype"], shape), "plan": ("int64", shape)}


def _transport_cost(a: dict[str, Any]) -> dict[str, Memory]:
    return _transport_plan(a) | {"cost": ("float64", (a["count"],))}


def _comixup_labels(a: dict[str, Any]) -> dict[str, Memory]:
    p, r, n, h, w = a["partitions"], a["starts"], a["inputs"], a["height"], a["width"]
    return {
        "init": ("int64", (p, r, a["outputs"], h, w)),
        "cost": ("float64", (p, n, h, w)),
        "compatibility": ("float64", (p, n, n)),
        "labels": ("int64", (p, r, a["outputs"], h, w, 2)),
        "objective": ("float64", (p, r)),
    }


# What the addresses of each kernel point to.
KERNELS: dict[str, Callable[[dict[str, Any]], dict[str, Memory]]] = {
    "mix": _mix,
    "mix_transpose": _mix_transpose,
    "grid_energy": _grid_energy,
    "pool_saliency": _pool_saliency,
    "puzzlemix_energy": _puzzlemix_energy,
    "salient_spots": _salient_spots,
    "comixup_objective": _comixup_objective,
    "grid_cut": _grid_cut,
    "transport_plan": _transport_plan,
    "transport_cost": _transport_cost,
    "comixup_labels": _comixup_labels,
}
OPTIONAL = {"weight_v", "weight_h", "lam", "deviation", "compatibility", "init"}  # may be 0
# Tensors whose layout is told to the kernel.
LAID_OUT = {"images", "mixed"}


class FakeCuda:
    """Stands in for comix._cuda, and for what _native does with tensors."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.sent: list[torch.Tensor] = []
        self._signatures = stub_functions()
        self._memory: dict[int, weakref.ref[torch.Tensor]] = {}

    # --- what tests use

    def tensor(self, value: torch.Tensor) -> torch.Tensor:
        """A tensor without values that counts as one on CUDA; layout and dtype as given."""
        like = torch.empty_strided(value.size(), value.stride(), dtype=value.dtype, device="meta")
        return like.requires_grad_(value.requires_grad)

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    # --- in place of _native's

    def address(self, tensor: torch.Tensor | None) -> int:
        if tensor is None:
            return 0
        handle = 64 * (len(self._memory) + 1)
        self._memory[handle] = weakref.ref(tensor)
        return handle

    def place(self, tensor: torch.Tensor) -> dict[str, int]:
        assert tensor.device.type == "meta"
        return {"device": DEVICE, "stream": STREAM}

    def send(self, tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        assert tensor.device.type == "cpu"
        if device.type == "cpu":
            return tensor
        self.sent.append(tensor)
        return self.tensor(tensor)

    def require_device(self, tensor: torch.Tensor, name: str) -> None:
        assert tensor.device.type in ("cpu", "meta"), name

    def has_kernels(self, tensor: torch.Tensor) -> bool:
        return tensor.device.type == "meta"

    # --- in place of comix._cuda

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._signatures:
            raise AttributeError(name)

        def kernel(**arguments: Any) -> Any:
            self._check_types(name, arguments)
            if name.endswith("_scratch"):
                return SCRATCH
            if name == "build_info":
                return {"cuda": "0.0.0"}
            self._check_memory(name, arguments)
            self.calls.append((name, arguments))
            return None

        return kernel

    def _check_types(self, name: str, arguments: dict[str, Any]) -> None:
        signature = self._signatures[name]
        assert set(arguments) == set(signature), name
        kinds: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool, "list[float]": list}
        for parameter, value in arguments.items():
            assert type(value) is kinds[signature[parameter]], f"{name}({parameter}={value!r})"
            if signature[parameter] == "list[float]":
                assert all(type(number) is float for number in value)

    def _check_memory(self, name: str, arguments: dict[str, Any]) -> None:
        expected = KERNELS[name](arguments)
        if "scratch" in arguments:
            expected["scratch"] = ("uint8", (SCRATCH,))
        assert (arguments["device"], arguments["stream"]) == (DEVICE, STREAM)
        for parameter, (dtype, shape) in expected.items():
            what = f"{name}({parameter})"
            if arguments[parameter] == 0:
                assert parameter in OPTIONAL, f"{what}: no memory"
                continue
            tensor = self._memory[arguments[parameter]]()
            assert tensor is not None, f"{what}: the tensor was gone before the launch"
            assert tensor.device.type == "meta", f"{what}: {tensor.device}"
            assert str(tensor.dtype) == f"torch.{dtype}", f"{what}: {tensor.dtype}"
            assert tensor.numel() == torch.Size(shape).numel(), f"{what}: {tuple(tensor.shape)}"
            last = parameter in LAID_OUT and arguments["channels_last"]
            layout = torch.channels_last if last else torch.contiguous_format
            assert tensor.is_contiguous(memory_format=layout), f"{what}: {tensor.stride()}"


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """Tensors on "meta" count as tensors on CUDA."""
    fake = FakeCuda()
    for name in ("address", "place", "send", "require_device", "has_kernels"):
        monkeypatch.setattr(native, name, getattr(fake, name))
    monkeypatch.setattr(native, "cuda", lambda: fake)
    return fake


def lacks_frexp() -> bool:
    """Whether this torch cannot tell what torch.frexp gives on a device without values (before 2.3)."""
    try:
        torch.frexp(torch.empty(1, device="meta"))
    except NotImplementedError:
        return True
    return False


@contextlib.contextmanager
def devices_not_there() -> Iterator[Callable[..., torch.Tensor]]:
    """Gives a torch.empty for any device, "cuda:7" say: inside, tensors there have no values.

    torch wakes a device by a real allocation before it pretends to have one there. Where there is a first
    CUDA device but no eighth, that is an error; and before torch 2.4 its own torch.empty does so without any.
    """
    mode = FakeTensorMode()

    def empty(*shape: int, device: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        with _disable_current_modes():
            like = torch.empty(shape, dtype=dtype, device="meta")
        return FakeTensor(mode, like, torch.device(device))

    with pytest.MonkeyPatch.context() as patch, mode:
        for name in ("init_gpu_context", "init_cuda_context"):  # as torch calls it now, and as it used to
            patch.setattr(fake_tensor, name, lambda *_: None, raising=False)
        yield empty
