"""Run the benchmarks of comix: quality first, then time."""

from __future__ import annotations

import argparse
import importlib
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

from benchmarks import harness
from benchmarks import records as store

BENCHES = ("gridcut", "puzzlemix", "comixup", "transport", "mixing", "step")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds: under a minute")
    parser.add_argument(
        "--only", action="append", choices=BENCHES, help="run this benchmark only (repeatable)"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads for comix and torch (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all generated inputs (default 0)")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results"), help="folder of the JSON file"
    )
    return parser.parse_args(arguments)


def failed(bench: str, error: Exception) -> dict[str, Any]:
    """Record a benchmark that stopped with an error, so that the others still count."""
    record: dict[str, Any] = {name: kind() for name, kind in store.RECORD_FIELDS.items()}
    return record | {"bench": bench, "status": "error", "note": f"{type(error).__name__}: {error}"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen benchmarks, print and store what they found: 0 when every quality check passed."""
    asked = parse(arguments)
    torch.set_num_threads(asked.threads)
    options = harness.Options(quick=asked.quick, threads=asked.threads, seed=asked.seed)
    console = Console(width=None if sys.stdout.isatty() else 150)
    start = perf_counter()
    records: list[dict[str, Any]] = []
    for name in asked.only or BENCHES:
        try:
            for case in importlib.import_module(f"benchmarks.bench_{name}").cases(options):
                records.append(harness.run_case(case, options))
                store.show(records[-1], console)
        except Exception as error:
            traceback.print_exc()
            records.append(failed(name, error))
            store.show(records[-1], console)
    path = store.write(store.run_record(options, asked.only or (), records), asked.out)
    bad = [f"{record['bench']}: {record['case']}" for record in records if record["status"] != "ok"]
    console.print(f"\n{len(records)} cases in {perf_counter() - start:.0f} s, written to {path}")
    for name in bad:
        console.print(f"[red]failed[/] {name}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
