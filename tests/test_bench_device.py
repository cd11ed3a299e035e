"""The device benchmark without a device: its cases with the CPU in the device's place, and its note."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import comix
import pytest
import torch

pytest.importorskip("rich")

from benchmarks import __main__ as run
from benchmarks import bench_device, harness, on_device, records

QUICK = harness.Options(quick=True, threads=1, device="cuda")
CASES = {case.name: case for case in bench_device.device_cases(QUICK, "cpu")}
no_device = pytest.mark.skipif(on_device.available(), reason="has a CUDA device")
needs_device = pytest.mark.skipif(not on_device.available(), reason=on_device.NO_DEVICE)


def test_every_domain_has_its_case() -> None:
    assert list(CASES) == [
        "Co-Mixup, 4x4 blocks, partitions of 16",
        "Co-Mixup, 4x4 blocks, partitions of 20",
        "PuzzleMix masks, 4x4 blocks",
        "PuzzleMix masks, 8x8 blocks",
        "PuzzleMix masks, 16x16 blocks",
        "exact transport, 16x16 blocks",
        "PuzzleMix mixing, 8x8 blocks, transport",
    ]
    for case in CASES.values():
        names = [contender.name for contender in case.contenders]
        assert names == ["comix on cpu", "comix on the CPU, with transfers", "copy of the inputs"]
        assert all(len(contender.calls) > 1 for contender in case.contenders)


@pytest.mark.parametrize("name", CASES)
def test_cases_check_quality_and_follow_the_schema(name: str) -> None:
    case = CASES[name]
    case.warm_all = True
    record: Any = harness.run_case(case, QUICK)
    assert record["status"] == "ok", record["note"]
    assert record["quality"]
    assert len(record["contenders"]) == 3
    records.validate(records.run_record(QUICK, (), [record]))


WORSE = pytest.mark.parametrize(
    ("name", "text"),
    [
        ("exact transport, 16x16 blocks", "cost of {} differs by"),
        ("PuzzleMix masks, 4x4 blocks", "the energy of a mask of {} differs from the CPU's by"),
        ("PuzzleMix mixing, 8x8 blocks, transport", "mixed images of {} differ from the CPU's"),
        ("Co-Mixup, 4x4 blocks, partitions of 16", "mean objective .* of {} is above the CPU's"),
    ],
)


def check_fails(case: harness.Case, text: str) -> None:
    record: Any = harness.run_case(case, QUICK)
    assert record["status"] == "quality failed"
    assert not record["contenders"]
    assert re.search(text, record["note"]), record["note"]


@WORSE
def test_a_worse_device_fails_before_its_times_count(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = bench_device.Task.answers

    def spoiled(*arguments: Any) -> dict[str, torch.Tensor]:
        found = answers(*arguments)
        return {name: found[name] if "CPU" in name else found[name].flip(0) for name in found}

    monkeypatch.setattr(bench_device.Task, "answers", spoiled)
    check_fails(CASES[name], text.format("comix on cpu"))


def test_peers_are_checked_like_comix() -> None:
    def reference(costs: torch.Tensor) -> torch.Tensor:
        from scipy.optimize import linear_sum_assignment

        return torch.stack([torch.from_numpy(linear_sum_assignment(c.numpy())[1]) for c in costs])

    pytest.importorskip("scipy")
    sets = [bench_device.problems.transport(3, 16, 5)]
    task = bench_device.Task(bench_device.plan, [(sets[0].saliency, sets[0].mask)], "cpu")
    eps = bench_device.bench_transport.EPS
    matrix = torch.from_numpy(bench_device.oracle.transport_matrix(sets[0].saliency, sets[0].mask, eps))
    figures = bench_device.compare_plans(
        task, sets, {"scipy": [lambda: bench_device.assigned(reference, matrix)]}
    )
    assert set(figures) == {f"mean cost {name}" for name in ("comix on cpu", "comix on the CPU", "scipy")}
    with pytest.raises(harness.QualityError, match="cost of a peer differs"):
        bench_device.compare_plans(task, sets, {"a peer": [lambda: torch.arange(256).expand(3, 256)]})


# --- graphs, with stand-ins -----------------------------------------------------------------------------


class StandIn:
    """Stands in for torch.cuda: what runs while a graph is captured is kept, and replaying runs it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.now = self.Stream("main")
        self.works: list[Callable[[], object]] | None = None  # of the graph that is captured
        self.ends_with_error = False

    def run(self, work: Callable[[], object]) -> None:
        self.log.append(f"run on {self.now.name}")
        if self.works is None:
            work()
        else:
            self.works.append(work)

    def Stream(self, name: str = "side") -> Any:  # noqa: N802 - torch's name
        return SimpleNamespace(
            name=name, wait_stream=lambda other: self.log.append(f"{name} waits for {other.name}")
        )

    def current_stream(self) -> Any:
        return self.now

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        before, self.now = self.now, stream
        try:
            yield
        finally:
            self.now = before

    def CUDAGraph(self) -> Any:  # noqa: N802 - torch's name
        works: list[Callable[[], object]] = []
        return SimpleNamespace(works=works, replay=lambda: [work() for work in works])

    @contextmanager
    def graph(self, graph: Any) -> Iterator[None]:
        self.works = graph.works
        try:
            with self.stream(self.Stream("the capture's")):
                yield
        finally:
            self.works = None
            if self.ends_with_error:
                raise RuntimeError("the capture was broken")

    def synchronize(self) -> None:
        self.log.append("synchronize")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    device = StandIn()
    monkeypatch.setattr(on_device, "torch", SimpleNamespace(cuda=device))
    return device


def test_a_call_is_warmed_up_captured_and_replayed(stand_in: StandIn) -> None:
    source, target = torch.tensor([1.0, 2.0]), torch.empty(2)

    def call() -> torch.Tensor:
        stand_in.run(lambda: target.copy_(2 * source))
        return target

    replay = on_device.captured(call)
    warm = ["run on side"] * on_device.WARM_UPS
    assert stand_in.log == [
        "side waits for main",
        *warm,
        "main waits for side",
        "run on the capture's",
    ]
    assert target.tolist() == [0, 0]  # of a capture nothing remains that a check could take for a result
    source += 1
    assert replay() is target
    assert target.tolist() == [4, 6]


@pytest.mark.parametrize("ends_with_error", [True, False])
def test_a_refused_capture_says_why(stand_in: StandIn, ends_with_error: bool) -> None:
    calls = iter(range(100))

    def call() -> torch.Tensor:
        if next(calls) >= on_device.WARM_UPS:
            raise RuntimeError("draw before the capture\nand more")
        return torch.empty(1)

    stand_in.ends_with_error = ends_with_error
    with pytest.raises(on_device.CaptureRefusedError, match=r"^draw before the capture$"):
        on_device.captured(call)
    assert stand_in.log[-1] == "synchronize"


def test_errors_of_the_call_itself_are_not_taken_for_refusals(stand_in: StandIn) -> None:
    def call() -> torch.Tensor:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        on_device.captured(call)


def cases_of_cuda(monkeypatch: pytest.MonkeyPatch, captured: Callable[..., Any]) -> dict[str, harness.Case]:
    """The cases of a CUDA device, whose tensors are the CPU's."""
    monkeypatch.setattr(bench_device, "moved", lambda inputs, device: list(inputs))
    monkeypatch.setattr(bench_device, "ASSIGNMENT", {})  # peers would insist on a device
    monkeypatch.setattr(on_device, "captured", captured)
    return {case.name: case for case in bench_device.device_cases(QUICK, "cuda")}


def test_graphs_are_listed_after_the_call_on_a_cuda_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in cases_of_cuda(monkeypatch, lambda call: call).values():
        names = [contender.name for contender in case.contenders]
        assert names[:4] == [
            "comix on cuda",
            "comix on cuda, replayed graph",
            "comix on the CPU, with transfers",
            "copy of the inputs",
        ]
        assert "comix on cuda, replayed graph" not in case.skipped
        assert case.check()
        sets = len(case.contenders[0].calls)
        assert all(len(contender.calls) == sets > 1 for contender in case.contenders)


@WORSE
def test_what_graphs_leave_is_checked(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = cases_of_cuda(monkeypatch, lambda call: lambda: call().flip(0))
    check_fails(cases[name], text.format("comix on cuda, replayed graph"))


def test_a_refused_capture_leaves_the_row_out_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(call: Callable[[], torch.Tensor]) -> None:
        raise on_device.CaptureRefusedError("draw before the capture")

    for case in cases_of_cuda(monkeypatch, refused).values():
        names = [contender.name for contender in case.contenders]
        assert names[:2] == ["comix on cuda", "comix on the CPU, with transfers"]
        assert case.skipped["comix on cuda, replayed graph"] == "capture refused: draw before the capture"
        assert case.check()


def test_peers_that_are_absent_or_need_cuda_are_named() -> None:
    assert CASES["exact transport, 16x16 blocks"].skipped == dict.fromkeys(
        bench_device.ASSIGNMENT, "for CUDA tensors"
    )


@no_device
def test_without_a_device_a_note_says_so(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    try:
        assert run.main(["--device", "cuda", "--quick", "--out", str(tmp_path)]) == 0
    finally:
        torch.set_num_threads(threads)
    (path,) = tmp_path.iterdir()
    stored = json.loads(path.read_text())
    records.validate(stored)
    assert [(r["bench"], r["status"], r["note"]) for r in stored["records"]] == [
        ("device", "skipped", "needs a CUDA device and a build of comix with kernels")
    ]
    assert stored["machine"]["device"] is None
    assert stored["settings"]["device"] == "cuda"
    assert "needs a CUDA device" in capsys.readouterr().out


def test_only_and_device_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.parse([]).device == "cpu"
    assert run.parse(["--device", "cuda"]).device == "cuda"
    with pytest.raises(SystemExit):
        run.parse(["--device", "cuda", "--only", "mixing"])
    assert "--only chooses among the benchmarks of the CPU" in capsys.readouterr().err


def test_the_file_names_the_device(tmp_path: Any) -> None:
    made = records.run_record(QUICK, (), [])
    made["machine"]["device"] = {"name": "NVIDIA Some GPU 80GB"}
    assert "--nvidia-some-gpu-80gb--quick" in records.write(made, tmp_path).name


@needs_device
@pytest.mark.parametrize("device", [pytest.param("cuda", id="cuda")])
def test_the_device_is_described_and_its_clock_runs(device: str) -> None:
    described = on_device.describe()
    assert described["toolkit"] == comix.build_info()["cuda"]
    assert described["name"]
    seconds, result = on_device.clock(lambda: torch.ones(8, device=device), 3)
    assert seconds > 0
    assert isinstance(result, torch.Tensor)


@needs_device
@pytest.mark.parametrize("device", [pytest.param("cuda", id="cuda")])
def test_every_job_of_the_benchmark_can_be_captured(device: str) -> None:
    for case in bench_device.device_cases(QUICK, device):
        assert "comix on cuda, replayed graph" not in case.skipped, case.skipped
        assert case.check()
        replayed = case.contenders[1].calls[0]
        seconds, result = on_device.clock(replayed, 3)
        assert seconds > 0
        assert result is replayed()


@needs_device
@pytest.mark.parametrize("device", [pytest.param("cuda", id="cuda")])
def test_a_call_that_sends_numbers_is_refused_and_the_next_one_is_not(device: str) -> None:
    index = torch.tensor([1, 0])
    masks = torch.rand(2, 4, 4, device=device)

    def sends() -> torch.Tensor:
        return comix.MixPlan.from_mask(masks, index).weight

    with pytest.raises(on_device.CaptureRefusedError, match="draw before the capture"):
        on_device.captured(sends)
    doubled = on_device.captured(lambda: 2 * masks)
    assert torch.equal(doubled(), 2 * masks)
