"""The examples run as a user would run them, on few digits and for one epoch."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torchvision_ops  # noqa: F401 - timm, kornia and Lightning import torchvision
from openmixup_stand_in import library
from solvers import torch_threads

FOLDER = Path(__file__).parents[1] / "examples"
SHARED = ("click", "matplotlib", "rich", "sklearn", "tqdm")
EXAMPLES = {  # what each needs beside that
    "plain_pytorch": (),
    "with_timm": ("timm",),
    "with_torchvision": ("torchvision",),
    "with_kornia": ("kornia",),
    "with_lightning": ("lightning.pytorch",),
    "with_openmixup": ("openmixup",),  # the real one, or what its tests use in its place
}
SMALL = ["--epochs", "1", "--repeats", "2", "--train-size", "100", "--seed", "3"]

library()

# Other people's warnings about each other are not what is tested here.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> object:
    """Import a file of the folder."""
    for needed in SHARED:
        pytest.importorskip(needed)
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def test_every_example_is_run_and_described() -> None:
    files = {file.stem for file in FOLDER.glob("*.py")}
    assert files == {*EXAMPLES, "digits"}
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in files:
        assert f"`{name}.py`" in text, name


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name: str, load: object, tmp_path: Path) -> None:
    for needed in EXAMPLES[name]:
        pytest.importorskip(needed)
    if name == "with_kornia" and not hasattr(torch, "get_default_device"):
        pytest.skip("kornia's RandomAffine calls torch.get_default_device, which this torch does not have")
    from click.testing import CliRunner

    module: ModuleType = load(name)  # type: ignore[operator]
    picture = tmp_path / "curves.png"
    with torch_threads(1):
        done = CliRunner().invoke(module.main, [*SMALL, "--out", str(picture)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "Test error" in done.output
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_plain_pytorch_repeats_itself(load: object) -> None:
    module = load("plain_pytorch")  # type: ignore[operator]
    with torch_threads(1):
        for method in ("PuzzleMix", "Co-Mixup"):
            first, second = (module.train(method, epochs=3, seed=5, train_size=100) for _ in range(2))
            assert first.errors == second.errors
            assert len(first.errors) == 3


def test_digits_are_split_without_overlap(load: object) -> None:
    shared = load("digits")  # type: ignore[operator]
    data, same, other = shared.digits(0), shared.digits(0), shared.digits(1)
    assert len(data.train) == 300
    assert data.test_images.shape == (1797 - 300, 1, 16, 16)
    assert torch.equal(data.test_images, same.test_images)
    assert not torch.equal(data.test_targets, other.test_targets)
    everything = torch.cat((data.train.tensors[0], data.test_images))
    assert abs(float(everything.mean())) < 0.01
    assert abs(float(everything.std()) - 1) < 0.05
    together = torch.cat((other.train.tensors[0], other.test_images)).flatten(1)
    assert torch.equal(everything.flatten(1).unique(dim=0), together.unique(dim=0))


def test_the_error_leaves_the_training_mode_alone(load: object) -> None:
    shared = load("digits")  # type: ignore[operator]
    data, model = shared.digits(0), shared.network(0)
    model[1].eval()
    before = [module.training for module in model.modules()]
    assert 0 <= shared.error_of(model, data) <= 100
    assert [module.training for module in model.modules()] == before
