"""comix.integrations.openmixup: puzzlemix under OpenMixup's signature, and in the library's place.

Against the real library where it imports, otherwise against tests/openmixup_stand_in.py.
"""

# ruff: noqa: NPY002 - OpenMixup draws from NumPy's global state

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import comix
import numpy as np
import openmixup_stand_in
import pytest
import torch
from comix.compat.puzzlemix import mixup_graph
from torch import distributed

REAL = openmixup_stand_in.library()

import comix.integrations.openmixup as co  # noqa: E402 - the library first
from comix.integrations._openmixup_puzzle import where_it_runs  # noqa: E402

CIFAR = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2023, 0.1994, 0.2010)}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
# What MixUpClassification passes to its puzzlemix.
OWN = {
    "transport": True,
    "t_batch_size": None,
    "block_num": 5,
    "beta": 1.2,
    "gamma": 0.5,
    "eta": 0.2,
    "neigh_size": 4,
    "n_labels": 3,
    "t_eps": 0.8,
    "t_size": 4,
}


def seed(value: int) -> None:
    np.random.seed(value)
    torch.manual_seed(value)


def batch(n: int = 6, channels: int = 3, height: int = 32, width: int = 32) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(n + channels + height)
    images = torch.randn(n, channels, height, width, generator=g)
    labels = torch.randint(0, 10, (n,), generator=g)
    return images, labels, torch.rand(n, height, width, generator=g) ** 4


def draws(n: int, alpha: float, low: int, high: int) -> tuple[float, torch.Tensor, int]:
    """OpenMixup's, in its order: lam, partners, blocks per side."""
    return np.random.beta(alpha, alpha), torch.randperm(n), int(2 ** np.random.randint(low, high))


# --- the function -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 64), (32, 64), (64, 32), (64, 63)])
@pytest.mark.parametrize("start", range(4))
def test_equals_compat_for_the_same_draws(start: int, height: int, width: int) -> None:
    images, labels, saliency = batch(height=height, width=width)
    seed(start)
    mixed, (own, partner, lam) = co.puzzlemix(images, labels, 1.0, features=saliency, **OWN)
    after = np.random.rand(), torch.rand(1)
    seed(start)
    share, index, blocks = draws(6, 1.0, 1, 5)
    assert (np.random.rand(), torch.rand(1)) == after
    terms = {"beta": 1.2, "gamma": 0.5, "eta": 0.2, "neigh_size": 4, "n_labels": 3}
    expected, ratio = mixup_graph(
        images,
        saliency,
        index,
        blocks,
        share,
        **terms,
        transport=True,
        t_eps=0.8,
        t_size=4,
        **(CIFAR if width < 64 else IMAGENET),
    )
    assert torch.equal(mixed, expected)
    assert torch.equal(own, labels)
    assert torch.equal(partner, labels[index])
    assert lam.dtype == torch.float32
    torch.testing.assert_close(lam, ratio)


@pytest.mark.parametrize(("block_num", "low", "high"), [(2, 1, 2), (4, 1, 4), ((2, 5), 2, 5), ([3, 4], 3, 4)])
def test_block_num_is_an_exponent_range(block_num: Any, low: int, high: int) -> None:
    images, labels, saliency = batch()
    for start in range(5):
        seed(start)
        arguments = {"features": saliency, "transport": False, "block_num": block_num, "return_mask": True}
        (_, mask), _ = co.puzzlemix(images, labels, **arguments)
        seed(start)
        blocks = draws(6, 0.5, low, high)[2]
        cells = mask.view(6, blocks, 32 // blocks, blocks, 32 // blocks)
        assert bool((cells == cells[:, :, :1, :, :1]).all())


def test_noise_joins_the_images_that_masks_name() -> None:
    images, labels, saliency = batch()
    noise = 0.1 * torch.rand(images.shape)
    for own, partner in ((1, 0), (0, 1), (1, 1)):
        seed(3)
        adversarial = {"noise": noise, "adv_mask1": own, "adv_mask2": partner}
        mixed, _ = co.puzzlemix(images, labels, 1.0, features=saliency, **OWN, **adversarial)
        seed(3)
        share, index, blocks = draws(6, 1.0, 1, 5)
        terms = {"beta": 1.2, "gamma": 0.5, "eta": 0.2, "neigh_size": min(4, 32 // blocks), "n_labels": 3}
        moves = {"transport": True, "t_eps": 0.8, "t_size": 4, **adversarial}
        expected, _ = mixup_graph(images, saliency, index, blocks, share, **terms, **moves, **CIFAR)
        torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize("given", [0.0, 1.0])
def test_a_given_lam_is_used_and_not_drawn(given: float) -> None:
    images, labels, saliency = batch()
    seed(0)
    _, (_, partner, lam) = co.puzzlemix(images, labels, lam=given, features=saliency, eta=50.0)
    after = np.random.rand()
    seed(0)
    index, _ = torch.randperm(6), np.random.randint(1, 2)
    assert np.random.rand() == after
    assert torch.equal(partner, labels[index])
    assert bool((lam == given).all())


@pytest.mark.parametrize("n_labels", [2, 3])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 24, 40), (5, 30, 27)])
def test_the_mask_is_the_share_of_the_partner(shape: tuple[int, int, int], n_labels: int) -> None:
    images, labels, saliency = batch(5, *shape)
    seed(1)
    arguments = {"features": saliency, "transport": False, "block_num": 4, "n_labels": n_labels}
    (mixed, mask), (_, _, lam) = co.puzzlemix(images, labels, return_mask=True, **arguments)
    seed(1)
    index = draws(5, 0.5, 1, 4)[1]
    assert mask.shape == (5, 1, *shape[1:])
    torch.testing.assert_close(mixed, (1 - mask) * images + mask * images[index])
    if shape[1] % 8 == shape[2] % 8 == 0:
        torch.testing.assert_close(lam, 1 - mask.mean((1, 2, 3)))


@pytest.mark.parametrize("shape", [(1, 24, 40), (4, 29, 33), (3, 224, 160)])
def test_any_channel_count_and_size(shape: tuple[int, int, int]) -> None:
    images, labels, saliency = batch(3, *shape)
    mixed, (_, _, lam) = co.puzzlemix(images, labels, features=saliency, **{**OWN, "block_num": (2, 3)})
    assert mixed.shape == images.shape
    assert bool(mixed.isfinite().all())
    assert 0 <= float(lam.min()) <= float(lam.max()) <= 1


def test_soft_labels_saliency_of_zeros_half_precision_and_one_sample() -> None:
    images, labels, saliency = batch()
    soft = torch.eye(10)[labels]
    mixed, (own, partner, lam) = co.puzzlemix(images.half(), soft, features=torch.zeros_like(saliency))
    assert mixed.dtype == torch.float16
    assert own is soft
    assert partner.shape == soft.shape
    assert bool(lam.isfinite().all())
    mixed, _ = co.puzzlemix(images[:1], labels[:1], features=saliency[:1])
    assert torch.equal(mixed, images[:1])


def test_inputs_are_read_only_and_results_have_no_graph() -> None:
    images, labels, saliency = batch()
    copies = images.clone(), labels.clone(), saliency.clone()
    mixed, (_, _, lam) = co.puzzlemix(images.requires_grad_(), labels, features=saliency, **OWN)
    assert not mixed.requires_grad
    assert not lam.requires_grad
    for tensor, copy in zip((images.detach(), labels, saliency), copies, strict=True):
        assert torch.equal(tensor, copy)


def test_ignored_arguments_change_nothing() -> None:
    images, labels, saliency = batch()
    seed(0)
    plain, _ = co.puzzlemix(images, labels, features=saliency)
    seed(0)
    ignored = {"t_batch_size": 2, "mp": 8, "feat_size": 224}
    assert torch.equal(plain, co.puzzlemix(images, labels, features=saliency, **ignored)[0])


@pytest.mark.parametrize(
    ("error", "text", "change"),
    [
        (TypeError, r"img: expected a torch.Tensor, got list", {"img": [1]}),
        (
            TypeError,
            r"img: expected dtype .*, got uint8",
            {"img": torch.zeros(6, 3, 32, 32).byte()},
        ),
        (ValueError, r"img: expected shape \[N, C, H, W\].*two views", {"img": torch.zeros(6, 2, 3, 32, 32)}),
        (TypeError, r"features: expected saliency of shape \[6, 32, 32\] .*None", {"features": None}),
        (ValueError, r"features: expected shape \[6, 32, 32\]", {"features": torch.zeros(6, 16, 16)}),
        (ValueError, r"gt_label: expected 6 labels.*\[5\]", {"gt_label": torch.zeros(5)}),
        (TypeError, r"gt_label: expected a torch.Tensor, got NoneType", {"gt_label": None}),
        (ValueError, r"alpha: expected a number above 0, got 0", {"alpha": 0.0}),
        (ValueError, r"lam: expected a number in 0\.\.1, got 1.5", {"lam": 1.5}),
        (ValueError, r"block_num: expected an int above 1, or a pair .*got 1", {"block_num": 1}),
        (ValueError, r"block_num: expected an int or a pair", {"block_num": (1, 2, 3)}),
        (TypeError, r"block_num: expected an int", {"block_num": 2.5}),
        (ValueError, r"block_num: .*32 x 32 images, got up to 64 per side", {"block_num": (6, 7)}),
        (ValueError, r"t_size: expected an int of at least 1, or -1, got 0", {"t_size": 0}),
        (ValueError, r"mean: expected 3 numbers, one per channel, got 2", {"mean": [0.1, 0.2]}),
        (TypeError, r"std: expected numbers", {"std": "x"}),
        (TypeError, r"noise: expected shape .* adv_mask1 or adv_mask2 is 1, got None", {"adv_mask1": 1}),
        (ValueError, r"noise: expected shape", {"adv_mask2": 1, "noise": torch.zeros(6, 3, 8, 8)}),
        (RuntimeError, r"dist_mode=True takes .*init_process_group first", {"dist_mode": True}),
    ],
)
def test_errors_name_the_argument(error: type[Exception], text: str, change: dict[str, Any]) -> None:
    images, labels, saliency = batch()
    arguments = {"img": images, "gt_label": labels, "features": saliency, **change}
    with pytest.raises(error, match=text):
        co.puzzlemix(**arguments)


def test_solvers_run_on_the_cpu_where_a_device_has_none() -> None:
    calls = []

    def solve(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
        calls.append(tensor.device.type)
        return (torch.ones(tensor.shape),)

    (result,) = where_it_runs(solve, torch.zeros(2))
    assert result.sum() == 2
    assert calls == ["cpu"]

    def nowhere(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
        raise comix.BackendUnavailable("nothing here")

    with pytest.raises(comix.BackendUnavailable, match="nothing here"):
        where_it_runs(nowhere, torch.zeros(2))


# --- partners from other processes --------------------------------------------------------------------


@pytest.fixture
def one_process() -> Iterator[None]:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_dist_mode_in_one_process() -> None:
    images, labels, saliency = batch()
    arguments = {"features": saliency, "transport": False, "return_mask": True, "dist_mode": True}
    (mixed, mask), (shuffle, unshuffle, lam) = co.puzzlemix(images, None, **arguments)
    assert torch.equal(shuffle[unshuffle], torch.arange(6))
    assert not bool((shuffle == torch.arange(6)).any()), "nobody is their own partner"
    torch.testing.assert_close(mixed, (1 - mask) * images + mask * images[shuffle])
    torch.testing.assert_close(lam, 1 - mask.mean((1, 2, 3)))
    _, (own, partner, _) = co.puzzlemix(images, labels, **arguments, idx_shuffle_mix=shuffle)
    assert torch.equal(own, labels)
    assert torch.equal(partner, labels[shuffle])
    for wrong in (torch.zeros(6, dtype=torch.int64), torch.arange(7)):
        with pytest.raises(ValueError, match=r"idx_shuffle_mix: expected a permutation of 0\.\.5"):
            co.puzzlemix(images, labels, **arguments, idx_shuffle_mix=wrong)


@pytest.mark.usefixtures("one_process")
def test_dist_mode_is_the_plain_mode_for_the_same_partners(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels, saliency = batch()
    order = torch.tensor([1, 2, 3, 4, 5, 0])
    noise = {"noise": 0.1 * torch.rand(images.shape), "adv_mask2": 1}
    for extra in ({}, noise):
        seed(5)
        extra = {"lam": 0.5, "beta": 0.1, **extra}  # for masks that know who the partner is
        arguments = {"features": saliency, "dist_mode": True, "idx_shuffle_mix": order, **OWN, **extra}
        spread, (*_, lam) = co.puzzlemix(images, labels, 1.0, **arguments)
        seed(5)
        with monkeypatch.context() as patched:
            patched.setattr(torch, "randperm", lambda n: order)
            alone, (*_, expected) = co.puzzlemix(images, labels, 1.0, features=saliency, **{**OWN, **extra})
        torch.testing.assert_close(spread, alone)
        assert torch.equal(lam, expected)
        assert lam.unique().numel() > 3


TWO_PROCESSES = """
import sys, numpy as np, torch
from torch import distributed
from comix.integrations.openmixup import puzzlemix
rank, path = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", store=distributed.FileStore(path, 2), rank=rank, world_size=2)
np.random.seed(rank), torch.manual_seed(rank)
images = (torch.arange(8.0) + 1).view(8, 1, 1, 1).expand(8, 2, 8, 8)[4 * rank : 4 * rank + 4]
labels, saliency = 10 * torch.arange(8)[4 * rank : 4 * rank + 4], torch.ones(4, 8, 8)
(mixed, mask), (own, partner, lam) = puzzlemix(
    images, labels, 1.0, 0.5, True, features=saliency, n_labels=3, return_mask=True, eta=5.0)
assert torch.equal(own, labels) and not bool((partner == own).any())
theirs = (partner // 10 + 1.0).view(4, 1, 1, 1)
assert torch.allclose(mixed, (1 - mask) * images + mask * theirs)
everyone = [torch.empty(4, dtype=torch.int64) for _ in range(2)]
distributed.all_gather(everyone, partner)
assert torch.equal(torch.cat(everyone).sort().values, 10 * torch.arange(8))
try:
    puzzlemix(images[: 3 + rank], labels[: 3 + rank], features=saliency[: 3 + rank], dist_mode=True)
except ValueError as error:
    assert "img: expected batches of one size in all processes" in str(error) and "[3, 4]" in str(error)
else:
    raise AssertionError
distributed.destroy_process_group()
"""


def test_dist_mode_in_two_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TWO_PROCESSES]
    started = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "store")], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for process in started:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said


# --- in the library's place ---------------------------------------------------------------------------


@pytest.fixture
def library() -> Iterator[Any]:
    from openmixup.models.classifiers import mixup_classification

    yield mixup_classification
    co.unpatch()


def holders() -> dict[str, Callable[..., Any]]:
    """Where OpenMixup's modules hold a function called puzzlemix."""
    modules = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "openmixup"}
    found = {name: vars(module).get("puzzlemix") for name, module in modules.items()}
    return {name: value for name, value in found.items() if inspect.isfunction(value)}


def test_patch_and_unpatch_everywhere_and_back(library: Any) -> None:
    before = holders()
    assert {"openmixup.models.augments", library.__name__} <= set(before)
    assert len(set(before.values())) == 1
    co.patch()
    assert set(holders()) == set(before)
    assert set(holders().values()) == {co.puzzlemix}
    # A module that was imported later, and one that took the name from a patched one.
    sys.modules["openmixup.late"] = late = type(sys)("openmixup.late")
    late.puzzlemix, late.other_name = before[library.__name__], library.puzzlemix
    co.patch()
    assert late.puzzlemix is late.other_name is co.puzzlemix
    co.unpatch()
    assert late.puzzlemix is late.other_name is before[library.__name__]
    del sys.modules["openmixup.late"]
    assert holders() == before
    co.unpatch()
    assert holders() == before


def test_patch_where_comixs_was_put_by_hand(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    co.patch()
    co.unpatch()  # what was once replaced is not remembered
    monkeypatch.setattr(library, "puzzlemix", co.puzzlemix)
    monkeypatch.setattr(library, "nothing_yet", None, raising=False)
    co.patch()
    assert library.puzzlemix is co.puzzlemix
    assert library.nothing_yet is None
    co.unpatch()
    assert library.puzzlemix is co.puzzlemix


def test_patch_reaches_the_package_and_no_other(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    original, another = library.puzzlemix, type(sys)("openmixup_extras")
    monkeypatch.setattr(sys.modules["openmixup"], "at_the_top", original, raising=False)
    monkeypatch.setitem(sys.modules, "openmixup_extras", another)
    another.puzzlemix = original
    co.patch()
    assert sys.modules["openmixup"].at_the_top is co.puzzlemix
    assert another.puzzlemix is original


def test_the_signature_is_the_librarys() -> None:
    names = list(inspect.signature(co.puzzlemix).parameters)
    if REAL:
        from openmixup.models.augments import puzzlemix

        theirs = inspect.signature(puzzlemix).parameters
        assert names == list(theirs)
        for name, parameter in inspect.signature(co.puzzlemix).parameters.items():
            assert parameter.default == theirs[name].default
    assert names[:6] == ["img", "gt_label", "alpha", "lam", "dist_mode", "features"]
    assert names[-3:] == ["t_batch_size", "mp", "kwargs"]


WITHOUT = """
import sys
if sys.argv[1] == "missing":
    sys.modules["openmixup"] = None  # importing it fails
else:
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "openmixup":
                raise AttributeError("module 'mmcv' has no attribute 'runner'")
    sys.meta_path.insert(0, Broken())
import comix.integrations.openmixup as co
import torch
assert "ComixClassification" not in co.__all__
co.puzzlemix(torch.rand(2, 3, 8, 8), torch.arange(2), features=torch.rand(2, 8, 8))
co.unpatch()
for wanted in (co.patch, lambda: co.ComixClassification):
    try:
        wanted()
    except ImportError as error:
        text = str(error)
        assert "needs OpenMixup, which does not import here" in text and "pip install openmixup" in text, text
        assert sys.argv[1] == "missing" or "(module 'mmcv' has no attribute 'runner')" in text, text
    else:
        raise AssertionError(wanted)
try:
    co.nonsense
except AttributeError as error:
    assert "has no attribute 'nonsense'" in str(error)
"""


@pytest.mark.parametrize("how", ["missing", "broken"])
def test_without_openmixup(how: str) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT, how], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_comix_alone_imports_nothing_of_it() -> None:
    code = "import sys, comix; assert not [m for m in sys.modules if 'openmixup' in m or 'mmcv' in m]"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_guide_runs() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "openmixup.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/openmixup.md", "exec"), {})
