"""The laws of the source tree: who includes or imports whom, and how large files may grow."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import comix
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = Path(comix.__file__).parent
NATIVE_SUFFIXES = {".cpp", ".hpp", ".h", ".cu", ".cuh"}

# --- native code --------------------------------------------------------------------------------------

# What the files of a folder under csrc may include, beside their own folder.
INCLUDES = {
    "base": set(),
    "gridcut": {"base"},
    "transport": {"base"},
    "mixing": {"base"},
    "puzzlemix": {"base", "gridcut"},
    "comixup": {"base", "gridcut"},
    "augment": {"base", "gridcut", "transport", "mixing", "puzzlemix", "comixup"},
    "bindings": {"base", "gridcut", "transport", "mixing", "puzzlemix", "comixup", "augment"},
}
NATIVE = sorted(p for p in (ROOT / "csrc").rglob("*") if p.suffix in NATIVE_SUFFIXES)


def includes(file: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', file.read_text(encoding="utf-8"), re.MULTILINE)


def test_there_is_native_code_in_known_folders() -> None:
    assert len(NATIVE) > 20
    assert {p.relative_to(ROOT / "csrc").parts[0] for p in NATIVE} <= set(INCLUDES)


@pytest.mark.parametrize("file", NATIVE, ids=lambda p: str(p.relative_to(ROOT)))
def test_includes_point_down(file: Path) -> None:
    folder = file.relative_to(ROOT / "csrc").parts[0]
    for header in includes(file):
        first = header.split("/")[0]
        if first in INCLUDES:
            assert first in INCLUDES[folder] | {folder}, f"{folder} may not include {header}"
            assert (ROOT / "csrc" / header).exists(), f"{header} does not exist"
        elif folder != "bindings":
            # The standard library has neither folders nor extensions; threads must know of forks.
            allowed = re.fullmatch(r"[a-z_]+", header) or (folder, header) == ("base", "pthread.h")
            assert allowed, f"{folder} may not include {header}"
            assert header != "random", "random numbers are drawn in Python"


# Domains under cuda/ that may include others of cuda/; all may include cuda/base, and of csrc base and the
# folder of their own name.
CUDA_INCLUDES: dict[str, set[str]] = {
    "base": set(),
    "gridcut": set(),
    "transport": set(),
    "mixing": set(),
    "puzzlemix": set(),
    "comixup": {"gridcut"},
    "bindings": {"gridcut", "transport", "mixing", "puzzlemix", "comixup"},
}
CUDA = sorted(p for p in (ROOT / "cuda").rglob("*") if p.suffix in NATIVE_SUFFIXES)


@pytest.mark.parametrize("file", CUDA, ids=lambda p: str(p.relative_to(ROOT)))
def test_cuda_includes_point_down(file: Path) -> None:
    folder = file.relative_to(ROOT / "cuda").parts[0]
    assert folder in CUDA_INCLUDES
    # Kernels are thin: only they and the launch helpers see the toolkit, so logic compiles anywhere.
    toolkit = {"cuda_runtime.h"} if file.suffix in (".cu", ".cuh") else set()
    for header in includes(file):
        first, *rest = header.split("/")
        if first == "cuda":
            assert rest[0] in CUDA_INCLUDES[folder] | {"base", folder}, f"{folder} may not include {header}"
            assert (ROOT / header).exists(), f"{header} does not exist"
            if file.suffix == ".hpp":
                assert not header.endswith(".cuh"), f"{file.name} is for the host too: {header}"
        elif first in INCLUDES:
            above = CUDA_INCLUDES[folder] | {"base", folder} if folder != "bindings" else {"base"}
            assert first in above, f"cuda/{folder} may not include {header}"
            assert (ROOT / "csrc" / header).exists(), f"{header} does not exist"
        elif folder != "bindings":
            assert re.fullmatch(r"[a-z_]+", header) or header in toolkit, f"cuda/{folder}: {header}"
            assert header != "random" or file.name == "host_team.hpp", "random numbers are drawn in Python"
        else:
            assert re.fullmatch(r"[a-z_]+|pybind11/[a-z_0-9]+\.h", header), f"{file.name}: {header}"


def test_no_native_code_aborts() -> None:
    for file in [*NATIVE, *CUDA]:
        text = re.sub(r"//.*", "", file.read_text(encoding="utf-8"))
        found = re.findall(r"\b(?:assert|abort|exit|terminate|rand|srand)\s*\(", text)
        assert not found, f"{file.name}: {found}"


def test_every_cpp_test_is_built_and_run() -> None:
    listed = re.search(
        r"set\(COMIX_TEST_DOMAINS([^)]*)\)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    )
    assert listed
    files = {file.stem.removeprefix("test_") for file in (ROOT / "tests" / "cpp").glob("test_*.cpp")}
    assert set(listed[1].split()) == files


# --- Python -------------------------------------------------------------------------------------------

# From the ground up: a module imports modules of lower layers only.
LAYERS = [
    {"_native"},
    {"_checks", "_on_cuda"},
    {"_solver_arrays", "_mix_kernel", "_model_state", "_pooling", "_targets"},
    {"_mix_op"},
    {"gridcut", "transport", "mixing", "saliency"},
    {"losses"},
    {"_puzzlemix_terms"},
    {"puzzlemix", "comixup"},
    {"_mixers"},
    {"_augment_comixup", "_augment_puzzlemix"},
    {"__init__"},
    {"_tiles", "_photos"},
    {"picture", "compat", "integrations"},
    {"cli"},
    {"__main__"},
]
LAYER = {module: layer for layer, modules in enumerate(LAYERS) for module in modules}
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "reference" not in p.relative_to(PACKAGE).parts)


def imports(file: Path) -> Iterator[str]:
    """Dotted names of all modules that a file imports, also inside functions and type-checking blocks."""
    package = ["comix", *file.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def module_of(dotted: str) -> str:
    """The module of comix that `comix.x.y` names; "__init__" for what the package itself offers."""
    name = [*dotted.split("."), ""][1]
    known = (PACKAGE / f"{name}.py").exists() or (PACKAGE / name).is_dir() or name in ("_core", "_cuda")
    return name if name and known else "__init__"


@pytest.mark.parametrize("file", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(file: Path) -> None:
    own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in LAYER, f"give {own} a layer"
    for dotted in imports(file):
        if dotted.split(".")[0] != "comix":
            continue
        target = module_of(dotted)
        if target in ("_core", "_cuda"):
            assert own == "_native", f"only _native may import {dotted}"
        elif target != own or own == "__init__":
            assert target != "reference", "the package does not need its reference"
            assert LAYER[target] < LAYER[own], f"{own} may not import {dotted}"


def test_nobody_else_reaches_the_compiled_module() -> None:
    for file in [*MODULES, *(PACKAGE / "reference").glob("*.py")]:
        if file.name != "_native.py":
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"import_module|__import__|ctypes", text), file.name


def test_the_reference_needs_only_numpy_and_the_standard_library() -> None:
    files = sorted((PACKAGE / "reference").glob("*.py"))
    assert len(files) >= 6
    for file in files:
        for dotted in imports(file):
            root = dotted.split(".")[0]
            if root == "comix":
                assert module_of(dotted) == "reference", f"{file.name}: {dotted}"
            else:
                assert root in {"numpy", *sys.stdlib_module_names}, f"{file.name}: {dotted}"


def test_what_the_package_imports_is_declared() -> None:
    declared = {"numpy", "torch"}
    optional = {"click", "rich", "matplotlib", "mpl_toolkits", "PIL", "skimage"}  # the extras cli and demo
    adapted = {  # each imported by its adapter alone, and only when that is imported
        "timm": {"timm"},
        "torchvision": {"torchvision"},
        "lightning": {"lightning", "pytorch_lightning"},
        "kornia": {"kornia"},
        "openmixup": {"openmixup", "mmcv"},
    }
    for file in MODULES:
        parts = file.relative_to(PACKAGE).parts
        own = parts[0].removesuffix(".py")
        libraries = adapted.get(parts[-1].removesuffix(".py").strip("_"), set())
        for dotted in imports(file):
            root = dotted.split(".")[0]
            if own == "integrations" and root in libraries:
                continue
            if root in optional:
                assert LAYER[own] > LAYER["__init__"], f"{file.name} imports {root}"
            elif root not in sys.stdlib_module_names:
                assert root in declared | {"comix"}, f"{file.name} imports {root}"


# --- files --------------------------------------------------------------------------------------------


def source_files() -> Iterator[tuple[Path, int]]:
    """Every source file with the number of lines it may have."""
    for folder, suffixes, most in (
        ("csrc", NATIVE_SUFFIXES, 400),
        ("cuda", NATIVE_SUFFIXES, 400),
        ("python", {".py", ".pyi"}, 300),
        ("benchmarks", {".py"}, 300),
        ("examples", {".py"}, 150),
        ("tests", {".py"} | NATIVE_SUFFIXES, 500),
    ):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in suffixes and "__pycache__" not in file.parts:
                yield file, most


@pytest.mark.parametrize(("file", "most"), list(source_files()), ids=lambda v: getattr(v, "name", str(v)))
def test_files_stay_small(file: Path, most: int) -> None:
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines <= most, f"{file.relative_to(ROOT)} has {lines} lines: it holds two things"


def test_no_file_is_named_utils() -> None:
    for file, _ in source_files():
        assert file.stem.strip("_") not in ("utils", "util", "helpers", "misc", "common"), file
