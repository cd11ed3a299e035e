"""What a run says to the eye: one table per case, then fits and thread speed-ups, and two runs compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import CEILING, THREADS


def seconds(value: float) -> str:
    """Write a duration with three significant digits and a fitting unit."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "us")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def verdict(timing: dict[str, Any], first: bool) -> str:
    """Say in words who was faster and by how much: losses read like wins."""
    if first:
        return "base"
    ratio = timing["times_base"]
    word = "comix" if not timing["ours"] else "base"
    return f"{word} {ratio:.2f}x faster" if ratio >= 1 else f"{word} {1 / ratio:.2f}x slower"


def size(count: int | None) -> str:
    """Write a number of bytes with a fitting unit; "-" when it was not measured."""
    if count is None:
        return "-"
    return f"{count / 1e6:.3g} MB" if count >= 1e6 else f"{count / 1e3:.3g} kB"


def show(record: dict[str, Any], console: Console) -> None:
    """Print one case as a table, with its figures and the peers left out; a sweep's point in a line."""
    if record["sweep"] and record["status"] == "ok":
        show_point(record, console)
        return
    console.print(f"\n[bold]{record['bench']}: {record['case']}[/]  {record['work']}")
    for word in ("quality", "figures"):
        if record[word]:
            figures = ", ".join(f"{name} {value:.4g}" for name, value in record[word].items())
            console.print(f"  {word}: {figures}", highlight=False)
    if record["contenders"]:
        console.print(timings_table(record["contenders"]))
    if record["status"] != "ok":
        console.print(f"  [red]{record['status']}[/]: {record['note']}", highlight=False)
    elif record["note"]:
        console.print(f"  note: {record['note']}", highlight=False)
    for peer, reason in record["skipped"].items():
        console.print(f"  left out: {peer} ({reason})", highlight=False)


def timings_table(contenders: Sequence[dict[str, Any]]) -> Table:
    """Lay out the contenders of a case: times, ratios, peak memory, stages."""
    table = Table(box=None, pad_edge=True)
    for column in ("contender", "median", "quartiles", "time / base", "verdict", "peak memory"):
        table.add_column(column, justify="left" if column in ("contender", "verdict") else "right")
    stages = list(contenders[0]["stages_s"])
    for stage in stages:
        table.add_column(stage, justify="right")
    for place, timing in enumerate(contenders):
        table.add_row(
            timing["name"],
            seconds(timing["median_s"]),
            f"{seconds(timing['q1_s'])} - {seconds(timing['q3_s'])}",
            f"{timing['times_base']:.2f} ({timing['times_base_q1']:.2f}-{timing['times_base_q3']:.2f})",
            verdict(timing, place == 0),
            size(timing["peak_bytes"]),
            *(seconds(timing["stages_s"].get(stage, 0.0)) for stage in stages),
        )
    return table


def show_point(record: dict[str, Any], console: Console) -> None:
    """Print one point of a sweep: the base's time, everybody else's time over it."""
    sweep, (base, *others) = record["sweep"], record["contenders"]
    ratios = [f"{timing['name']} {timing['times_base']:.2f}x" for timing in others]
    ratios += [f"{peer} left out ({reason})" for peer, reason in record["skipped"].items()]
    start = f"sweep {sweep['domain']}, {sweep['axis']} {sweep['value']}:"
    told = "; ".join([f"{base['name']} {seconds(base['median_s'])}, {size(base['peak_bytes'])}", *ratios])
    console.print(f"{start} {told}", highlight=False)


def show_summary(run: dict[str, Any], console: Console) -> None:
    """Print what the sweeps tell together, and what the second thread gained, losses like gains."""
    if run["fits"]:
        table = Table(box=None, title="time ~ size^a over the sweeps", title_justify="left")
        for column in ("sweep", "contender", "sizes", "a", "a, upper half"):
            table.add_column(column)
        for fit in run["fits"]:
            sizes = f"{fit['points'][0][0]} - {fit['points'][-1][0]}"
            exponents = f"{fit['exponent']:.2f}", f"{fit['exponent_upper']:.2f}"
            table.add_row(f"{fit['domain']}, {fit['axis']}", fit["contender"], sizes, *exponents)
        console.print()
        console.print(table)
    rows = [record for record in run["records"] if record["figures"].get(THREADS) and not record["sweep"]]
    if rows:
        table = Table(
            box=None, title=f"speed-up of {run['settings']['threads']} threads over one", title_justify="left"
        )
        for column in ("case", "work", "speed-up", "of callers that share nothing"):
            table.add_column(column)
        for record in rows:
            gain, most = (record["figures"].get(figure) for figure in (THREADS, CEILING))
            told = f"{gain:.2f}x" if gain >= 1 else f"{gain:.2f}x (a loss)"
            limit = f"{most:.2f}x" if most else ""
            table.add_row(f"{record['bench']}: {record['case']}", record["work"], told, limit)
        console.print()
        console.print(table)


def compare(old: dict[str, Any], new: dict[str, Any], console: Console) -> None:
    """Print old and new ratio of every peer in the cases of both runs; times are the machine's affair."""
    before = {key(record, timing): timing for record, timing in peers(old)}
    table = Table(box=None, title="peer time / comix time", title_justify="left")
    for column in ("case", "peer", "old", "new", "new / old"):
        table.add_column(column, justify="left" if column in ("case", "peer") else "right")
    for record, timing in peers(new):
        then = before.get(key(record, timing))
        if then is None:
            continue
        change = timing["times_base"] / then["times_base"]
        told = f"{change:.2f}"
        if timing["times_base_q3"] < then["times_base_q1"]:
            told += " worse"  # the quartile ranges do not even touch
        elif timing["times_base_q1"] > then["times_base_q3"]:
            told += " better"
        ratios = f"{then['times_base']:.3g}", f"{timing['times_base']:.3g}"
        case = f"{record['bench']}: {record['case']}, {record['work']}"
        table.add_row(case, timing["name"], *ratios, told)
    console.print()
    console.print(table)


def peers(run: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield (record, timing) of everybody who is not comix, where comix is the base."""
    for record in run["records"]:
        if record["contenders"] and record["contenders"][0]["ours"]:
            yield from ((record, timing) for timing in record["contenders"] if not timing["ours"])


def key(record: dict[str, Any], timing: dict[str, Any]) -> tuple[str, str, str, str]:
    """Tell which peer's timing this is; the work is part of it, since --quick works on smaller sizes."""
    return record["bench"], record["case"], record["work"], timing["name"]
