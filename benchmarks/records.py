"""What a run leaves behind: the machine it ran on, its records and fits, in a JSON file with a schema."""

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

from benchmarks import on_device
from benchmarks.harness import Options
from benchmarks.scaling import fits

SCHEMA = "comix-benchmarks/2"
PEERS = ("gco-wrapper", "PyMaxflow", "lap", "scipy", "torch-linear-assignment", "torch-lap-cuda")

RUN_FIELDS = {
    "schema": str,
    "machine": dict,
    "versions": dict,
    "settings": dict,
    "records": list,
    "fits": list,
}
RECORD_FIELDS = {
    "bench": str,
    "case": str,
    "work": str,
    "status": str,
    "note": str,
    "sweep": dict,  # empty, or the fields below
    "quality": dict,
    "figures": dict,
    "input_sets": int,
    "rounds": int,
    "contenders": list,
    "skipped": dict,
}
SWEEP_FIELDS = {"domain": str, "axis": str, "value": int}
NUMBER = (float, type(None))
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
    "times_single": NUMBER,  # to the base on one thread; None where that does not run
    "times_single_q1": NUMBER,
    "times_single_q3": NUMBER,
    "peak_bytes": (int, type(None)),  # beyond the inputs; None where it was not measured
    "stages_s": dict,
}
FIT_FIELDS = {
    "domain": str,
    "axis": str,
    "contender": str,
    "exponent": float,
    "exponent_upper": float,
    "points": list,
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
            "device": on_device.describe() if options.device == "cuda" and on_device.available() else None,
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
            "device": options.device,
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        },
        "records": records,
        "fits": fits(records),
    }


def validate(run: dict[str, Any]) -> None:
    """Raise ValueError when a run does not follow the schema."""

    def check(item: dict[str, Any], fields: dict[str, Any], where: str) -> None:
        if set(item) != set(fields):
            raise ValueError(f"{where}: fields {sorted(set(item) ^ set(fields))} are missing or unknown")
        for name, kind in fields.items():
            if not isinstance(item[name], kind):
                kinds = kind if isinstance(kind, tuple) else (kind,)
                expected = " or ".join(each.__name__ for each in kinds)
                raise ValueError(f"{where}.{name}: expected {expected}, got {type(item[name]).__name__}")

    check(run, RUN_FIELDS, "run")
    if run["schema"] != SCHEMA:
        raise ValueError(f"run.schema: expected {SCHEMA}, got {run['schema']}")
    for record in run["records"]:
        where = f"{record.get('bench')}/{record.get('case')}"
        check(record, RECORD_FIELDS, where)
        if record["status"] == "ok" and not record["contenders"]:
            raise ValueError(f"{where}: status ok without times")
        if record["sweep"]:
            check(record["sweep"], SWEEP_FIELDS, f"{where}.sweep")
        for timing in record["contenders"]:
            check(timing, TIMING_FIELDS, f"{where}/{timing.get('name')}")
    for fit in run["fits"]:
        check(fit, FIT_FIELDS, f"fits/{fit.get('domain')}/{fit.get('axis')}/{fit.get('contender')}")


def write(run: dict[str, Any], folder: Path) -> Path:
    """Validate a run, write it as ``<version>--<cpu>--<threads>t[--<device>][--quick][--<bench>].json``."""
    validate(run)
    cpu = re.sub(r"[^a-z0-9]+", "-", run["machine"]["cpu"].lower()).strip("-")
    parts = [run["versions"]["comix"] or "unversioned", cpu, f"{run['settings']['threads']}t"]
    device = run["machine"].get("device")  # older runs have none
    parts += [re.sub(r"[^a-z0-9]+", "-", device["name"].lower()).strip("-")] if device else []
    name = "--".join(parts + ["quick"] * run["settings"]["quick"] + run["settings"]["only"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(run, indent=1, sort_keys=False) + "\n")
    return path
