"""Run the benchmarks of comix: quality first, then time."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

# Idle OpenMP threads must sleep: spinning, those of one contender would take a core from the next one.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from rich.console import Console

from benchmarks import harness, memory, on_device, plot, tables
from benchmarks import records as store

QUICK = ("gridcut", "puzzlemix", "comixup", "transport", "mixing", "step", "threads")
BENCHES = (*QUICK, "sweeps")
DEVICE = ("device",)  # with --device cuda


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds, no memory, no sweeps")
    parser.add_argument(
        "--only", action="append", choices=BENCHES, help="run this benchmark only (repeatable)"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads for comix and torch (default 2)")
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="cuda: what runs on a GPU, instead (default cpu)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all generated inputs (default 0)")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results"), help="folder of the JSON file"
    )
    parser.add_argument(
        "--compare", type=Path, metavar="OLD.json", help="also print how every ratio differs from this run's"
    )
    parser.epilog = "python -m benchmarks plot RESULTS.json --out PICTURE draws the speed-ups of a run."
    asked = parser.parse_args(arguments)
    if asked.device == "cuda" and asked.only:
        parser.error("--only chooses among the benchmarks of the CPU; --device cuda runs one of its own")
    return asked


def not_here(bench: str, note: str) -> dict[str, Any]:
    """Record a benchmark that this machine cannot run."""
    empty = {name: kind() for name, kind in store.RECORD_FIELDS.items()}
    return empty | {"bench": bench, "status": "skipped", "note": note}


def failed(bench: str, error: Exception) -> dict[str, Any]:
    """Record a benchmark that stopped with an error, so that the others still count."""
    empty = {name: kind() for name, kind in store.RECORD_FIELDS.items()}
    return empty | {"bench": bench, "status": "error", "note": f"{type(error).__name__}: {error}"}


def run_all(
    names: Sequence[str], options: harness.Options, peak: harness.Peak | None, console: Console
) -> list[dict[str, Any]]:
    """Run the cases of these benchmarks and print each as it is done: their records."""
    records: list[dict[str, Any]] = []
    for name in names:
        try:
            for case in importlib.import_module(f"benchmarks.bench_{name}").cases(options):
                records.append(harness.run_case(case, options, peak))
                tables.show(records[-1], console)
        except Exception as error:
            traceback.print_exc()
            records.append(failed(name, error))
            tables.show(records[-1], console)
    return records


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen benchmarks, print and store what they found: 0 when every quality check passed."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["plot"]:
        return plot.main(given[1:])
    asked = parse(given)
    old = json.loads(asked.compare.read_text()) if asked.compare else None  # before the run may replace it
    torch.set_num_threads(asked.threads)
    options = harness.Options(quick=asked.quick, threads=asked.threads, seed=asked.seed, device=asked.device)
    console = Console(width=None if sys.stdout.isatty() else 150)
    start = perf_counter()
    on_cuda = asked.device == "cuda"
    if on_cuda and not on_device.available():
        records = [not_here(name, on_device.NO_DEVICE) for name in DEVICE]
        for record in records:
            tables.show(record, console)
    else:
        peak = None if asked.quick or on_cuda else memory.Meter(asked.threads)  # forks: not with a device
        names = DEVICE if on_cuda else asked.only or (QUICK if asked.quick else BENCHES)
        records = run_all(names, options, peak, console)
    run = store.run_record(options, asked.only or (), records)
    tables.show_summary(run, console)
    if old is not None:
        tables.compare(old, run, console)
    path = store.write(run, asked.out)
    bad = [
        f"{record['bench']}: {record['case']}"
        for record in records
        if record["status"] not in ("ok", "skipped")
    ]
    console.print(f"\n{len(records)} cases in {perf_counter() - start:.0f} s, written to {path}")
    if not (asked.quick or asked.only or on_cuda):
        console.print(plot.beside(path))
    for name in bad:
        console.print(f"[red]failed[/] {name}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
