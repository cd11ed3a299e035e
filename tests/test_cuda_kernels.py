"""The compiled CUDA module: without a device, what it refuses; with one, each kernel against the CPU.

What the kernels compute is tested on the host by tests/cpp/test_cuda_logic_*.cpp, on any machine.
"""

from __future__ import annotations

import re
from typing import Any

import comix
import pytest
import torch
from comix import _native as native
from comix._mix_kernel import mix_kernel as mix_on_cpu
from comix._mix_kernel import mix_transpose_kernel as mix_transpose_on_cpu

built = comix.build_info()["cuda"] is not None
needs_module = pytest.mark.skipif(not built, reason="this build has no CUDA module")
needs_device = pytest.mark.skipif(not (built and torch.cuda.is_available()), reason="no CUDA device")

MIX = {
    "source": 64,
    "block": 64,
    "weight": 64,
    "outputs": 1,
    "grid_height": 1,
    "grid_width": 1,
    "images": 64,
    "inputs": 1,
    "channels": 1,
    "height": 4,
    "width": 4,
    "mixed": 64,
    "dtype": "float32",
    "channels_last": False,
    "device": 0,
    "stream": 0,
}


@pytest.mark.skipif(built, reason="this build has a CUDA module")
def test_a_cpu_build_says_what_would_help() -> None:
    with pytest.raises(comix.BackendUnavailable, match=r"has CPU solvers only: .*COMIX_CUDA=ON"):
        native.cuda()


@needs_module
def test_the_module_names_its_toolkit() -> None:
    info = native.cuda().build_info()
    assert re.fullmatch(r"\d+\.\d+\.\d+", info["cuda"])
    assert info["architectures"]


@needs_module
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dtype": "int8"}, "dtype: expected a float or uint8 type, got 'int8'"),
        ({"images": 0}, "images: expected device memory, got null"),
        ({"images": 65}, "images: expected aligned device memory"),
        ({"weight": 66}, "weight: expected aligned device memory"),
        ({"grid_width": 5}, "plan: expected at most one block per pixel of the images"),
        ({"inputs": 0}, "sizes: expected at least one input"),
        ({"height": 0}, "sizes: expected at least one pixel"),
        ({"device": -1}, "device: expected an ordinal"),
    ],
)
def test_wrong_sizes_are_refused_before_the_launch(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        native.cuda().mix(**(MIX | change))


@needs_module
@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_without_a_device_the_runtime_error_is_passed_on() -> None:
    with pytest.raises(RuntimeError, match=r"^CUDA: asking for the current device: .*\(cudaError"):
        native.cuda().mix(**MIX)
    native.cuda().mix(**(MIX | {"outputs": 0}))  # nothing to do


# --- grid cuts ----------------------------------------------------------------------------------------

CUT = {
    "unary": 64,
    "pairwise": 64,
    "weight_v": 0,
    "uniform_v": 1.0,
    "weight_h": 0,
    "uniform_h": 1.0,
    "problems": 1,
    "height": 2,
    "width": 2,
    "n_labels": 3,
    "method": "swap",
    "init": 0,
    "max_sweeps": 0,
    "scratch": 64,
    "labels": 64,
    "optimal": 64,
    "device": 0,
    "stream": 0,
}


@needs_module
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"method": "best"}, "method: expected one of 'expansion', 'swap', 'exact', 'auto', got 'best'"),
        ({"max_sweeps": -1}, "max_sweeps: expected 0..2^31-1, got -1"),
        ({"n_labels": 0}, "labels: expected 1..2^31-1, got 0"),
        ({"n_labels": 5000}, "unary: expected at most 4096 labels on CUDA, got 5000"),
        ({"height": 65, "width": 64}, "unary: expected at most 4096 sites on CUDA, got 65 x 64"),
        ({"unary": 0}, "unary: expected device memory, got null"),
        ({"labels": 4}, "labels: expected aligned device memory"),
        ({"method": "exact", "scratch": 0}, "scratch: expected device memory, got null"),
        ({"device": -1}, "device: expected an ordinal"),
    ],
)
def test_wrong_cuts_are_refused_before_the_launch(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        native.cuda().grid_cut(**(CUT | change))


@needs_module
def test_scratch_memory_of_cuts_is_bounded() -> None:
    def scratch(problems: int, height: int, width: int, n_labels: int, method: str) -> int:
        return native.cuda().grid_cut_scratch(
            problems=problems, height=height, width=width, n_labels=n_labels, method=method
        )

    for method in ("expansion", "swap"):
        assert scratch(1 << 20, 16, 16, 3, method) == 0  # all in shared memory
        assert 0 < scratch(1, 64, 64, 3, method) < scratch(2, 64, 64, 3, method)
    assert scratch(1, 16, 16, 4096, "swap") > 0  # the labels' counts as well
    # The frontier programme: problems share what 64 MiB hold; one alone may take 256 MiB.
    assert scratch(1, 4, 4, 20, "exact") < scratch(1 << 30, 4, 4, 20, "exact") <= 1 << 26
    assert scratch(1 << 30, 4, 4, 20, "exact") == scratch(1 << 20, 4, 4, 20, "exact")
    assert scratch(0, 4, 4, 3, "exact") == 0
    # Wider: cuts over levels, by the same rule.
    for method in ("exact", "auto"):
        assert scratch(7, 16, 16, 8, method) == 7 * scratch(1, 16, 16, 8, method) > 0
        assert scratch(1 << 30, 16, 16, 8, method) == 1 << 26
        assert scratch(1, 16, 16, 400, method) == scratch(1 << 20, 16, 16, 400, method) == 1 << 28
    assert scratch(1, 64, 64, 4096, "exact") == scratch(1, 64, 64, 4096, "expansion")  # too many levels


@needs_module
@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
@pytest.mark.parametrize("method", ["expansion", "swap", "exact", "auto"])
def test_cuts_without_a_device_pass_the_runtime_error_on(method: str) -> None:
    with pytest.raises(RuntimeError, match=r"^CUDA: asking for the current device: .*\(cudaError"):
        native.cuda().grid_cut(**(CUT | {"method": method}))
    native.cuda().grid_cut(**(CUT | {"method": method, "problems": 0}))  # nothing to do


# --- with a device ------------------------------------------------------------------------------------


def random_plan(outputs: int, inputs: int, grid: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    shape = (outputs, *grid, 2)
    source = torch.randint(inputs, shape)
    block = torch.randint(grid[0] * grid[1], shape)
    share = torch.randint(5, shape[:-1]) / 4
    return source, block, torch.stack((share, 1 - share), -1)


def mix_on_cuda(images: torch.Tensor, entries: tuple[torch.Tensor, ...]) -> torch.Tensor:
    source, block, weight = entries
    channels_last = not images.is_contiguous()
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    shape = (source.shape[0], *images.shape[1:])
    mixed = torch.empty(shape, dtype=images.dtype, device=images.device, memory_format=memory_format)
    native.cuda().mix(
        source=native.address(source),
        block=native.address(block),
        weight=native.address(weight),
        outputs=source.shape[0],
        grid_height=source.shape[1],
        grid_width=source.shape[2],
        images=native.address(images),
        inputs=images.shape[0],
        channels=images.shape[1],
        height=images.shape[2],
        width=images.shape[3],
        mixed=native.address(mixed),
        dtype=str(images.dtype).removeprefix("torch."),
        channels_last=channels_last,
        **native.place(images),
    )
    return mixed


DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8)


@needs_device
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [(3, 32, 32), (2, 7, 9), (16, 33, 48)], ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
def test_mix_gives_the_bytes_of_the_cpu(
    dtype: torch.dtype, size: tuple[int, int, int], channels_last: bool
) -> None:
    torch.manual_seed(1)
    images = (torch.rand(6, *size) * 255).to(dtype)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    entries = random_plan(5, 6, (4, 3))
    mixed = mix_on_cuda(images.cuda(), tuple(entry.cuda() for entry in entries))
    assert torch.equal(mixed.cpu(), mix_on_cpu(images, entries))  # type: ignore[arg-type]


@needs_device
def test_mix_does_not_wait_and_can_be_captured() -> None:
    images, entries = torch.rand(6, 3, 32, 32).cuda(), tuple(e.cuda() for e in random_plan(5, 6, (4, 4)))
    expected = mix_on_cuda(images, entries)
    graph = torch.cuda.CUDAGraph()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.cuda.graph(graph):
            mixed = mix_on_cuda(images, entries)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    graph.replay()
    assert torch.equal(mixed, expected)


@needs_device
@pytest.mark.parametrize("dtype", DTYPES[:-1], ids=str)
@pytest.mark.parametrize("size", [(3, 32, 32), (2, 7, 9), (16, 33, 48)], ids=str)
def test_mix_transpose_gives_the_sums_of_the_cpu(dtype: torch.dtype, size: tuple[int, int, int]) -> None:
    torch.manual_seed(2)
    n_inputs, blocks = 6, 12
    gradient = torch.rand(5, *size).to(dtype)
    entries = random_plan(5, n_inputs, (4, 3))
    source, block, weight = (entry.cuda() for entry in entries)
    key = (source * blocks + block).masked_fill(weight == 0, n_inputs * blocks).flatten()
    ordered, order = key.sort(stable=True)
    starts = torch.searchsorted(ordered, torch.arange(n_inputs * blocks + 1, device="cuda"))
    mixed, images = gradient.cuda(), torch.empty(n_inputs, *size, dtype=dtype, device="cuda")
    native.cuda().mix_transpose(
        source=native.address(source),
        block=native.address(block),
        weight=native.address(weight),
        outputs=5,
        grid_height=4,
        grid_width=3,
        order=native.address(order),
        starts=native.address(starts),
        mixed=native.address(mixed),
        images=native.address(images),
        inputs=n_inputs,
        channels=size[0],
        height=size[1],
        width=size[2],
        dtype=str(dtype).removeprefix("torch."),
        channels_last=False,
        **native.place(images),
    )
    expected = mix_transpose_on_cpu(gradient, entries, n_inputs)  # type: ignore[arg-type]
    assert torch.equal(images.cpu(), expected)
