"""The machinery of the benchmarks: rounds, quality first, peak memory, the clock around native code."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch

from benchmarks import bench_threads, call_overhead, harness, memory, puzzlemix_cuts
from benchmarks.harness import Case, Contender, Options

OPTIONS = Options(quick=True, threads=2)
needs_marks = pytest.mark.skipif(not memory.available(), reason="this system has no resettable memory mark")


def nothing():
    return None


def case(contenders, **more):
    return Case("made up", "case", "nothing", contenders, lambda: {"figure": 1.0}, **more)


def test_without_quality_nothing_is_timed():
    def fail():
        harness.require(False, "the answer is wrong")

    calls = []
    record = harness.run_case(
        Case("made up", "case", "nothing", [Contender("comix", [lambda: calls.append(1)])], fail), OPTIONS
    )
    assert (record["status"], record["note"]) == ("quality failed", "the answer is wrong")
    assert record["contenders"] == calls == []


def test_a_record_carries_ratios_to_the_base_and_to_its_single_thread():
    contenders = [*harness.ours("exact", [nothing], OPTIONS), Contender("peer", [nothing])]
    record = harness.run_case(case(contenders, budget_s=0.01, note="read this"), OPTIONS)
    base, single, peer = record["contenders"]
    assert [timing["name"] for timing in record["contenders"]] == [
        "comix exact",
        "comix exact, 1 thread",
        "peer",
    ]
    assert base["times_base"] == single["times_single"] == 1.0
    assert peer["times_single"] > 0
    assert record["figures"] == {harness.THREADS: single["times_base"]}
    assert record["note"] == "read this"
    assert base["peak_bytes"] is None


def test_without_a_single_thread_there_is_no_thread_figure():
    record = harness.run_case(case([Contender("comix", [nothing])], budget_s=0.01), OPTIONS)
    assert record["figures"] == {}
    assert record["contenders"][0]["times_single"] is None


def test_threads_are_set_beside_callers_that_share_nothing():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen = 0
        for made in bench_threads.cases(OPTIONS):
            assert torch.get_num_threads() == 2
            record = harness.run_case(made, OPTIONS)
            assert record["status"] == "ok"
            assert set(record["figures"]) == {harness.THREADS, harness.CEILING}
            assert all(gain > 0 for gain in record["figures"].values())
            seen += 1
        assert seen == 2
        assert not list(bench_threads.cases(Options(quick=True, threads=1)))
    finally:
        torch.set_num_threads(before)


def test_a_caller_count_that_changes_results_is_found():
    answers = iter(range(100))
    with (
        ThreadPoolExecutor(2) as callers,
        pytest.raises(harness.QualityError, match="number of threads changed a result"),
    ):
        bench_threads.check(lambda: torch.tensor(next(answers)), callers, 2)


def test_figures_come_from_the_samples():
    def figures(timings):
        return {"rounds": float(len(timings[0].samples))}

    record = harness.run_case(case([Contender("comix", [nothing])], budget_s=0.01, figures=figures), OPTIONS)
    assert record["figures"]["rounds"] == record["rounds"]


@pytest.mark.parametrize(("seconds", "untimed"), [(0.01, 1), (0.1, 0)])
def test_short_calls_run_untimed_before_every_sample(seconds, untimed):
    made, timed = [], []

    def clock(call, inner):  # the time it takes is made up
        before = len(made)
        for _ in range(inner):
            call()
        timed.append(len(made) - before)
        return seconds, None

    contender = Contender("comix", [lambda: made.append(1)])
    record = harness.run_case(case([contender], budget_s=10 * seconds, clock=clock), OPTIONS)
    assert record["rounds"] > 2
    warm_up = 2  # calls that size the samples
    assert timed == [1] * (warm_up + record["rounds"])
    assert len(made) == warm_up + record["rounds"] * (1 + untimed)


def test_the_peak_is_asked_for_once_per_contender():
    asked = []
    contenders = [Contender("comix", [nothing]), Contender("peer", [nothing])]
    record = harness.run_case(case(contenders, budget_s=0.01), OPTIONS, lambda call: asked.append(call) or 7)
    assert asked == [nothing, nothing]
    assert [timing["peak_bytes"] for timing in record["contenders"]] == [7, 7]


def test_a_narrowed_call_leaves_the_number_of_threads_alone():
    before = torch.get_num_threads()
    assert harness.narrow(torch.get_num_threads) == 1
    assert torch.get_num_threads() == before


# --- peak memory ----------------------------------------------------------------------------------------


@needs_marks
def test_the_peak_holds_outputs_and_what_was_freed_on_the_way():
    meter = memory.Meter(1)
    output = meter(partial(np.ones, 4_000_000))
    assert output == pytest.approx(32e6, rel=0.05)
    passing = meter(partial(forgetful, 4_000_000))
    assert passing == pytest.approx(64e6, rel=0.05)


def forgetful(count):
    first = np.ones(count)
    return float((first + 1).sum())


@needs_marks
def test_native_scratch_memory_is_seen():
    energies = puzzlemix_cuts.draw(16, 0)
    peak = memory.Meter(1)(partial(puzzlemix_cuts.with_comix, energies))
    labels = energies.unary[..., 0].numel() * 8
    assert peak is not None
    assert peak > labels


@needs_marks
def test_what_cannot_be_measured_is_unknown():
    meter = memory.Meter(1)
    assert meter(lambda: None) is None  # does not travel to another process
    assert meter(partial(int, "no number")) is None  # fails there


def test_without_marks_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: False)
    assert memory.Meter(1)(nothing) is None


# --- the clock around native code -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["PuzzleMix", "CoMixup"])
def test_the_clock_sees_native_code_and_changes_nothing(name):
    from comix import _native

    core = _native.core
    call = call_overhead.Call(name, 0)
    assert call_overhead.compare([call]) == {}
    stages = call.stages()
    assert set(stages) == {"native", "beyond"}
    assert min(stages.values()) > 0
    assert _native.core is core


def test_the_published_integers_are_scaled_per_block():
    energies = puzzlemix_cuts.draw(4, 0)
    unary, table, *edges = energies.integers()
    assert unary.dtype == edges[0].dtype == edges[1].dtype == np.int32
    assert table.dtype == np.float32
    np.testing.assert_array_equal(unary, np.trunc(16000 * energies.unary.numpy()))
