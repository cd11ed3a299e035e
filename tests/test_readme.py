"""The README speaks the truth: its examples run, its names exist, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import comix
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_is_an_example_for_each_method() -> None:
    assert any("comix.CoMixup(" in example for example in EXAMPLES)
    assert any("comix.PuzzleMix(" in example for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_run(example: str) -> None:
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    loss = names["loss"]
    assert bool(loss.isfinite())  # type: ignore[attr-defined]


def test_every_public_function_is_in_the_table() -> None:
    table = README.split("## API")[1].split("\n## ")[0]
    results = {"GridCut", "GridEnergy", "MixResult"}  # what the functions return
    missing = [name for name in comix.__all__ if name not in table and name not in results]
    assert not missing


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
