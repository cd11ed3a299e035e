"""The picture of a run: how much faster than its peers comix is, over the size of the problem.

One panel per sweep, all on the same logarithmic axis: 1 is a draw, below it comix loses. Points are the
medians of the ratios inside the rounds, bars their quartiles; filled points are comix with all threads, open
ones comix with a single thread, as the peers have. A peer's line ends where it was left out of the sweep.

    python -m benchmarks plot benchmarks/results/RUN.json --out docs/images/speed.png

Needs matplotlib (``pip install "comix[bench]"``).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import scaling

# domain, axis -> title, words under the axis
PANELS = {
    ("gridcut", "labels"): ("gridcut: exact, quadratic distance", "labels, 8x8 sites"),
    ("puzzlemix", "grid"): ("puzzlemix: 100 masks, exact", "blocks per side"),
    ("transport", "grid"): ("transport: 100 plans, exact", "blocks per side"),
    ("comixup", "grid"): ("comixup: 100 images, partitions of 20", "blocks per side"),
    ("comixup", "partition"): ("comixup: 256 images, 4x4 blocks", "images in a partition"),
    ("mixing", "image"): ("mixing: 32 images, PuzzleMix plans", "pixels per side"),
}
COLOURS = ("#0b6ba8", "#c8560a")  # of the first and the second peer of a panel; they differ in grey, too
NO_MATPLOTLIB = "no picture: matplotlib is not installed (pip install matplotlib)"


@dataclass(frozen=True)
class Series:
    """Speed-ups over one peer in one sweep; ``threads`` is 1 for comix on a single thread."""

    peer: str
    threads: int
    sizes: list[int]
    speed: list[float]  # peer time / comix time, median
    low: list[float]  # its quartiles
    high: list[float]


def series(run: dict[str, Any], domain: str, axis: str) -> list[Series]:
    """Collect the lines of one panel: every peer, first with all threads, then with one."""
    everybody: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for record in scaling.points(run["records"], domain, axis):
        for timing in record["contenders"]:
            if not timing["ours"]:
                everybody.setdefault(timing["name"], []).append((record["sweep"]["value"], timing))
    threads = run["settings"]["threads"]
    fields = [(threads, "times_base")] + ([(1, "times_single")] if threads > 1 else [])
    lines = []
    for peer, points in everybody.items():
        for count, field in fields:
            seen = [(size, timing) for size, timing in points if timing[field] is not None]
            values = [[timing[field + end] for _, timing in seen] for end in ("", "_q1", "_q3")]
            if seen:
                lines.append(Series(peer, count, [size for size, _ in seen], *values))
    return lines


def draw(run: dict[str, Any], out: Path) -> None:
    """Draw the speed-ups of a stored run over its peers, by problem size; ValueError without any sweep."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    panels = {place: series(run, *place) for place in PANELS}
    panels = {place: lines for place, lines in panels.items() if lines}
    if not panels:
        raise ValueError("this run has no sweeps with a peer to compare with")
    with pyplot.rc_context({"font.size": 8.5, "axes.titlesize": 9, "axes.spines.top": False}):
        columns = min(3, len(panels))
        rows = -(-len(panels) // columns)
        figure, axes = pyplot.subplots(
            rows, columns, sharey=True, squeeze=False, figsize=(3 * columns, 2.5 * rows + 0.9)
        )
        spots = list(axes.flat)
        for spot, (place, lines) in zip(spots, panels.items(), strict=False):
            panel(spot, *PANELS[place], lines)
        for spot in spots[len(panels) :]:
            spot.set_visible(False)
        spots[0].set_ylim(*limits([line for lines in panels.values() for line in lines]))
        spots[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}x")
        spots[0].text(0.03, 0.04, "comix slower", transform=spots[0].transAxes, color="#b00020")
        for row in axes:
            row[0].set_ylabel("peer time / comix time")
        threads = run["settings"]["threads"]
        grey = {"color": "#444444", "markersize": 5}
        handles = [Line2D([], [], marker="o", label=f"comix with {threads} threads", **grey)]
        if threads > 1:
            handles.append(
                Line2D([], [], marker="o", mfc="white", ls="--", label="comix with 1 thread", **grey)
            )
        handles.append(Line2D([], [], color="black", lw=1.2, label="1x: as fast as the peer"))
        figure.legend(handles=handles, loc="upper center", ncols=3, frameon=False)
        figure.text(0.5, 0.008, caption(run), ha="center", color="#444444", fontsize=7.5)
        figure.tight_layout(rect=(0, 0.03, 1, 0.95))
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=200)
        pyplot.close(figure)


def panel(spot: Any, title: str, under: str, lines: Sequence[Series]) -> None:
    """Draw one panel."""
    peers = list(dict.fromkeys(line.peer for line in lines))
    for line in lines:
        colour = COLOURS[peers.index(line.peer) % len(COLOURS)]
        full = line.threads > 1 or all(other.threads == 1 for other in lines)
        below = [middle - low for middle, low in zip(line.speed, line.low, strict=True)]
        above = [high - middle for middle, high in zip(line.speed, line.high, strict=True)]
        spot.errorbar(
            line.sizes,
            line.speed,
            yerr=(below, above),
            color=colour,
            linestyle="-" if full else "--",
            linewidth=1.3 if full else 0.9,
            marker="o",
            markersize=4.5,
            markerfacecolor=colour if full else "white",
            capsize=2,
            elinewidth=0.8,
            label=f"{line.peer}" if full else None,
        )
    spot.set_xscale("log", base=2)
    spot.set_yscale("log")
    sizes = sorted({size for line in lines for size in line.sizes})
    spot.set_xticks(sizes, [str(size) for size in sizes])
    spot.minorticks_off()
    spot.axhline(1, color="black", linewidth=1.2)
    spot.axhspan(1e-6, 1, color="#b00020", alpha=0.06, linewidth=0)
    spot.tick_params(labelleft=True)
    spot.grid(axis="y", color="#dddddd", linewidth=0.6)
    spot.set_axisbelow(True)
    spot.set_title(title)
    spot.set_xlabel(under)
    spot.legend(frameon=False, handlelength=1.4, title="peer", title_fontsize=8, fontsize=8)


def limits(lines: Sequence[Series]) -> tuple[float, float]:
    """Return the ends of the common axis: every bar fits, and both sides of 1x are seen."""
    lowest = min(min(line.low) for line in lines)
    highest = max(max(line.high) for line in lines)
    return min(lowest / 1.5, 0.3), max(highest * 1.5, 3.0)


def caption(run: dict[str, Any]) -> str:
    """Say what was measured where."""
    machine, versions = run["machine"], run["versions"]
    return (
        f"comix {versions['comix']} on {machine['cores']} cores ({machine['cpu']}); peers use one thread. "
        "Medians and quartiles of ratios taken in turns; in the tinted part comix is slower."
    )


def beside(results: Path) -> str:
    """Draw the picture next to a results file: a line that says where it is, or why there is none."""
    if importlib.util.find_spec("matplotlib") is None:
        return NO_MATPLOTLIB
    picture = results.with_suffix(".png")
    try:
        draw(json.loads(results.read_text()), picture)
    except ValueError as error:
        return f"no picture: {error}"
    return f"picture: {picture}"


def main(arguments: Sequence[str]) -> int:
    """Draw the picture of a stored run: 0 when it was drawn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks plot", description=draw.__doc__)
    parser.add_argument("results", type=Path, metavar="RESULTS.json")
    parser.add_argument("--out", type=Path, required=True, metavar="PICTURE.png")
    asked = parser.parse_args(arguments)
    if importlib.util.find_spec("matplotlib") is None:
        print(NO_MATPLOTLIB)
        return 1
    draw(json.loads(asked.results.read_text()), asked.out)
    print(asked.out)
    return 0
