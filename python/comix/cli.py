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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch

try:
    import click
except ModuleNotFoundError:
    sys.stderr.write('comix: error: the command line needs click: pip install "comix[cli]"\n')
    raise SystemExit(2) from None

import comix

# Existence and permissions are checked where the path is used, in the words used there.
_PATH = click.Path(path_type=Path, readable=False)
_METHODS = {"puzzlemix": "PuzzleMix", "comixup": "Co-Mixup"}
_DEMO_SIZE, _DEMO_REPEATS = 224, 7
_DEMO_GRID = {"puzzlemix": 8, "comixup": 4}
_DEMO_SEED = 49  # a draw that gives every image a partner other than itself, at nearly equal shares


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


def _seed_option(default: int) -> Callable[[Any], Any]:
    return click.option(
        "--seed",
        type=click.IntRange(0, 2**63 - 1),
        default=default,
        show_default=True,
        help="Of all random draws.",
    )


def _out_option(default: str) -> Callable[[Any], Any]:
    return click.option(
        "--out",
        type=_PATH,
        default=Path(default),
        show_default=True,
        help="The picture to write.",
    )


@click.group(cls=_OneLineErrors, invoke_without_command=True, context_settings={"max_content_width": 100})
@click.version_option(comix.__version__, prog_name="comix")
@click.pass_context
def main(context: click.Context) -> None:
    """Saliency-guided mixup of photographs: PuzzleMix and Co-Mixup."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@main.command()
@click.argument("photos", nargs=-1, type=_PATH, metavar="PHOTO...")
@click.option(
    "--method",
    type=click.Choice(sorted(_METHODS)),
    default="comixup",
    show_default=True,
    help="Mix all photos jointly, or each with one partner.",
)
@click.option("--grid", type=click.IntRange(1, 64), default=4, show_default=True, help="Blocks per side.")
@click.option(
    "--size",
    type=click.IntRange(8, 2048),
    default=224,
    show_default=True,
    help="Pixels per side that every photo is resized and centre-cropped to.",
)
@_seed_option(0)
@_out_option("mixed.png")
def mix(photos: Sequence[Path], method: str, grid: int, size: int, seed: int, out: Path) -> None:
    """Mix two or more of your own photographs, as many outputs as photos, and draw what went where."""
    _need("rich", "matplotlib", "PIL", extra="cli")
    if len(photos) < 2:
        raise click.ClickException(f"mix needs at least 2 photos, got {len(photos)}")
    if grid > size:
        raise click.ClickException(f"--grid {grid} has more blocks than --size {size} has pixels")
    _check_destination(out)
    images = torch.stack([_photo(path, size) for path in photos])  # [B, 3, S, S]
    names = [click.format_filename(path.stem) for path in photos]
    result = _augmentation(method, grid, seed)(images, torch.eye(len(photos)))

    _draw(images, result.saliency, {_METHODS[method]: result}, names, out)
    table = _table(f"{_METHODS[method]}, {grid} x {grid} blocks", "Output", "Sources")
    for output, shares in enumerate(result.targets):
        table.add_row(str(output + 1), _shares(shares, names))
    _print(table)
    click.echo(f"wrote {click.format_filename(out)}")


@main.command()
@_out_option("comix-demo.png")
@_seed_option(_DEMO_SEED)
def demo(out: Path, seed: int) -> None:
    """Mix four photographs with both methods; draw the mixes, print shares, energies and times."""
    _need("rich", "matplotlib", "PIL", extra="cli")
    _need("skimage", extra="demo")
    _check_destination(out)
    names = ["astronaut", "cat", "coffee", "rocket"]
    images = torch.stack([_demo_photo(name) for name in names])
    saliency = comix.spectral_residual(images)

    results, times = {}, {}
    for method, name in _METHODS.items():
        results[name], times[name] = _timed(method, seed, images, saliency)
    _draw(images, saliency, results, names, out)

    puzzle, joint = results["PuzzleMix"], results["Co-Mixup"]
    energy, optimal = _mask_energies(puzzle, images, saliency, seed)
    table = _table(f"PuzzleMix, {times['PuzzleMix']}", "Output", "Sources", "Energy", "Proven optimal")
    for output, shares in enumerate(puzzle.targets):
        proof = "yes" if optimal[output] else "no"
        table.add_row(str(output + 1), _shares(shares, names), f"{energy[output]:.4f}", proof)
    _print(table)

    # Scored on the saliency alone, without the random prior that the draw added.
    cost = -comix.pool_saliency(saliency, _DEMO_GRID["comixup"])[None].double()
    objective = float(comix.comixup_objective(joint.plan.source[None], cost))
    table = _table(f"Co-Mixup, {times['Co-Mixup']}", "Output", "Sources")
    for output, shares in enumerate(joint.targets):
        table.add_row(str(output + 1), _shares(shares, names))
    table.caption = f"objective of all outputs together {objective:.4f}"
    _print(table)
    click.echo(f"wrote {click.format_filename(out)}")


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


def _timed(method: str, seed: int, images: torch.Tensor, saliency: torch.Tensor) -> tuple[Any, str]:
    """Return the result of a call on the whole batch with its saliency given, and how long that took."""
    grid, targets, seconds = _DEMO_GRID[method], torch.eye(len(images)), []
    for _ in range(_DEMO_REPEATS):
        augmentation = _augmentation(method, grid, seed)  # the same draws each time
        start = time.perf_counter()
        result = augmentation(images, targets, saliency=saliency)
        seconds.append(time.perf_counter() - start)
    milliseconds = 1000 * statistics.median(seconds)
    return result, f"{grid} x {grid} blocks, {milliseconds:.1f} ms a batch (median of {_DEMO_REPEATS})"


def _mask_energies(
    result: Any, images: torch.Tensor, saliency: torch.Tensor, seed: int
) -> tuple[list[float], list[bool]]:
    """Return the energy of each PuzzleMix mask, and whether it equals that of a cut proven optimal."""
    augmentation = _augmentation("puzzlemix", _DEMO_GRID["puzzlemix"], seed)
    grid, index, lam = augmentation.draw(len(images), *images.shape[-2:])
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

    with warnings.catch_warnings():  # a name in a script that the font lacks is shown as boxes, quietly
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        save_figure(mixing_figure(images, saliency, results, names), out)


def _photo(path: Path, size: int) -> torch.Tensor:
    from comix._photos import read_photo

    try:
        return read_photo(path, size)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{click.format_filename(path)}: {error}") from None


def _demo_photo(name: str) -> torch.Tensor:
    import skimage.data

    from comix._photos import fit_square

    return fit_square(getattr(skimage.data, name)(), _DEMO_SIZE)


def _shares(shares: torch.Tensor, names: list[str]) -> str:
    present = sorted(torch.nonzero(shares)[:, 0].tolist(), key=lambda i: -float(shares[i]))
    return ", ".join(f"{names[i]} {100 * float(shares[i]):.0f} %" for i in present)


def _table(title: str, *columns: str) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left", caption_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column == "Energy" else "left")
    return table


def _print(table: Any) -> None:
    from rich.console import Console

    Console(markup=False, emoji=False).print(table)  # file names may hold [brackets] and :colons:
