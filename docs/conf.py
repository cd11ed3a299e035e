"""The documentation site: `make docs` builds it into build/docs, offline, and fails on any warning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import comix

project = "comix"
author = "the comix authors"
version = release = comix.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"comix {release}"
html_copy_source = False

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_mock_imports = ["matplotlib", "mpl_toolkits"]  # of comix.picture; the site needs no plots
autodoc_typehints_format = "short"
maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_rtype = False  # "Returns" sections say shapes, dtypes and meaning in sentences

# Every name that a docstring refers to must exist. The types of other projects would need their inventories,
# which come over the net.
nitpicky = True
nitpick_ignore_regex = [
    ("py:(class|exc|obj|data)", r"(torch|np|numpy|nn|collections|typing|matplotlib|os|pathlib)\..*"),
    ("py:(class|exc|obj|data)", r"[a-z]+|None|Any|Callable|Iterator|Literal|Sequence|Number"),
    ("py:(class|exc|obj|data)", r"Tensor|Module|Generator|Model|Loss|[A-Z][A-Za-z]*Error"),
]

# What the repository's own pages are called on the site: a page that is good to read in the repository
# links to files, and here those are pages.
PAGES = {
    "../README.md": "index.md",
    "../README.md#speed": "speed.md",
    "../CHANGELOG.md": "changelog.md",
    "../benchmarks/README.md": "benchmarks.md",
    "benchmarks/README.md": "benchmarks.md",
    "docs/performance.md": "performance.md",
    "docs/cuda.md": "cuda.md",
}


def site_links(text: str) -> str:
    """The text with its links to repository files led to the pages made from them."""
    return re.sub(r"\]\(([^)\s]+)\)", lambda link: f"]({PAGES.get(link[1], link[1])})", text)


def on_source(app: Any, name: str, source: list[str]) -> None:
    """Adapt a page before it is parsed."""
    source[0] = site_links(source[0])


def on_include(app: Any, path: Path, parent: str, source: list[str]) -> None:
    """Adapt an included file."""
    source[0] = site_links(source[0])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", on_source)
    app.connect("include-read", on_include)
