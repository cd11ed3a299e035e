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
        native.require_cpu(value, name)
        return value.detach().resolve_neg()

    def floats(self, value: Any, name: str) -> torch.Tensor:
        """Finite numbers of any float or integer dtype, as float64."""
        tensor = self._tensor(value, name)
        checks.check_dtype(tensor, name, _NUMERIC)
        checks.check_finite(tensor, name)
        if tensor.dtype == torch.int64 and tensor.numel():
            low, high = (int(v) for v in torch.aminmax(tensor))
            if low < -_EXACT_INTEGER or high > _EXACT_INTEGER:
                checks.fail(name, "integers within +-2**53 (exact in float64)", str(max(high, low, key=abs)))
        return tensor.to(torch.float64)

    def indices(self, value: Any, name: str) -> torch.Tensor:
        """Integers of any width, as int64."""
        tensor = self._tensor(value, name)
        checks.check_dtype(tensor, name, checks.INDEX_DTYPES)
        return tensor.to(torch.int64)

    def give_back(self, result: torch.Tensor) -> Any:
        """The result as the kind of array that the first argument was."""
        return result.numpy() if self._numpy else result
