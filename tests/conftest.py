"""Hypothesis explores anew on every developer's run, and repeats itself in CI; fixtures of all tests."""

from __future__ import annotations

import os

from fake_cuda import fake_cuda
from hypothesis import settings

__all__ = ["fake_cuda"]

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
