"""What a run leaves behind: the machine it ran on, a JSON file with a schema, and tables for the eye."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Options

SCHEMA = "comix-benchmarks/1"
PEERS = ("gco-wrapper", "PyMaxflow", "lap", "scipy")

RUN_FIELDS = {"schema": str, "machine": dict, "versions": dict, "settings": dict, "records": list}
RECORD_FIELDS = {
    "bench": str,
    "case": str,
    "work": str,
    "status": str,
    "note": str,
    "quality": dict,
    "input_sets": int,
    "rounds": int,
    "contenders": list,
    "skipped": dict,
}
TIMING_FIELDS = {
    "name": str,
    "ours": bool,
    "inner": int,
    "median_s": float,
    "q1_s": float,
    "q3_s": float,
    "times_base": float,
    "times_base_q1": float,
    "times_base_q3": float,
    "stages_s": dict,
}


def package_version(name: str) -> str | None:
    """Return the installed version of a distribution, None when it is absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def cpu_model() -> str:
    """Return the processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def cpu_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_record(options: Options, only: Sequence[str], records: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe a run: machine, versions, settings and the records of its cases; ``only`` is empty for all."""
    return {
        "schema": SCHEMA,
        "machine": {
            "cpu": cpu_model(),
            "cores": cpu_cores(),
            "architecture": platform.machine(),
            "system": platform.system(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: package_version(name) for name in ("comix", "torch", "numpy", *PEERS)},
        },
        "settings": {
            "threads": torch.get_num_threads(),
            "seed": options.seed,
            "quick": options.quick,
            "only": list(only),
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        },
        "records": records,
    }


def validate(run: dict[str, Any]) -> None:
    """Raise ValueError when a run does not follow the schema."""

    def check(item: dict[str, Any], fields: dict[str, type], where: str) -> None:
        if set(item) != set(fields):
            raise ValueError(f"{where}: fields {sorted(set(item) ^ set(fields))} are missing or unknown")
        for name, kind in fields.items():
            if not isinstance(item[name], kind):
                raise ValueError(f"{where}.{name}: expected {kind.__name__}, got {type(item[name]).__name__}")

    check(run, RUN_FIELDS, "run")
    if run["schema"] != SCHEMA:
        raise ValueError(f"run.schema: expected {SCHEMA}, got {run['schema']}")
    for record in run["records"]:
        where = f"{record.get('bench')}/{record.get('case')}"
        check(record, RECORD_FIELDS, where)
        if record["status"] == "ok" and not record["contenders"]:
            raise ValueError(f"{where}: status ok without times")
        for timing in record["contenders"]:
            check(timing, TIMING_FIELDS, f"{where}/{timing.get('name')}")


def write(run: dict[str, Any], folder: Path) -> Path:
    """Validate a run, write it to ``<version>--<cpu>--<threads>t[--quick][--<bench>].json`` in ``folder``."""
    validate(run)
    cpu = re.sub(r"[^a-z0-9]+", "-", run["machine"]["cpu"].lower()).strip("-")
    parts = [run["versions"]["comix"] or "unversioned", cpu, f"{run['settings']['threads']}t"]
    name = "--".join(parts + ["quick"] * run["settings"]["quick"] + run["settings"]["only"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(run, indent=1, sort_keys=False) + "\n")
    return path


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


def show(record: dict[str, Any], console: Console) -> None:
    """Print one case as a table, with its quality figures and the peers that were left out."""
    console.print(f"\n[bold]{record['bench']}: {record['case']}[/]  {record['work']}")
    if record["quality"]:
        figures = ", ".join(f"{name} {value:.6g}" for name, value in record["quality"].items())
        console.print(f"  quality: {figures}", highlight=False)
    if record["contenders"]:
        table = Table(box=None, pad_edge=True)
        for column in ("contender", "median", "quartiles", "time / base", "verdict"):
            table.add_column(column, justify="left" if column in ("contender", "verdict") else "right")
        stages = list(record["contenders"][0]["stages_s"])
        for stage in stages:
            table.add_column(stage, justify="right")
        for place, timing in enumerate(record["contenders"]):
            ratio = (
                f"{timing['times_base']:.2f} ({timing['times_base_q1']:.2f}-{timing['times_base_q3']:.2f})"
            )
            table.add_row(
                timing["name"],
                seconds(timing["median_s"]),
                f"{seconds(timing['q1_s'])} - {seconds(timing['q3_s'])}",
                ratio,
                verdict(timing, place == 0),
                *(seconds(timing["stages_s"].get(stage, 0.0)) for stage in stages),
            )
        console.print(table)
    if record["status"] != "ok":
        console.print(f"  [red]{record['status']}[/]: {record['note']}", highlight=False)
    for peer, reason in record["skipped"].items():
        console.print(f"  left out: {peer} ({reason})", highlight=False)
