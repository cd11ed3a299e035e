"""Argument checks in the user's terms: which argument, what was expected, what came.

TypeError means the type or dtype is wrong, ValueError the shape, range, a non-finite value or an
unknown option. The native code checks shapes again, for memory safety only.

Values are judged by one native pass where the memory allows it. That pass says yes or no; whatever it does
not clear is looked at again, to say what is wrong.
"""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import NoReturn

import torch

from comix import _native as native

FLOAT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INDEX_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
IMAGE_DTYPES = (*FLOAT_DTYPES, torch.uint8)
MOST_LABELS = 65535  # kMaxLabels of csrc/gridcut/grid_cut.hpp
_JUDGED_DTYPES = (torch.float32, torch.float64, torch.int64)  # those of the native checks of values

_debug: ContextVar[bool] = ContextVar("comix_debug", default=False)


@contextlib.contextmanager
def debug() -> Iterator[None]:
    """Check the values of CUDA tensors too (finite, in range), at the price of a synchronisation.

    On the CPU values are always checked. On CUDA a check of values would make the host wait for the
    device, so it runs only inside this context.

    Example:
        >>> import comix, torch
        >>> with comix.debug():
        ...     s = comix.pool_saliency(torch.ones(1, 8, 8), 4)
    """
    token = _debug.set(True)
    try:
        yield
    finally:
        _debug.reset(token)


def values_checked(tensor: torch.Tensor) -> bool:
    """Whether the values of ``tensor`` may be looked at: on the CPU always, elsewhere under debug()."""
    return tensor.is_cpu or _debug.get()


def fail(name: str, expected: str, got: object, error: type[Exception] = ValueError) -> NoReturn:
    """Raise ``error`` with the one wording that all messages share."""
    raise error(f"{name}: expected {expected}, got {got}")


def shape_of(tensor: torch.Tensor) -> str:
    """The shape as users write it: ``[2, 3, 32, 32]``."""
    return str(list(tensor.shape))


def require_tensor(value: object, name: str) -> torch.Tensor:
    """``value`` itself when it is a tensor, else TypeError."""
    if not isinstance(value, torch.Tensor):
        fail(name, "a torch.Tensor", type(value).__name__, TypeError)
    if value.layout != torch.strided:
        fail(name, "a dense tensor", str(value.layout).removeprefix("torch."), TypeError)
    return value


def check_dtype(tensor: torch.Tensor, name: str, allowed: Sequence[torch.dtype]) -> None:
    """TypeError unless the dtype is one of ``allowed``."""
    if tensor.dtype not in allowed:
        names = ", ".join(str(d).removeprefix("torch.") for d in allowed)
        fail(name, f"dtype {names}", str(tensor.dtype).removeprefix("torch."), TypeError)


def native_memory(tensor: torch.Tensor, dtypes: Sequence[torch.dtype]) -> bool:
    """Whether native code can read the tensor where it lies: contiguous, on the CPU, of one of ``dtypes``."""
    return tensor.is_cpu and tensor.dtype in dtypes and tensor.is_contiguous()


def check_finite(tensor: torch.Tensor, name: str) -> None:
    """ValueError when a value is NaN or infinite (values are looked at only where that is free)."""
    if tensor.is_floating_point() and values_checked(tensor):
        if native_memory(tensor, _JUDGED_DTYPES[:2]) and native.core.all_finite(native.array(tensor)):
            return
        # A sum of finite values can overflow, so it only clears, never convicts.
        if bool(torch.isfinite(tensor.sum(dtype=torch.float64))) or bool(torch.isfinite(tensor).all()):
            return
        bad = tensor[~torch.isfinite(tensor)]
        fail(name, "finite values", f"{bad.numel()} value(s) that are NaN or infinite")


def check_range(tensor: torch.Tensor, name: str, low: float, high: float) -> None:
    """ValueError unless all values lie in ``low..high``, both included."""
    if tensor.numel() and values_checked(tensor):
        dtypes = _JUDGED_DTYPES[:2] if isinstance(low, float) or isinstance(high, float) else _JUDGED_DTYPES
        if native_memory(tensor, dtypes) and native.core.all_within(native.array(tensor), low, high):
            return
        smallest, largest = (float(v) for v in torch.aminmax(tensor))
        if not (smallest >= low and largest <= high):
            got = smallest if not smallest >= low else largest
            fail(name, f"values in {low:g}..{high:g}", f"{got:g}")


def check_same_device(named: dict[str, torch.Tensor | None]) -> None:
    """ValueError unless all tensors (None is skipped) are on one device."""
    first_name, first = "", None
    for name, tensor in named.items():
        if tensor is None:
            continue
        if first is None:
            first_name, first = name, tensor
        elif tensor.device != first.device:
            fail(name, f"the device of {first_name} ({first.device})", str(tensor.device))


def check_device(value: object, name: str) -> torch.device:
    """A torch.device that is there, from one or from its name."""
    if not isinstance(value, (torch.device, str, int)) or isinstance(value, bool):
        fail(name, "a torch.device or its name", repr(value), TypeError)
    try:
        device = torch.device(value)
    except RuntimeError:
        fail(name, "a torch.device or its name", repr(value))
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:  # each kind of device has its own
        got = f"{device} ({str(error).splitlines()[0]})"
        fail(name, "a device that this machine and this build of torch have", got, native.BackendUnavailable)
    return device


def check_images(images: object) -> torch.Tensor:
    """Images ``[B, C, H, W]``, floating or uint8, at least one pixel and one channel."""
    images = require_tensor(images, "images")
    check_dtype(images, "images", IMAGE_DTYPES)
    if images.ndim != 4:
        fail("images", "shape [B, C, H, W]", shape_of(images))
    if images.shape[0] == 0:
        fail("images", "a batch of at least one image", f"shape {shape_of(images)}")
    if 0 in images.shape:
        fail("images", "at least one channel and one pixel", f"shape {shape_of(images)}")
    return images


def check_saliency(
    saliency: object, images: torch.Tensor | None = None, name: str = "saliency"
) -> torch.Tensor:
    """Saliency maps ``[B, H, W]``, floating; of the size of ``images`` when those are given."""
    saliency = require_tensor(saliency, name)
    check_dtype(saliency, name, FLOAT_DTYPES)
    if saliency.ndim != 3:
        fail(name, "shape [B, H, W]", shape_of(saliency))
    if 0 in saliency.shape:
        fail(name, "at least one map of at least one pixel", f"shape {shape_of(saliency)}")
    if images is not None:
        expected = [images.shape[0], images.shape[2], images.shape[3]]
        if list(saliency.shape) != expected:
            fail(name, f"shape {expected} (one map per image)", shape_of(saliency))
    return saliency


def grid_pair(grid: int | Sequence[int], height: int, width: int, name: str = "grid") -> tuple[int, int]:
    """Blocks (vertically, horizontally) from ``grid``: an int or a pair, each at most the image side."""
    pair = tuple(grid) if isinstance(grid, (tuple, list)) else (grid, grid)
    if len(pair) != 2 or not all(_is_whole(g) for g in pair):
        fail(name, "an int or a pair of ints", repr(grid), TypeError)
    if min(pair) < 1:
        fail(name, "at least 1 block per side", repr(grid))
    if pair[0] > height or pair[1] > width:
        fail(name, f"no more blocks than pixels ({height} x {width})", repr(grid))
    return int(pair[0]), int(pair[1])


def _is_whole(value: object) -> bool:
    # Plain ints first: asking an abstract base class costs more than all other checks of a number.
    if type(value) is int:
        return True
    return not isinstance(value, bool) and isinstance(value, numbers.Integral)


def check_option(value: object, name: str, options: Sequence[str]) -> None:
    """ValueError unless ``value`` is one of ``options``."""
    if not isinstance(value, str) or value not in options:
        fail(name, "one of " + ", ".join(repr(o) for o in options), repr(value))


def check_flag(value: object, name: str) -> bool:
    """True or False, and nothing that merely counts as one: ``"no"`` is true."""
    if not isinstance(value, bool):
        fail(name, "True or False", repr(value), TypeError)
    return value


def check_count(value: object, name: str, low: int) -> int:
    """An int (Python's or NumPy's) of at least ``low``."""
    if not _is_whole(value):
        fail(name, f"an int of at least {low}", repr(value), TypeError)
    if value < low:  # type: ignore[operator]
        fail(name, f"an int of at least {low}", repr(value))
    return int(value)  # type: ignore[call-overload,no-any-return]


def check_label_count(value: object, name: str) -> int:
    """How many labels a mask may choose from: two, and no more than the solvers number."""
    labels = check_count(value, name, 2)
    if labels > MOST_LABELS:
        fail(name, f"an int of at most {MOST_LABELS}", repr(value))
    return labels


def check_number(value: object, name: str, low: float = -float("inf"), above: bool = False) -> float:
    """A finite number of at least ``low`` (more than ``low`` with ``above``)."""
    if type(value) is float and low < value < float("inf"):
        return value
    bound = f"number {'above' if above else 'of at least'} {low:g}"
    if low == -float("inf"):
        bound = "finite number"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        fail(name, f"a {bound}", repr(value), TypeError)
    try:
        number = float(value)
    except OverflowError:  # an int of more than 308 digits
        number = float("inf")
    if not abs(number) < float("inf") or number < low or (above and number == low):
        fail(name, f"a {bound}", repr(value))
    return number
