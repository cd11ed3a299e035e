"""The pages of docs/ speak the truth: their Python runs, each page in one namespace, and links lead on."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision_ops  # noqa: F401 - timm, kornia and Lightning import torchvision
from solvers import torch_threads

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
NEEDS = {"timm": "timm", "torchvision": "torchvision", "kornia": "kornia", "lightning": "lightning.pytorch"}


@contextlib.contextmanager
def left_as_found() -> Iterator[None]:
    """Pages seed the global generators and install modules; other tests must not notice."""
    numbers, tensors, modules = np.random.get_state(), torch.get_rng_state(), set(sys.modules)  # noqa: NPY002
    gco = {name: sys.modules.pop(name) for name in ("gco", "gco.pygco") if name in sys.modules}
    try:
        yield
    finally:
        np.random.set_state(numbers)  # noqa: NPY002
        torch.set_rng_state(tensors)
        for name in ("gco", "gco.pygco"):
            if name not in modules or name in gco:
                sys.modules.pop(name, None)
        sys.modules.update(gco)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore:.*num_workers")  # Lightning
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_examples_run(page: Path) -> None:
    if page.stem in NEEDS:
        pytest.importorskip(NEEDS[page.stem])
    text = page.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": "__main__"}
    with left_as_found(), torch_threads(1):
        for found in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            above = "\n" * (text.count("\n", 0, found.start()) + 1)  # so that errors show the page's lines
            exec(compile(above + found.group(1), str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
