"""How time grows with a size: log-log fits over the points of the sweeps. Plain Python, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """Fit a of ``value ~ size^a`` by least squares on the logarithms; None with fewer than two sizes."""
    if len(set(sizes)) < 2:
        return None
    x, y = [log(size) for size in sizes], [log(value) for value in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return covariance / sum((a - mean_x) ** 2 for a in x)


def points(records: Sequence[dict[str, Any]], domain: str, axis: str) -> list[dict[str, Any]]:
    """Return the timed records of one sweep, smallest size first."""
    chosen = [
        record
        for record in records
        if (record["sweep"].get("domain"), record["sweep"].get("axis")) == (domain, axis)
        and record["contenders"]
    ]
    return sorted(chosen, key=lambda record: record["sweep"]["value"])


def sweeps(records: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """List the sweeps of a run as (domain, axis), in the order of the records."""
    found = [(record["sweep"]["domain"], record["sweep"]["axis"]) for record in records if record["sweep"]]
    return list(dict.fromkeys(found))


def fits(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fit every contender of every sweep that has at least three points.

    Small sizes are ruled by what a call costs whatever its size, which flattens the whole fit; the exponent
    of the upper half (at least three points) tells where the cost is going.
    """
    found = []
    for domain, axis in sweeps(records):
        times: dict[str, list[tuple[float, float]]] = {}
        for record in points(records, domain, axis):
            for timing in record["contenders"]:
                times.setdefault(timing["name"], []).append((record["sweep"]["value"], timing["median_s"]))
        for name, pairs in times.items():
            if len(pairs) < 3:
                continue
            upper = pairs[-max(3, (len(pairs) + 1) // 2) :]
            found.append(
                {
                    "domain": domain,
                    "axis": axis,
                    "contender": name,
                    "exponent": exponent(*zip(*pairs, strict=True)),
                    "exponent_upper": exponent(*zip(*upper, strict=True)),
                    "points": [list(pair) for pair in pairs],
                }
            )
    return found
