"""The records of a benchmark run: schema, fits, comparison. Made-up numbers, no clock decides anything."""

from __future__ import annotations

import copy
import json
import re

import pytest
from rich.console import Console

from benchmarks import harness, plot, records, scaling, tables

OPTIONS = harness.Options(quick=True)


def timing(name, seconds, base=None, *, single=None):
    ratio = seconds / (base or seconds)
    slow = None if single is None else seconds / single
    return {
        "name": name,
        "ours": name.startswith("comix"),
        "inner": 1,
        "median_s": seconds,
        "q1_s": 0.9 * seconds,
        "q3_s": 1.1 * seconds,
        "times_base": ratio,
        "times_base_q1": 0.9 * ratio,
        "times_base_q3": 1.1 * ratio,
        "times_single": slow,
        "times_single_q1": slow,
        "times_single_q3": slow,
        "peak_bytes": 4096,
        "stages_s": {},
    }


def point(size, ours, peer=None, *, domain="transport", axis="grid"):
    contenders = [timing("comix exact", ours, single=2 * ours)]
    contenders.append(timing("comix exact, 1 thread", 2 * ours, ours, single=2 * ours))
    if peer is not None:
        contenders.append(timing("lap", peer, ours, single=2 * ours))
    return {
        "bench": "sweeps",
        "case": f"{domain}, {axis} {size}",
        "work": "made up",
        "status": "ok",
        "note": "",
        "sweep": {"domain": domain, "axis": axis, "value": size},
        "quality": {"mean cost": 1.0},
        "figures": {harness.THREADS: 2.0},
        "input_sets": 1,
        "rounds": 3,
        "contenders": contenders,
        "skipped": {} if peer is not None else {"lap": "takes seconds at this size"},
    }


def made_up_run():
    points = [point(size, 1e-6 * size**2, 1e-5 * size**3 if size < 16 else None) for size in (2, 4, 8, 16)]
    case = point(0, 2e-3, 1e-3) | {"bench": "transport", "case": "exact", "sweep": {}, "note": "made up"}
    return records.run_record(OPTIONS, (), [case, *points])


def printed(show, *arguments):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 - closed below
    try:
        show(*arguments, console)
        return console.export_text()
    finally:
        console.file.close()


# --- fits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5])
def test_the_exponent_of_a_power_law_is_found(power):
    sizes = [1, 4, 16, 64]
    assert scaling.exponent(sizes, [3.0 * size**power for size in sizes]) == pytest.approx(power)


def test_one_size_has_no_exponent():
    assert scaling.exponent([4, 4], [1.0, 2.0]) is None


def test_a_fixed_cost_flattens_the_whole_fit_and_not_the_upper_half():
    run = [point(size, 1e-3 + 1e-4 * size, axis="batch") for size in (1, 4, 16, 64, 256, 1024)]
    fit = scaling.fits(run)[0]
    assert fit["exponent"] < 0.75
    assert fit["exponent_upper"] == pytest.approx(1.0, abs=0.1)


def test_every_contender_with_three_points_is_fitted():
    fits = {fit["contender"]: fit for fit in made_up_run()["fits"]}
    assert set(fits) == {"comix exact", "comix exact, 1 thread", "lap"}
    assert fits["comix exact"]["exponent"] == pytest.approx(2.0)
    assert fits["lap"]["exponent"] == pytest.approx(3.0)
    assert fits["lap"]["points"] == [
        [2, pytest.approx(8e-5)],
        [4, pytest.approx(64e-5)],
        [8, pytest.approx(512e-5)],
    ]


def test_failed_points_and_other_sweeps_are_no_part_of_a_fit():
    failed = point(8, 1.0) | {"status": "quality failed", "contenders": []}
    other = point(8, 1.0, domain="mixing")
    run = [failed, other, point(2, 1e-3), point(4, 2e-3)]
    assert [record["sweep"]["value"] for record in scaling.points(run, "transport", "grid")] == [2, 4]
    assert scaling.fits(run) == []


# --- schema ---------------------------------------------------------------------------------------------


def test_a_made_up_run_is_written_and_read_back(tmp_path):
    run = made_up_run()
    path = records.write(run, tmp_path)
    assert path.name.endswith("--quick.json")
    assert json.loads(path.read_text()) == run
    records.validate(json.loads(path.read_text()))


@pytest.mark.parametrize("value", [None, 0, 12345])
def test_peak_memory_is_a_whole_number_or_unknown(value):
    run = made_up_run()
    run["records"][0]["contenders"][0]["peak_bytes"] = value
    records.validate(run)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda run: run.update(schema="comix-benchmarks/1"), "expected comix-benchmarks/2"),
        (lambda run: run.pop("fits"), "run: fields ['fits'] are missing or unknown"),
        (lambda run: run["records"][0].pop("figures"), "transport/exact: fields ['figures']"),
        (lambda run: run["records"][0].update(contenders=[]), "status ok without times"),
        (lambda run: run["records"][1]["sweep"].pop("axis"), "sweep: fields ['axis']"),
        (
            lambda run: run["records"][0]["contenders"][0].update(peak_bytes="1 MB"),
            "peak_bytes: expected int or NoneType, got str",
        ),
        (lambda run: run["fits"][0].update(exponent=None), "exponent: expected float, got NoneType"),
    ],
)
def test_a_broken_run_is_refused(break_it, message):
    run = made_up_run()
    break_it(run)
    with pytest.raises(ValueError, match=re.escape(message)):
        records.validate(run)


# --- tables ---------------------------------------------------------------------------------------------


def test_a_case_shows_losses_memory_and_its_note():
    text = printed(tables.show, made_up_run()["records"][0])
    assert "comix 2.00x slower" in text
    assert "4.1 kB" in text
    assert "note: made up" in text


def test_a_point_is_one_line_that_names_who_was_left_out():
    text = printed(tables.show, made_up_run()["records"][-1])
    assert text.count("\n") == 1
    assert "lap left out (takes seconds at this size)" in text


def test_the_summary_names_exponents_and_thread_gains():
    run = made_up_run()
    text = printed(tables.show_summary, run)
    assert "2.00" in text
    assert "2.00x" in text
    run["records"][0]["figures"][harness.THREADS] = 0.5
    assert "0.50x (a loss)" in printed(tables.show_summary, run)


def test_two_runs_are_compared_by_their_ratios():
    old = made_up_run()
    new = copy.deepcopy(old)
    slower = new["records"][0]["contenders"][2]
    for field in ("times_base", "times_base_q1", "times_base_q3"):
        slower[field] /= 2
    old["schema"] = "comix-benchmarks/1"  # an older file can be compared with as well
    text = printed(tables.compare, old, new)
    assert "0.50 worse" in text
    assert text.count("1.00") == 3  # the points of the sweep have not changed


# --- plot -----------------------------------------------------------------------------------------------


def test_the_lines_of_a_panel_are_the_measured_ratios():
    run = made_up_run()
    run["settings"]["threads"] = 2
    two, one = plot.series(run, "transport", "grid")
    assert (two.peer, two.threads, two.sizes) == ("lap", 2, [2, 4, 8])
    assert two.speed == pytest.approx([20, 40, 80])
    assert one.threads == 1
    assert one.speed == pytest.approx([10, 20, 40])
    assert plot.series(run, "mixing", "image") == []


def test_the_axis_holds_every_bar_and_both_sides_of_a_draw():
    low, high = plot.limits([plot.Series("lap", 2, [2], [20.0], [15.0], [30.0])])
    assert low < 1
    assert high > 30


def test_a_picture_is_drawn_beside_the_results(tmp_path):
    pytest.importorskip("matplotlib")
    path = records.write(made_up_run(), tmp_path)
    assert plot.beside(path) == f"picture: {path.with_suffix('.png')}"
    assert path.with_suffix(".png").stat().st_size > 10_000


def test_a_run_without_sweeps_has_no_picture(tmp_path):
    pytest.importorskip("matplotlib")
    run = made_up_run()
    run["records"] = run["records"][:1]
    assert plot.beside(records.write(run, tmp_path)).startswith("no picture: this run has no sweeps")


def test_without_matplotlib_a_note_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(plot.importlib.util, "find_spec", lambda name: None)
    assert plot.beside(tmp_path / "run.json") == plot.NO_MATPLOTLIB
    assert plot.main([str(tmp_path / "run.json"), "--out", str(tmp_path / "picture.png")]) == 1
