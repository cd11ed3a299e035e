"""An emulated CUDA device: the real kernels, launches and bindings, compiled for the CPU.

emulated_cuda/ is the device, and its runtime.cpp says what it can show and what it cannot. Here is the little
that makes Python believe in it:

- a tensor on the device says that it is on torch's "meta", as in fake_cuda, and has its values on the CPU
  (OnDevice). torch operations run on those; one that would wait for a device raises, and so does one that
  mixes devices;
- memory of the device begins as noise and ends in noise, which nobody may overwrite;
- what comix._native does with tensors and modules is replaced, and everything is put back after the test.

With COMIX_EMULATED_WATCH=RACES (make cuda-races) the device watches every access of a kernel: a launch in
which two threads touch the same memory, and no barrier orders them, raises (emulated_cuda/races.cpp). With
STEPS it counts what kernels do (make cuda-counts, emulated_cuda/steps.cpp).

    def test_something(emulated_cuda):
        pooled = comix.pool_saliency(emulated_cuda.tensor(torch.rand(2, 8, 8)), 4)
        assert emulated_cuda.calls == ["pool_saliency"]
        pooled.memory  # the values
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from comix import _mix_op
from comix import _native as native
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "tests" / "emulated_cuda"
WATCH = os.environ.get("COMIX_EMULATED_WATCH", "")  # "RACES", "STEPS" or nothing
BUILD = ROOT / "build" / "-".join(filter(None, ("emulated", WATCH.lower(), sys.implementation.cache_tag)))
DEVICE = 5  # of eight
STREAM = (DEVICE + 1) << 12
NOISE, GUARD = 0xA5, 1 << 17  # what goes further may end the run
# Whose result's size or value the host needs; boolean indices wait as well.
WAITS = (
    "aten::_local_scalar_dense",
    "aten::_unique",
    "aten::equal",
    "aten::is_nonzero",
    "aten::item",
    "aten::masked_select",
    "aten::nonzero",
    "aten::repeat_interleave.Tensor",
    "aten::unique",
)


# --- the module -----------------------------------------------------------------------------------------


def _execute(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return
    output = done.stdout + done.stderr
    for line in output.splitlines():
        if "cannot emulate CUDA here" in line:
            pytest.skip(line.strip())
    pytest.fail(f"{' '.join(command)}\n{output[-5000:]}", pytrace=False)


def _tool(name: str) -> str | None:
    """The path of a program, of those beside this Python first."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(name, path=os.pathsep.join([beside, os.environ.get("PATH", "")]))


def build() -> None:
    """Compile what is not up to date; the first time takes half a minute on two cores."""
    if sys.platform == "win32":
        pytest.skip("cannot emulate CUDA here: no ucontext.h on Windows")
    cmake, ninja = _tool("cmake"), _tool("ninja")
    if cmake is None:
        pytest.skip("cannot emulate CUDA here: no cmake")
    options = [f"-DPython_EXECUTABLE={sys.executable}", f"-DCOMIX_EMULATED_WATCH={WATCH}"]
    if importlib.util.find_spec("pybind11"):
        import pybind11

        options.append(f"-Dpybind11_DIR={pybind11.get_cmake_dir()}")
    if ninja is not None:
        options += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    _execute(cmake, "-S", str(SOURCES), "-B", str(BUILD), *options)
    _execute(cmake, "--build", str(BUILD), "--parallel", "2")


def load() -> ModuleType:
    """Build comix._cuda for the emulated device, and import it."""
    build()
    (file,) = BUILD.glob("_cuda.*.so")
    spec = importlib.util.spec_from_file_location("emulated._cuda", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


emulated_module = pytest.fixture(scope="session")(load)


# --- tensors --------------------------------------------------------------------------------------------


class OnDevice(torch.Tensor):
    """A tensor on the device: without values for whoever asks, but with memory for kernels."""

    memory: torch.Tensor

    @staticmethod
    def __new__(cls, memory: torch.Tensor) -> OnDevice:
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined,no-any-return]
            cls,
            memory.size(),
            strides=memory.stride(),
            storage_offset=memory.storage_offset(),
            dtype=memory.dtype,
            device="meta",
        )

    def __init__(self, memory: torch.Tensor) -> None:
        self.memory = memory

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnDevice({self.memory})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError("an OnDevice outlived its device")


class EmulatedCuda(TorchDispatchMode):
    """Stands in for comix._cuda, for what _native does with tensors, and for torch's operations."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__()
        self.calls: list[str] = []  # kernels, in order
        self._module = module
        self._rooms: list[torch.Tensor] = []

    # --- what tests use

    def tensor(self, value: torch.Tensor) -> torch.Tensor:
        """A copy on the device, as ``value.to("cuda")`` lays it out."""
        copy = OnDevice(self._allocate(torch.empty_like(value.detach())).copy_(value.detach()))
        return copy.requires_grad_(value.requires_grad)

    def check_memory(self) -> None:
        """Nobody wrote before or after the memory of a tensor."""
        for room in self._rooms:
            ends = torch.cat((room[:GUARD], room[-GUARD:]))
            assert bool((ends == NOISE).all()), f"a tensor of {room.numel() - 2 * GUARD} bytes was left"

    # --- in place of _native's

    def address(self, tensor: Any) -> int:
        return 0 if tensor is None else tensor.memory.data_ptr()

    def place(self, tensor: torch.Tensor) -> dict[str, int]:
        assert isinstance(tensor, OnDevice)
        return {"device": DEVICE, "stream": STREAM}

    def send(self, tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        return self.tensor(tensor.detach().contiguous()) if device.type == "meta" else tensor

    def require_device(self, tensor: torch.Tensor, name: str) -> None:
        assert isinstance(tensor, OnDevice) or tensor.is_cpu, name

    def has_kernels(self, tensor: torch.Tensor) -> bool:
        return isinstance(tensor, OnDevice)

    # --- in place of comix._cuda

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        kernel = getattr(self._module, name)

        def call(**arguments: Any) -> Any:
            if not name.endswith("_scratch"):
                self.calls.append(name)
            return kernel(**arguments)

        return call

    # --- in place of torch's operations on CUDA

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name, given = func.name(), tree_flatten((args, kwargs))[0]
        here = [t for t in given if isinstance(t, OnDevice)]
        target = kwargs.get("device")
        on_device = bool(here) if target is None else target.type == "meta"
        if here and _waits(name, given, here, on_device):
            raise RuntimeError(f"{name} waits for the device, or mixes devices")
        args, kwargs = tree_map(_memory_of, (args, kwargs))
        result = func(*args, **kwargs)
        if not on_device:
            return result
        if name.startswith(("aten::empty", "aten::new_empty")):
            result = self._allocate(result)
        same = {id(t.memory): t for t in here}  # what works in place returns its argument

        def wrap(value: Any) -> Any:
            return same.get(id(value), OnDevice(value)) if isinstance(value, torch.Tensor) else value

        return tree_map(wrap, result)

    def _allocate(self, like: torch.Tensor) -> torch.Tensor:
        """Memory of the device, laid out like a tensor of the CPU."""
        last = sum((n - 1) * step for n, step in zip(like.size(), like.stride(), strict=True))
        size = (last + 1) * like.element_size() if like.numel() else 0
        room = torch.full((size + 2 * GUARD,), NOISE, dtype=torch.uint8)
        self._rooms.append(room)
        return room[GUARD : GUARD + size].view(like.dtype).as_strided(like.size(), like.stride())


def _waits(name: str, given: list[Any], here: list[OnDevice], on_device: bool) -> bool:
    tensors = [t for t in given if isinstance(t, torch.Tensor) and t.ndim > 0]
    picks = name.startswith("aten::index") and any(t.dtype in (torch.bool, torch.uint8) for t in here[1:])
    mixes = not on_device or not all(isinstance(t, OnDevice) for t in tensors)
    return name.startswith(WAITS) or picks or mixes


def _memory_of(value: Any) -> Any:
    if isinstance(value, OnDevice):
        return value.memory
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == "meta" else value


def install(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> EmulatedCuda:
    """Put the emulated device in CUDA's place; to be entered with ``with``."""
    device = EmulatedCuda(module)
    for name in ("address", "place", "send", "require_device", "has_kernels"):
        monkeypatch.setattr(native, name, getattr(device, name))
    monkeypatch.setattr(native, "cuda", lambda: device)
    # Tensors of a class of their own are not traced here: kernels are called as they are eagerly.
    monkeypatch.setattr(_mix_op, "_traced", lambda images: False)
    return device


@pytest.fixture
def emulated_cuda(emulated_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedCuda]:
    """Tensors on "meta" are on the emulated device."""
    with install(emulated_module, monkeypatch) as device:
        yield device
    device.check_memory()
