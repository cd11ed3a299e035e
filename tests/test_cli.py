"""The command line: photographs of any kind in, a picture and a table out, one line for every error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("click", reason="the command line needs click")
pytest.importorskip("rich", reason="the command line needs rich")
pytest.importorskip("matplotlib", reason="the command line needs matplotlib")
pytest.importorskip("PIL", reason="the command line needs Pillow")

import comix
from click.testing import CliRunner, Result
from comix import cli
from comix._photos import fit_square, read_photo
from PIL import Image


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def assert_fails(result: Result, text: str, code: int = 2) -> None:
    assert result.stderr == f"comix: error: {text}\n"
    assert result.stdout == ""
    assert result.exit_code == code


def photo(path: Path, mode: str = "RGB", size: tuple[int, int] = (60, 40), **options: object) -> Path:
    """Write a synthetic photograph: a bright disc on a gradient, in any mode."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    scene = np.stack([x / width, y / height, (x + y) / (width + height)], -1)
    scene[np.hypot(x - width / 3, y - height / 2) < min(size) / 4] = 1.0
    image = Image.fromarray((scene * 255).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray((scene[..., 0] * 65535).astype(np.uint16))
    elif mode == "F":
        image = Image.fromarray(scene[..., 0].astype(np.float32))
    elif mode == "RGBA":
        image.putalpha(Image.fromarray(((x > width / 2) * 255).astype(np.uint8)))
    elif mode != "RGB":
        image = image.convert(mode)
    image.save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    return [photo(folder / "beach.png"), photo(folder / "hill.jpg", size=(35, 90))]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "mixed.png"


# ---- mix ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["comixup", "puzzlemix"])
def test_mix_writes_one_picture_and_prints_the_shares(photos: list[Path], out: Path, method: str) -> None:
    result = run("mix", *photos, "--method", method, "--size", 32, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert f"wrote {out}" in result.stdout.splitlines()
    assert {"comixup": "Co-Mixup", "puzzlemix": "PuzzleMix"}[method] in result.stdout
    assert "beach" in result.stdout or "hill" in result.stdout
    assert os.listdir(out.parent) == ["mixed.png"]
    with Image.open(out) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert abs(picture.width - 120 * (2 * 0.45 + 2 * 1.7 + 0.12)) <= 1  # two tiles, a gap, two margins
        assert picture.height > picture.width


def test_mix_is_reproducible_and_follows_the_seed(tmp_path: Path) -> None:
    paths = [photo(tmp_path / f"{i}.png", size=(40 + i, 40)) for i in range(5)]
    pictures = []
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        assert run("mix", *paths, "--size", 16, "--seed", seed, "--out", tmp_path / name).exit_code == 0
        with Image.open(tmp_path / name) as picture:
            pictures.append(np.asarray(picture))
    assert np.array_equal(pictures[0], pictures[1])
    assert pictures[0].shape != pictures[2].shape or not np.array_equal(pictures[0], pictures[2])


def test_mix_shows_what_the_library_computes(photos: list[Path], out: Path) -> None:
    result = run("mix", *photos, "--grid", 2, "--size", 24, "--seed", 5, "--out", out)
    images = torch.stack([read_photo(path, 24) for path in photos])
    aug = comix.CoMixup(grid=2, generator=torch.Generator().manual_seed(5))
    _, targets = aug(images, torch.eye(2))
    for row in targets:
        for name, share in zip(("beach", "hill"), row.tolist(), strict=True):
            assert share == 0 or f"{name} {100 * share:.0f} %" in result.stdout


def test_mix_takes_more_photos_than_one_partition_and_other_formats(tmp_path: Path) -> None:
    paths = [photo(tmp_path / f"{i}.png", size=(20, 20)) for i in range(22)]
    result = run("mix", *paths, "--size", 16, "--out", tmp_path / "many.pdf")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "many.pdf").read_bytes().startswith(b"%PDF")


def test_mix_default_destination(photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("mix", *photos, "--size", 16).stdout.endswith("wrote mixed.png\n")
    assert (tmp_path / "mixed.png").is_file()


def test_mix_names_with_markup_and_other_scripts(tmp_path: Path) -> None:
    paths = [photo(tmp_path / name) for name in ("[red]a[red] :cat: $x_{$.png", "\u732b.png")]
    result = run("mix", *paths, "--size", 16, "--out", tmp_path / "out.png")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert "[red]a[red] :cat: $x_{$" in result.stdout


# ---- reading photographs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *(("a.png", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        *(("a.tif", mode) for mode in ("L", "RGB", "CMYK", "F", "I;16", "YCbCr", "LAB")),
        *(("a.jpg", mode) for mode in ("L", "RGB", "CMYK")),
        *(("a.gif", mode) for mode in ("L", "P")),
        *(("a.bmp", mode) for mode in ("1", "L", "RGB")),
        ("a.webp", "RGBA"),
    ],
)
@pytest.mark.parametrize("size", [(60, 40), (33, 77)])
def test_photos_of_every_mode(tmp_path: Path, name: str, mode: str, size: tuple[int, int]) -> None:
    tensor = read_photo(photo(tmp_path / name, mode, size), 32)
    assert tensor.shape == (3, 32, 32)
    assert tensor.dtype == torch.float32
    assert tensor.min() >= 0
    assert tensor.max() <= 1
    assert tensor.std() > 0.1  # neither cut off at white nor lost in black
    if mode in ("RGB", "CMYK", "YCbCr"):
        expected = read_photo(photo(tmp_path / "reference.png", "RGB", size), 32)
        assert (tensor - expected).abs().mean() < 0.06


def test_transparency_becomes_white(tmp_path: Path) -> None:
    tensor = read_photo(photo(tmp_path / "a.png", "RGBA", (40, 40)), 40)
    assert (tensor[:, :, :18] == 1).all()
    assert not (tensor[:, :, 22:] == 1).all()
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([200, 0, 0, 0, 200, 0])
    palette.save(tmp_path / "p.png", transparency=0)
    assert (read_photo(tmp_path / "p.png", 8) == 1).all()


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    grey = np.full((10, 10), 30000, dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert torch.allclose(read_photo(tmp_path / "a.png", 8), torch.tensor(30000 / 65535), atol=0.003)
    for value, white in ((0.5, 1), (100.0, 255), (1000.0, 65535), (1e6, 1e6)):
        Image.fromarray(np.full((10, 10), value, dtype=np.float32)).save(tmp_path / "a.tif")
        assert torch.allclose(read_photo(tmp_path / "a.tif", 8), torch.tensor(value / white), atol=0.003)
    Image.fromarray(np.full((4, 4), np.nan, dtype=np.float32)).save(tmp_path / "nan.tif")
    assert not read_photo(tmp_path / "nan.tif", 8).any()


def test_exif_orientation_is_followed(tmp_path: Path) -> None:
    upright = photo(tmp_path / "upright.png", size=(50, 50))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show rotated by 270 degrees
    with Image.open(upright) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    assert torch.equal(read_photo(tmp_path / "turned.png", 50), read_photo(upright, 50))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5), (500, 400)])
def test_photos_of_every_size_keep_their_proportions(tmp_path: Path, size: tuple[int, int]) -> None:
    assert read_photo(photo(tmp_path / "a.png", size=size), 16).shape == (3, 16, 16)
    # A wide image whose middle third is white: the centre square shows nothing else.
    pixels = np.zeros((10, 30, 3), dtype=np.uint8)
    pixels[:, 10:20] = 255
    assert (fit_square(pixels, 10) == 1).all()


# ---- errors of mix --------------------------------------------------------------------------------------


def test_too_few_photos(photos: list[Path]) -> None:
    assert_fails(run("mix"), "mix needs at least 2 photos, got 0")
    assert_fails(run("mix", photos[0]), "mix needs at least 2 photos, got 1")


def test_photos_that_cannot_be_read(photos: list[Path], tmp_path: Path, out: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("not a picture")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    cut = tmp_path / "cut.png"
    cut.write_bytes(photos[0].read_bytes()[:200])
    missing = tmp_path / "missing.jpg"
    assert_fails(run("mix", photos[0], missing, "--out", out), f"{missing}: no such file")
    assert_fails(run("mix", photos[0], tmp_path, "--out", out), f"{tmp_path}: not a file")
    assert_fails(run("mix", photos[0], text, "--out", out), f"{text}: not an image that Pillow can read")
    assert_fails(run("mix", photos[0], empty, "--out", out), f"{empty}: not an image that Pillow can read")
    result = run("mix", photos[0], cut, "--out", out)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"comix: error: {cut}: damaged image: ")
    assert result.stderr.count("\n") == 1
    assert os.listdir(out.parent) == []


def test_unreadable_photo(photos: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", denied)
    assert_fails(run("mix", *photos, "--out", out), f"{photos[0]}: permission denied")


def test_destinations_that_cannot_be_written(photos: list[Path], out: Path) -> None:
    folder = out.parent
    nowhere = folder / "no" / "a.png"
    assert_fails(run("mix", *photos, "--out", folder), f"--out {folder} is a directory")
    assert_fails(
        run("mix", *photos, "--out", nowhere),
        f"--out {nowhere}: the directory {folder / 'no'} does not exist",
    )
    result = run("mix", *photos, "--out", folder / "a.xyz")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"comix: error: --out {folder / 'a.xyz'}: unknown format, use one of ")
    assert result.stderr.rstrip().endswith("webp")
    assert os.listdir(folder) == []


def test_directory_without_write_permission(
    photos: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    expected = f"--out {out}: the directory {out.parent} is not writable"
    assert_fails(run("mix", *photos, "--out", out), expected)


def test_write_errors_are_one_line_and_leave_nothing(
    photos: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    assert_fails(run("mix", *photos, "--size", 16, "--out", out), f"{out}: No space left on device")
    assert os.listdir(out.parent) == []


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (["--size", "4"], "Invalid value for '--size': 4 is not in the range 8<=x<=2048."),
        (["--size", "big"], "Invalid value for '--size': 'big' is not a valid integer range."),
        (["--grid", "0"], "Invalid value for '--grid': 0 is not in the range 1<=x<=64."),
        (["--grid", "32", "--size", "16"], "--grid 32 has more blocks than --size 16 has pixels"),
        (["--seed", "-1"], "Invalid value for '--seed': -1 is not in the range 0<=x<=9223372036854775807."),
        (["--method", "cut"], "Invalid value for '--method': 'cut' is not one of 'comixup', 'puzzlemix'."),
        (["--bad"], "No such option '--bad'."),
    ],
)
def test_bad_options(photos: list[Path], out: Path, option: list[str], text: str) -> None:
    result = run("mix", *photos, "--out", out, *option)
    # click words its own errors a little differently from version to version.
    assert result.stderr.replace("option:", "option").replace("'", "") == f"comix: error: {text}\n".replace(
        "'", ""
    )
    assert result.exit_code == 2
    assert os.listdir(out.parent) == []


def test_unknown_command() -> None:
    result = run("mux")
    assert result.exit_code == 2
    assert result.stderr.startswith("comix: error: No such command 'mux'.")
    assert result.stderr.count("\n") == 1


def test_errors_of_the_library_are_one_line(
    photos: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (comix.BackendUnavailable("no solver\nfor this"), ValueError("no solver for this")):

        def broken(*args: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(cli, "_augmentation", broken)
        assert_fails(run("mix", *photos, "--size", 16, "--out", out), "no solver for this")


def test_interruption(photos: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_augmentation", interrupted)
    result = run("mix", *photos, "--size", 16, "--out", out)
    assert result.exit_code == 130
    assert result.stderr.strip() == "comix: error: interrupted"


@pytest.mark.parametrize(
    ("module", "arguments", "text"),
    [
        ("rich", ["info"], 'this command needs rich: pip install "comix[cli]"'),
        ("matplotlib", ["mix", "a", "b"], 'this command needs matplotlib: pip install "comix[cli]"'),
        ("PIL", ["mix", "a", "b"], 'this command needs pillow: pip install "comix[cli]"'),
        ("skimage", ["demo"], 'this command needs scikit-image: pip install "comix[demo]"'),
    ],
)
def test_missing_libraries(
    module: str, arguments: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert_fails(run(*arguments), text)


# ---- demo, info, help -----------------------------------------------------------------------------------


def test_demo(out: Path) -> None:
    pytest.importorskip("skimage", reason="the demo's photographs come with scikit-image")
    result = run("demo", "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].startswith("PuzzleMix, 8 x 8 blocks, ")
    assert lines[0].rstrip().endswith(" ms a batch (median of 7)")
    assert sum(line.rstrip().endswith("yes            │") for line in lines) == 4  # proven optimal
    assert any(line.startswith("Co-Mixup, 4 x 4 blocks, ") for line in lines)
    assert any(line.startswith("objective of all outputs together -") for line in lines)
    for name in ("astronaut", "cat", "coffee", "rocket"):
        assert name in result.stdout
    assert f"wrote {out}" in lines
    assert os.listdir(out.parent) == ["mixed.png"]
    with Image.open(out) as picture:
        picture.load()
        assert abs(picture.width - 120 * (2 * 0.45 + 8 * 1.7 + 7 * 0.12 + 0.45)) <= 1


def test_demo_checks_its_destination_first(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="the demo's photographs come with scikit-image")
    path = tmp_path / "no" / "a.png"
    assert_fails(run("demo", "--out", path), f"--out {path}: the directory {tmp_path / 'no'} does not exist")


def test_info() -> None:
    result = run("info")
    assert result.exit_code == 0
    for key, value in comix.build_info().items():
        assert key in result.stdout
        assert ("none" if value is None else value) in result.stdout


def test_version_and_help() -> None:
    assert run("--version").stdout == f"comix, version {comix.__version__}\n"
    overview = run()
    assert overview.exit_code == 0
    assert overview.stdout == run("--help").stdout
    for command in ("mix", "demo", "info"):
        assert command in overview.stdout
        result = run(command, "--help")
        assert result.exit_code == 0
        assert "Usage:" in result.stdout


# ---- as a process ---------------------------------------------------------------------------------------


def test_python_m_comix(photos: list[Path], out: Path) -> None:
    command = [sys.executable, "-m", "comix", "mix", *map(str, photos), "--size", "16", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"wrote {out}" in done.stdout
    done = subprocess.run([*command[:5], "--size", "16"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "comix: error: mix needs at least 2 photos, got 1\n"


def test_without_click() -> None:
    code = "import sys, runpy; sys.modules['click'] = None; runpy.run_module('comix', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'comix: error: the command line needs click: pip install "comix[cli]"\n'
