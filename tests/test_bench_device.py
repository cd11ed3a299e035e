"""The device benchmark without a device: its cases with the CPU in the device's place, and its note."""

from __future__ import annotations

import json
import re
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


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("exact transport, 16x16 blocks", "cost of comix on cpu differs by"),
        ("PuzzleMix masks, 4x4 blocks", "the energy of a mask differs from the CPU's by"),
        ("PuzzleMix mixing, 8x8 blocks, transport", "mixed images differ from the CPU's"),
        ("Co-Mixup, 4x4 blocks, partitions of 16", "mean objective .* is above the CPU's"),
    ],
)
def test_a_worse_device_fails_before_its_times_count(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = bench_device.both

    def spoiled(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        mine, theirs = both(*arguments)
        return mine.flip(0), theirs

    monkeypatch.setattr(bench_device, "both", spoiled)
    record: Any = harness.run_case(CASES[name], QUICK)
    assert record["status"] == "quality failed"
    assert not record["contenders"]
    assert re.search(text, record["note"]), record["note"]


def test_peers_are_checked_like_comix() -> None:
    def reference(costs: torch.Tensor) -> torch.Tensor:
        from scipy.optimize import linear_sum_assignment

        return torch.stack([torch.from_numpy(linear_sum_assignment(c.numpy())[1]) for c in costs])

    pytest.importorskip("scipy")
    sets = [bench_device.problems.transport(3, 16, 5)]
    figures = bench_device.compare_plans(sets, {"scipy": reference}, "cpu")
    assert set(figures) == {f"mean cost {name}" for name in ("comix on cpu", "comix on the CPU", "scipy")}
    with pytest.raises(harness.QualityError, match="cost of a peer differs"):
        bench_device.compare_plans(
            sets, {"a peer": lambda c: torch.arange(c.shape[1]).expand(c.shape[:2])}, "cpu"
        )


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
