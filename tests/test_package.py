"""The package from outside: names and signatures, version, what importing costs, examples, fork."""

from __future__ import annotations

import ast
import doctest
import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import comix
import pytest
from comix import _core

ROOT = Path(__file__).parents[1]
PACKAGE = Path(comix.__file__).parent

PUBLIC = {
    # solvers
    "grid_cut": "unary, pairwise, weight_v=1.0, weight_h=1.0, *, method='expansion', init=None, "
    "max_sweeps=None",
    "grid_energy": "labels, unary, pairwise, weight_v=1.0, weight_h=1.0",
    "puzzlemix_energy": "images, saliency, index, lam, *, grid=4, n_labels=3, beta=1.2, gamma=0.5, eta=0.2, "
    "neigh_size=4, mean=None, std=None",
    "puzzlemix_mask": "images, saliency, index, lam, *, grid=4, n_labels=3, beta=1.2, gamma=0.5, eta=0.2, "
    "neigh_size=4, mean=None, std=None, method='exact'",
    "transport_plan": "saliency, mask, *, eps=0.8, method='exact'",
    "transport_cost": "plan, saliency, mask, *, eps=0.8",
    "comixup_labels": "cost, *, compatibility=None, init=None, n_outputs=None, beta=0.32, gamma=1.0, "
    "tau=0.83, sweeps=4, threshold='hard', resolve_duplicates=True, select='best', method='auto', "
    "generator=None",
    "comixup_objective": "labels, cost, *, compatibility=None, beta=0.32, gamma=1.0, tau=0.83, "
    "threshold='hard'",
    # what they return, and plans
    "GridCut": "labels, energy, optimal",
    "GridEnergy": "unary, pairwise, weight_v, weight_h",
    "MixPlan": "source, block, weight",
    "MixResult": "images, targets, plan, saliency",
    # saliency
    "input_saliency": "model, images, targets, *, criterion=None, return_loss=False",
    "spectral_residual": "images",
    "pool_saliency": "saliency, grid",
    # augmentations
    "PuzzleMix": "*, num_classes=None, alpha=1.0, grid_choices=(2, 4, 8, 16), n_labels=3, beta=1.2, "
    "gamma=0.5, eta=0.2, neigh_size=4, transport=True, transport_eps=0.8, transport_size=None, mean=None, "
    "std=None, generator=None",
    "CoMixup": "*, num_classes=None, grid=4, partition=20, alpha=2.0, beta=0.32, gamma=1.0, tau=0.83, "
    "eta=0.05, omega=0.001, sweeps=4, restarts=1, threshold='hard', generator=None",
    # the build
    "backends": "",
    "build_info": "",
    "debug": "",
    "BackendUnavailable": None,
}


def test_public_names() -> None:
    assert sorted(comix.__all__) == sorted(PUBLIC)
    assert comix.__all__ == sorted(comix.__all__)
    for name in PUBLIC:
        assert getattr(comix, name).__doc__, name


def shown_signature(function: Any) -> str:
    """Names and defaults of a call, without types and self."""
    parts, star = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        parts.append(parameter.name + default)
    return ", ".join(parts)


@pytest.mark.parametrize("name", [name for name, signature in PUBLIC.items() if signature is not None])
def test_signatures(name: str) -> None:
    assert shown_signature(getattr(comix, name)) == PUBLIC[name]


def test_signatures_of_plans_and_augmentations() -> None:
    plan = comix.MixPlan
    assert shown_signature(plan.from_mask) == "mask, index, plan_own=None, plan_partner=None"
    assert shown_signature(plan.from_labels) == "labels, *, n_inputs=None"
    assert shown_signature(plan.ratio) == "self, n_inputs"
    assert shown_signature(plan.mix) == "self, images"
    assert shown_signature(plan.mix_targets) == "self, targets, *, num_classes=None"
    assert shown_signature(plan.to) == "self, device"
    for augmentation in (comix.PuzzleMix, comix.CoMixup):
        called = shown_signature(augmentation.__call__)
        assert called == "self, images, targets, *, saliency=None, model=None"


def test_one_version() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    match = re.search(r'^version = "(.+)"$', text, re.MULTILINE)
    assert match
    assert comix.__version__ == match[1]
    assert comix.build_info()["version"] == match[1]
    assert importlib.metadata.version("comix") == match[1]


def test_build_info_and_backends() -> None:
    info = comix.build_info()
    assert {"version", "compiler", "build_type", "simd", "cuda"} <= set(info)
    assert comix.backends()["cpu"] is True
    assert set(comix.backends()) == {"cpu", "cuda"}
    assert (info["cuda"] is not None) or not comix.backends()["cuda"]
    info["version"] = "changed"
    assert comix.build_info()["version"] == comix.__version__


def test_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").exists()
    stubs = {
        node.name: [argument.arg for argument in node.args.args]
        for node in ast.parse((PACKAGE / "_core.pyi").read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    assert set(stubs) == {name for name in dir(_core) if not name.startswith("_")}
    for name, arguments in stubs.items():
        # The first signature in a pybind11 docstring: name(a: type, b: type) -> type.
        shown = re.search(rf"{name}\((.*)\) ->", str(getattr(_core, name).__doc__))
        assert shown, name
        assert re.findall(r"(?:^|, )(\w+): ", shown[1]) == arguments, name


# --- importing ----------------------------------------------------------------------------------------


def run_python(script: str, *options: str, arguments: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_importing_comix_is_light() -> None:
    heavy = ["matplotlib", "click", "rich", "PIL", "skimage", "scipy", "torchvision", "pandas"]
    script = f"""
import sys
import torch, numpy  # what they import is theirs
before = set(sys.modules)
import comix
LAZY = ("comix.cli", "comix.picture", "comix.reference", "comix.compat")
new = set(sys.modules) - before
print(*sorted(name for name in {heavy} if name in sys.modules))
print(*sorted(n for n in new if n.startswith(LAZY)))
"""
    done = run_python(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
    assert done.stderr == ""


def test_a_missing_compiled_module_is_explained() -> None:
    script = """
import sys
sys.modules["comix._core"] = None
try:
    import comix
except ImportError as error:
    print(error)
    print(type(error.__cause__).__name__)
"""
    done = run_python(script)
    assert done.returncode == 0, done.stderr
    message, cause = done.stdout.strip().splitlines()
    assert "comix._core is missing" in message
    assert "Build it from a checkout with 'pip install .'" in message
    assert cause in ("ImportError", "ModuleNotFoundError")


def test_torch_2_2_has_another_name_for_compiling() -> None:
    script = """
import torch
if hasattr(torch.compiler, "is_compiling"):
    torch._utils.is_compiling = torch.compiler.is_compiling
    del torch.compiler.is_compiling
import comix
images, targets = comix.PuzzleMix(num_classes=2)(torch.rand(2, 3, 8, 8), torch.tensor([0, 1]))
print(*targets.shape)
"""
    done = run_python(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "2"]


def test_python_m_comix_shows_help() -> None:
    done = run_python("import runpy; runpy.run_module('comix', run_name='__main__')", arguments=["--help"])
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


# --- examples -----------------------------------------------------------------------------------------

EXAMPLES = [
    test
    for name in [*PUBLIC, "losses"]
    for test in doctest.DocTestFinder(recurse=True).find(getattr(comix, name), name, globs={})
    if test.examples
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_examples_run(example: doctest.DocTest) -> None:
    report: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(example, out=report.append)
    assert results.failed == 0, "".join(report)


def test_every_public_function_and_augmentation_has_an_example() -> None:
    with_example = {test.name.split(".")[0] for test in EXAMPLES}
    results = {"GridCut", "GridEnergy", "MixResult", "BackendUnavailable"}
    assert set(PUBLIC) - results <= with_example


# --- fork ---------------------------------------------------------------------------------------------

FORK = """
import os
import comix, numpy as np, torch

torch.set_num_threads(4)
rng = np.random.default_rng(0)
unary, saliency = rng.random((8, 6, 6, 3)), rng.random((8, 6, 6))

def solve():
    cut = comix.grid_cut(unary, 1 - np.eye(3), 0.3, 0.2, method="auto")
    plan = comix.transport_plan(saliency, (cut.labels > 0).astype(float), eps=0.01)
    return cut.labels.tobytes() + plan.tobytes()

expected = solve()  # starts and joins threads
for generation in range(3):
    child = os.fork()
    if child == 0:
        if generation == 0:  # a child of a child
            grandchild = os.fork()
            if grandchild == 0:
                os._exit(0 if solve() == expected else 1)
            assert os.waitpid(grandchild, 0)[1] == 0
        os._exit(0 if solve() == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
assert solve() == expected
"""

LOADER = """
import comix, torch

class Cuts(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, i):
        unary = torch.rand(2, 5, 5, 3, generator=torch.Generator().manual_seed(i))
        return comix.grid_cut(unary, 1 - torch.eye(3), 0.3, 0.2, method="swap").labels

data = Cuts()
torch.set_num_threads(4)
expected = torch.stack([data[i] for i in range(8)])
loader = torch.utils.data.DataLoader(data, batch_size=2, num_workers=2, multiprocessing_context="fork")
assert torch.equal(torch.cat(list(loader)), expected)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("script", [FORK, LOADER], ids=["fork", "DataLoader"])
def test_solving_goes_on_after_fork(script: str) -> None:
    # Python 3.12 and later warn about every fork in a process that has threads, torch's among them.
    done = run_python(script, "-W", "ignore::DeprecationWarning")
    assert done.returncode == 0, done.stderr


def test_importing_comix_imports_no_library_it_adapts_to() -> None:
    code = "import sys, comix, comix.compat, comix.integrations, comix.losses; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    roots = {name.split(".")[0] for name in loaded.split()}
    adapted = {"timm", "torchvision", "lightning", "pytorch_lightning", "kornia", "openmixup", "mmcv"}
    assert "comix" in roots
    assert not roots & adapted
