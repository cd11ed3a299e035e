"""The command line: mix your own photographs, see a demo, show how comix was built.

Whatever goes wrong is one line on stderr and exit code 2: ``comix: error: ...``.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch

try:
    import click
except ModuleNotFoundError:
    sys.stderr.write('comix: error: the command line needs click: pip install "comix[cli]"\n')
    raise SystemExit(2) from None

import comix

if TYPE_CHECKING:
    from PIL import Image

_SHORT_NAMES = {"comixup": "Co-Mixup", "puzzlemix": "PuzzleMix"}
_DEMO_SIZE, _DEMO_REPEATS = 224, 7


class _OneLineErrors(click.Group):
    """A command group that reports every foreseeable error in one line."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except click.ClickException as error:
            self._give_up(error.format_message())
        except (click.Abort, KeyboardInterrupt):
            self._give_up("interrupted", code=130)
        except OSError as error:
            self._give_up(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        except (TypeError, ValueError, RuntimeError, MemoryError) as error:
            self._give_up(str(error) or type(error).__name__)
        sys.exit(code if isinstance(code, int) else 0)

    @staticmethod
    def _give_up(message: str, code: int = 2) -> NoReturn:
        click.echo("comix: error: " + " ".join(message.split()), err=True)
        sys.exit(code)


@click.group(cls=_OneLineErrors, invoke_without_command=True, context_settings={"max_content_width": 100})
@click.version_option(comix.__version__, prog_name="comix")
@click.pass_context
def main(context: click.Context) -> None:
    """Saliency-guided mixup of photographs: PuzzleMix and Co-Mixup."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@main.command()
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path), metavar="PHOTO...")
@click.option("--method", type=click.Choice(sorted(_SHORT_NAMES)), default="comixup", show_default=True)
@click.option("--grid", type=click.IntRange(1, 64), default=4, show_default=True, help="Blocks per side.")
@click.option(
    "--size",
    type=click.IntRange(8, 2048),
    default=224,
    show_default=True,
    help="Pixels per side that every photo is resized and centre-cropped to.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("mixed.png"),
    show_default=True,
    help="The picture to write.",
)
def mix(photos: Sequence[Path], method: str, grid: int, size: int, seed: int, out: Path) -> None:
    """Mix two or more of your own photographs, as many outputs as photos, and draw what went where."""
    _need("rich", "matplotlib", "PIL", extra="cli")
    if len(photos) < 2:
        raise click.ClickException(f"mix needs at least 2 photos, got {len(photos)}")
    if grid > size:
        raise click.ClickException(f"--grid {grid} has more blocks than --size {size} has pixels")
    _check_destination(out)
    images = torch.stack([_photo(path, size) for path in photos])  # [B, 3, S, S]
    names = [path.stem for path in photos]
    result = _augmentation(method, grid, seed)(images, torch.eye(len(photos)))

    _draw(images, result.saliency, {_SHORT_NAMES[method]: result}, names, out)
    table = _table(f"{_SHORT_NAMES[method]}, {grid} x {grid} blocks", "Output", "Sources")
    for output, shares in enumerate(result.targets):
        table.add_row(str(output + 1), _shares(shares, names))
    _print(table)
    click.echo(f"wrote {out}")


@main.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("comix-demo.png"),
    show_default=True,
    help="The picture to write.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
def demo(out: Path, seed: int) -> None:
    """Mix four photographs with both methods; draw the mixes, print shares, energies and times."""
    _need("rich", "matplotlib", "PIL", extra="cli")
    _need("skimage", extra="demo")
    _check_destination(out)
    names = ["astronaut", "cat", "coffee", "rocket"]
    images = torch.stack([_demo_photo(name) for name in names])
    saliency = comix.spectral_residual(images)

    puzzle, puzzle_time = _timed("puzzlemix", 8, seed, images, saliency)
    joint, joint_time = _timed("comixup", 4, seed, images, saliency)
    _draw(images, saliency, {"PuzzleMix": puzzle, "Co-Mixup": joint}, names, out)

    energies, optimal = _puzzlemix_energies(puzzle, images, saliency, seed)
    cost = -comix.pool_saliency(saliency, 4)[None].double()
    objective = comix.comixup_objective(joint.plan.source[None], cost)

    table = _table("comix demo", "Method", "Output", "Sources", "Energy", "Proven optimal", "Time")
    for output, shares in enumerate(puzzle.targets):
        proof = "yes" if optimal[output] else "no"
        energy = f"{energies[output]:.4f}"
        table.add_row("PuzzleMix", str(output + 1), _shares(shares, names), energy, proof, "")
    table.add_row("PuzzleMix", "all", "8 x 8 blocks, each image with one partner", "", "", puzzle_time)
    table.add_section()
    for output, shares in enumerate(joint.targets):
        table.add_row("Co-Mixup", str(output + 1), _shares(shares, names), "", "", "")
    text = "4 x 4 blocks, all images jointly"
    table.add_row("Co-Mixup", "all", text, f"{float(objective):.4f}", "heuristic", joint_time)
    _print(table)
    click.echo(f"wrote {out}")


@main.command()
def info() -> None:
    """Show version, compiler, SIMD level and CUDA support of this build."""
    _need("rich", extra="cli")
    table = _table("comix", "Property", "Value")
    for key, value in comix.build_info().items():
        table.add_row(key, "none" if value is None else str(value))
    for name, available in comix.backends().items():
        table.add_row(f"backend {name}", "yes" if available else "no")
    _print(table)


def _need(*modules: str, extra: str) -> None:
    packages = {"PIL": "pillow", "skimage": "scikit-image"}
    missing = [packages.get(name, name) for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise click.ClickException(f'this command needs {", ".join(missing)}: pip install "comix[{extra}]"')


def _augmentation(method: str, grid: int, seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    if method == "comixup":
        return comix.CoMixup(grid=grid, generator=generator)
    return comix.PuzzleMix(grid_choices=(grid,), generator=generator)


def _timed(method: str, grid: int, seed: int, images: torch.Tensor, saliency: torch.Tensor) -> Any:
    """Return the result and the median time of a call on the whole batch, saliency given."""
    targets, seconds = torch.eye(len(images)), []
    for _ in range(_DEMO_REPEATS):
        augmentation = _augmentation(method, grid, seed)  # the same draws each time
        start = time.perf_counter()
        result = augmentation(images, targets, saliency=saliency)
        seconds.append(time.perf_counter() - start)
    return result, f"{1000 * statistics.median(seconds):.1f} ms"


def _puzzlemix_energies(
    result: Any, images: torch.Tensor, saliency: torch.Tensor, seed: int
) -> tuple[list[float], list[bool]]:
    """Return the energy of each mask, and whether it equals that of a cut proven optimal."""
    grid, index, lam = _augmentation("puzzlemix", 8, seed).draw(len(images), *images.shape[-2:])
    terms = comix.puzzlemix_energy(images, saliency, index, lam, grid=grid)
    steps = terms.pairwise.shape[0] - 1
    labels = ((1 - result.plan.weight[..., 0]) * steps).round().long()  # label k shows k/steps of the partner
    energy = comix.grid_energy(labels, *terms)
    cut = comix.grid_cut(*terms, method="exact")
    optimal = cut.optimal & torch.isclose(energy, cut.energy, rtol=1e-12, atol=0)
    return energy.tolist(), optimal.tolist()


def _check_destination(out: Path) -> None:
    """Find out before the work, not after it, whether the picture can be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    formats = FigureCanvasAgg.get_supported_filetypes()
    if out.is_dir():
        raise click.ClickException(f"--out {out} is a directory")
    if not out.parent.is_dir():
        raise click.ClickException(f"--out {out}: the directory {out.parent} does not exist")
    if not os.access(out.parent, os.W_OK):
        raise click.ClickException(f"--out {out}: the directory {out.parent} is not writable")
    if out.suffix and out.suffix.removeprefix(".").lower() not in formats:
        raise click.ClickException(f"--out {out}: unknown format, use one of {', '.join(sorted(formats))}")


def _draw(images: torch.Tensor, saliency: torch.Tensor, results: Any, names: list[str], out: Path) -> None:
    from comix.picture import mixing_figure, save_figure

    save_figure(mixing_figure(images, saliency, results, names), out)


def _photo(path: Path, size: int) -> torch.Tensor:
    """Read one photograph as [3, size, size] float32 in 0..1."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not path.exists():
        raise click.ClickException(f"no such file: {path}")
    if not path.is_file():
        raise click.ClickException(f"not a file: {path}")
    try:
        with warnings.catch_warnings():  # large photos are welcome, the user chose them
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return _to_tensor(_to_rgb(ImageOps.exif_transpose(image)), size)
    except UnidentifiedImageError:
        raise click.ClickException(f"not an image file: {path}") from None
    except Exception as error:  # damaged files make Pillow's decoders raise nearly anything
        raise click.ClickException(f"cannot read {path}: {error}") from None


def _to_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode.startswith(("I", "F")):  # 16 or 32 bits per pixel: Pillow would clip them, not scale them
        values = np.nan_to_num(np.asarray(image, dtype=np.float64)).clip(min=0)
        # A range is meant, not stored: take the smallest usual one that holds the values.
        usual = (1, 255, 65535) if image.mode == "F" else (65535,)
        white = next((top for top in usual if values.max() <= top), values.max())
        image = Image.fromarray((values * (255 / white)).round().astype(np.uint8))
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _to_tensor(image: Image.Image, size: int) -> torch.Tensor:
    from PIL import Image, ImageOps

    square = ImageOps.fit(image, (size, size), method=Image.Resampling.LANCZOS)  # shorter side, then centre
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255


def _demo_photo(name: str) -> torch.Tensor:
    import skimage.data
    from PIL import Image

    return _to_tensor(Image.fromarray(getattr(skimage.data, name)()), _DEMO_SIZE)


def _shares(shares: torch.Tensor, names: list[str]) -> str:
    present = sorted(torch.nonzero(shares)[:, 0].tolist(), key=lambda i: -float(shares[i]))
    return ", ".join(f"{names[i]} {100 * float(shares[i]):.1f} %" for i in present)


def _table(title: str, *columns: str) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in ("Energy", "Time") else "left")
    return table


def _print(table: Any) -> None:
    from rich.console import Console

    Console().print(table, markup=False)
