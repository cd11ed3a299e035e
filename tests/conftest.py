"""Hypothesis explores anew on every developer's run, and repeats itself in CI; fixtures of all tests.

The tests of the CUDA side (test_cuda*.py) need pytest, torch and NumPy alone: they also run on a machine that
has nothing else.
"""

from __future__ import annotations

import os

from emulated import emulated_cuda, emulated_module
from fake_cuda import fake_cuda

try:
    from hypothesis import settings
except ModuleNotFoundError:
    settings = None  # type: ignore[assignment,misc]

__all__ = ["emulated_cuda", "emulated_module", "fake_cuda"]

if settings is not None:
    settings.register_profile("ci", derandomize=True)
    if os.environ.get("CI"):
        settings.load_profile("ci")
