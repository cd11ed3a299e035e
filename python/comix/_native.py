"""The only importer of the compiled modules, and the view of a tensor that they take."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch

try:
    from comix import _core as core
except ImportError as error:
    _HINT = (
        "comix's compiled module comix._core is missing or does not fit this Python. Build it from a "
        "checkout with 'pip install .' (needs a C++17 compiler); when you are in the checkout's python/ "
        "folder, leave it first."
    )
    raise ImportError(f"{_HINT} ({error})") from error

__all__ = [
    "BackendUnavailable",
    "address",
    "array",
    "backends",
    "build_info",
    "core",
    "cuda",
    "doubles_in_place",
    "floats_in_place",
    "has_cuda",
    "has_kernels",
    "place",
    "require_device",
    "scratch",
    "send",
    "threads",
]

_DOUBLE = np.dtype(np.float64)  # comparing with a dtype is cheaper than with a type


class BackendUnavailable(RuntimeError):  # noqa: N818 - the name is the public contract
    """This build or this machine cannot do what was asked; the text says what would help."""


def threads() -> int:
    """Threads for a batch of problems: torch's own setting, so that one knob rules both."""
    return torch.get_num_threads()


def require_device(tensor: torch.Tensor, name: str) -> None:
    """BackendUnavailable unless this build has kernels for where the tensor is."""
    if tensor.is_cpu:  # a fraction of the cost of asking for the device
        return
    kind = tensor.device.type
    if kind == "cuda":
        try:
            cuda()
        except BackendUnavailable as error:
            raise BackendUnavailable(f"{name}: is on {tensor.device}, but {error}") from error
    else:
        raise BackendUnavailable(
            f"{name}: is on {tensor.device}, but comix solves on the CPU and on CUDA; move it with .cpu()"
        )


def cuda() -> ModuleType:
    """The CUDA kernels, loaded on first use; BackendUnavailable when this build has none."""
    try:
        from comix import _cuda
    except ImportError as error:
        raise BackendUnavailable(
            "this build of comix has CPU solvers only: move the tensors with .cpu(), or build comix from "
            "source where nvcc (CUDA 11.8 or later) is found, with "
            f"'pip install --config-settings=cmake.define.COMIX_CUDA=ON .' ({error})"
        ) from error
    return _cuda


def has_cuda() -> bool:
    """Whether this build has CUDA kernels."""
    try:
        cuda()
    except BackendUnavailable:
        return False
    return True


def has_kernels(tensor: torch.Tensor) -> bool:
    """Whether CUDA kernels of this build can read the tensor."""
    return tensor.device.type == "cuda" and has_cuda()


def place(tensor: torch.Tensor) -> dict[str, int]:
    """The arguments of every kernel: the device of a CUDA tensor, and the current stream there."""
    index = tensor.get_device()
    return {"device": index, "stream": torch.cuda.current_stream(index).cuda_stream}


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the CPU on ``device``: to CUDA through pinned memory, so that the host does not wait.

    Raises:
        RuntimeError: while a CUDA graph is captured. Every replay would read memory of the host that has
            long been used for something else.
    """
    if device.type != "cuda":
        return tensor.to(device)
    if torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            "numbers from the CPU (random draws, index, lam, std) cannot reach the device while a CUDA graph "
            "is captured: draw before the capture, and pass them as tensors on the device"
        )
    return tensor.detach().contiguous().pin_memory().to(device, non_blocking=True)


def scratch(size: int, tensor: torch.Tensor) -> torch.Tensor:
    """Memory for a kernel, where the tensor is; torch keeps it until the stream is done with it."""
    return torch.empty(max(size, 16), dtype=torch.uint8, device=tensor.device)


def address(tensor: torch.Tensor | None) -> int:
    """Where a tensor's memory begins; 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()


def array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """The tensor's memory as a NumPy array, no copy; bfloat16 shows its bits."""
    # This runs many times per call, mostly on tensors that NumPy takes as they are.
    try:
        return tensor.numpy()
    except (RuntimeError, TypeError):
        plain = tensor.detach().resolve_neg()
        return (plain.view(torch.int16) if plain.dtype == torch.bfloat16 else plain).numpy()


def tensor(array: np.ndarray[Any, Any] | torch.Tensor) -> torch.Tensor:
    """The array's memory as a tensor, where it is: torch.as_tensor moves it to torch's default device."""
    return array if isinstance(array, torch.Tensor) else torch.from_numpy(array)


def doubles_in_place(value: object) -> np.ndarray[Any, Any] | None:
    """The memory of a contiguous float64 array, or of such a tensor on the CPU; the values may be anything.

    None for everything else, which must be converted or explained.
    """
    if type(value) is torch.Tensor:
        if value.dtype is not torch.float64 or not value.is_cpu:
            return None
        try:
            value = value.numpy()
        except (RuntimeError, TypeError):  # sparse, nested, in need of a gradient
            return None
    if type(value) is not np.ndarray or value.dtype != _DOUBLE or not value.flags.c_contiguous:
        return None
    return value


def floats_in_place(value: object) -> np.ndarray[Any, Any] | None:
    """The same where all values are finite.

    Most arguments of the solver functions are in place, and this costs a tenth of finding that out step by
    step.
    """
    found = doubles_in_place(value)
    return found if found is not None and core.all_finite(found) else None


def build_info() -> dict[str, str | None]:
    """How comix was built; ``python -m comix info`` prints it.

    Returns:
        ``version``, ``compiler``, ``build_type``, ``simd`` (the vector level of the core) and ``cuda`` (the
        version of the toolkit; None for a build without kernels).

    Example:
        >>> import comix
        >>> sorted(comix.build_info())
        ['build_type', 'compiler', 'cuda', 'simd', 'version']
    """
    try:
        toolkit: str | None = cuda().build_info()["cuda"]
    except BackendUnavailable:
        toolkit = None
    return {**core.build_info(), "cuda": toolkit}


def backends() -> dict[str, bool]:
    """Which devices this build can solve on, on this machine.

    Returns:
        ``"cpu"`` (always True) and ``"cuda"``, which needs both: a build with CUDA kernels, and a device that
        torch can use. docs/cuda.md says what runs there.

    Example:
        >>> import comix
        >>> comix.backends()["cpu"]
        True
    """
    return {"cpu": True, "cuda": build_info()["cuda"] is not None and torch.cuda.is_available()}
