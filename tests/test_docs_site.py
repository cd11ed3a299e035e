"""The documentation site builds without a warning: links lead somewhere, docstrings are sound."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import comix
import pytest

ROOT = Path(__file__).parents[1]
NEEDED = {"sphinx": "sphinx", "myst_parser": "myst-parser", "furo": "furo"}
MISSING = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
    if MISSING:
        pytest.skip(f"the site needs {', '.join(MISSING)}: pip install 'comix[docs]'")
    folder = tmp_path_factory.mktemp("site")
    call = [sys.executable, "-m", "sphinx", "-E", "-W", "--keep-going", "-q", "-b", "html"]
    places = ["-d", str(folder / "doctrees"), str(ROOT / "docs"), str(folder / "html")]
    built = subprocess.run([*call, *places], capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stderr
    return folder / "html"


def test_every_page_is_reached_from_the_index(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    pages = [p.relative_to(ROOT / "docs").with_suffix(".html") for p in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 10
    for page in pages:
        assert (site / page).exists(), page
        if page.name != "index.html":
            assert f'href="{page.as_posix()}"' in index, page


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    reference = "".join(p.read_text(encoding="utf-8") for p in (site / "api").glob("*.html"))
    described = set(re.findall(r'id="(comix\.\w+)"', reference))
    assert {f"comix.{name}" for name in comix.__all__} <= described


def test_no_page_needs_the_net(site: Path) -> None:
    loaded = re.compile(r'<(?:script|img)[^>]+src="https?:|<link[^>]+rel="stylesheet"[^>]+href="https?:')
    for page in site.rglob("*.html"):
        assert not loaded.search(page.read_text(encoding="utf-8")), page.name
