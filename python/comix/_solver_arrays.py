"""Inputs of the solver functions: tensors or NumPy arrays, seen as tensors, given back as they came."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native

_NUMERIC = (*checks.FLOAT_DTYPES, *checks.INDEX_DTYPES)
_EXACT_INTEGER = 2**53  # beyond, float64 no longer holds every integer


class SolverArrays:
    """Converts the arguments of one call; the first argument decides what the results are."""

    def __init__(self, first: Any) -> None:
        self._numpy = isinstance(first, np.ndarray)
        self._place: tuple[str, torch.device] | None = None  # of the first tensor that came

    def _tensor(self, value: Any, name: str) -> torch.Tensor:
        if isinstance(value, np.ndarray):
            try:
                # torch has no negative strides, and it warns about memory that it must not write; comix
                # never writes, but a copy is quiet.
                plain = value.flags.writeable and min(value.strides, default=0) >= 0
                return torch.from_numpy(value if plain else value.copy())
            except (TypeError, ValueError):
                checks.fail(name, "a dtype that torch has", f"{value.dtype} array", TypeError)
        if not isinstance(value, torch.Tensor):
            checks.fail(name, "a torch.Tensor or numpy.ndarray", type(value).__name__, TypeError)
        if value.layout != torch.strided or value.is_nested:
            checks.fail(name, "a dense tensor", "a sparse or nested one", TypeError)
        native.require_device(value, name)
        return value.detach().resolve_neg()

    def _same_device(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """The tensor, where all others of the call are; numbers may come as 0-d tensors of the CPU."""
        if self._place is None:
            self._place = (name, tensor.device)
        elif tensor.device != self._place[1] and (tensor.ndim or tensor.device.type != "cpu"):
            checks.fail(name, f"the device of {self._place[0]} ({self._place[1]})", str(tensor.device))
        return tensor

    def floats(self, value: Any, name: str) -> torch.Tensor:
        """Finite numbers of any float or integer dtype, as float64."""
        tensor = self._same_device(self._tensor(value, name), name)
        checks.check_dtype(tensor, name, _NUMERIC)
        checks.check_finite(tensor, name)
        if tensor.dtype == torch.int64 and tensor.numel() and checks.values_checked(tensor):
            low, high = (int(v) for v in torch.aminmax(tensor))
            if low < -_EXACT_INTEGER or high > _EXACT_INTEGER:
                checks.fail(name, "integers within +-2**53 (exact in float64)", str(max(high, low, key=abs)))
        return tensor.to(torch.float64)

    def indices(self, value: Any, name: str) -> torch.Tensor:
        """Integers of any width, as int64."""
        tensor = self._same_device(self._tensor(value, name), name)
        checks.check_dtype(tensor, name, checks.INDEX_DTYPES)
        return tensor.to(torch.int64)

    def give_back(self, result: torch.Tensor | np.ndarray[Any, Any]) -> Any:
        """The result as the kind of array that the first argument was."""
        if isinstance(result, np.ndarray):
            return result if self._numpy else torch.from_numpy(result)
        return result.numpy() if self._numpy else result
