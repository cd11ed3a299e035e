"""comix.compat.puzzlemix: the official names, replayed bit for bit, and never worse outside replay."""

# ruff: noqa: NPY002 - the official code draws from NumPy's global state

from __future__ import annotations

import itertools
from typing import Any

import comix.compat
import numpy as np
import pytest
import torch
from comix.compat import puzzlemix, puzzlemix_imagenet
from golden_data import Case, cases, ids, load, normalised_images
from numpy.typing import NDArray
from torch.nn import functional as F

LABEL, FULL, TRANSPORT = (cases(file) for file in ("puzzlemix_label", "puzzlemix_full", "transport"))


def channel(values: list[float]) -> torch.Tensor:
    return torch.tensor(values).reshape(1, 3, 1, 1)


def graph_arguments(case: Case) -> dict[str, Any]:
    arrays = load("puzzlemix_full", case["id"])
    names = ["beta", "gamma", "eta", "neigh_size", "n_labels", "transport", "t_eps", "t_size", "adv_mask1"]
    return {
        "input1": torch.from_numpy(normalised_images(case, arrays)),
        "grad1": torch.from_numpy(arrays["saliency"]),
        "indices": arrays["indices"],
        "block_num": case["blocks"],
        "alpha": case["alpha"],
        "mean": channel(case["mean"]),
        "std": channel(case["std"]),
        "noise": torch.from_numpy(arrays["noise"]) if "noise" in arrays else None,
        **{name: case[name] for name in [*names, "adv_mask2"]},
    }


def cut_arguments(case: Case, k: int) -> tuple[Any, ...]:
    arrays = load("puzzlemix_label", case["id"])
    terms = (arrays[name][k] for name in ("unary1", "unary2", "pw_x", "pw_y", "alpha"))
    return (*terms, case["beta_arg"], case["eta"], case["n_labels"])


def energy(mask: NDArray[np.float64], arguments: tuple[Any, ...]) -> float:
    """The energy of a mask, written out."""
    unary1, unary2, pw_x, pw_y, alpha, beta, eta, n_labels = arguments
    top = n_labels - 1
    label = np.rint((1 - mask) * top).astype(int)
    choose = np.array([1, top, 1] if n_labels == 3 else [1, 3, 3, 1] if n_labels == 4 else [1, 1])
    k = np.arange(n_labels)
    prior = eta * -np.log(choose * alpha ** (top - k) * (1 - alpha) ** k + 1e-8) / mask.size
    total = (mask * unary1.astype(float) + (1 - mask) * unary2 + prior[label]).sum()
    total += ((pw_x.astype(float) + beta) * np.diff(mask, axis=0) ** 2).sum()
    return float(total + ((pw_y.astype(float) + beta) * np.diff(mask, axis=1) ** 2).sum())


# ---- golden cases ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", LABEL, ids=ids(LABEL))
def test_masks_of_one_pair(case: Case) -> None:
    arrays = load("puzzlemix_label", case["id"])
    for k in range(case["K"]):
        arguments = cut_arguments(case, k)
        stored = 1.0 - arrays["label"][k].astype(np.float64) / (case["n_labels"] - 1)
        with comix.compat.replay():
            if arrays["overflow"][k]:
                with pytest.raises(ValueError, match="int32 would overflow"):
                    puzzlemix.graphcut_multi(*arguments)
            else:
                np.testing.assert_array_equal(puzzlemix.graphcut_multi(*arguments), stored)
        mask = puzzlemix.graphcut_multi(*arguments)
        assert mask.dtype == np.float64
        assert energy(mask, arguments) <= energy(stored, arguments) + 1e-9
        assert energy(mask, arguments) == pytest.approx(arrays["E_opt"][k], abs=1e-9)


@pytest.mark.parametrize("case", FULL, ids=ids(FULL))
def test_images_to_mixed_images_in_replay(case: Case) -> None:
    arrays = load("puzzlemix_full", case["id"])
    arguments = graph_arguments(case)
    whole = arguments["input1"].clone()
    with comix.compat.replay():
        if arrays["overflow"].any():
            with pytest.raises(ValueError, match="int32 would overflow"):
                puzzlemix.mixup_graph(**arguments)
            return
        images, ratio = puzzlemix.mixup_graph(**arguments)
    np.testing.assert_allclose(images.numpy(), arrays["out"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(ratio.numpy(), arrays["ratio"], atol=1e-6, rtol=0)
    assert torch.equal(arguments["input1"], whole)


@pytest.mark.parametrize("case", FULL, ids=ids(FULL))
def test_equal_masks_give_the_stored_images(case: Case) -> None:
    """Outside replay: where the optimal mask is the stored one and nothing moves, so is the picture."""
    arrays = load("puzzlemix_full", case["id"])
    arguments = {**graph_arguments(case), "transport": False}
    images, ratio = puzzlemix.mixup_graph(**arguments)
    own, partner = arguments["input1"], arguments["input1"][arguments["indices"]]
    if arguments["noise"] is None and not case["transport"]:
        same = np.abs(ratio.numpy() - arrays["ratio"]) < 1e-6
        assert same.sum() >= len(same) - 1
        np.testing.assert_allclose(images.numpy()[same], arrays["out"][same], atol=1e-5, rtol=0)
    elif arguments["noise"] is None:  # every pixel lies between the two images
        low, high = torch.minimum(own, partner), torch.maximum(own, partner)
        assert ((images >= low - 1e-6) & (images <= high + 1e-6)).all()


@pytest.mark.parametrize("case", TRANSPORT, ids=ids(TRANSPORT))
def test_transport_plans(case: Case) -> None:
    arrays = load("transport", case["id"])
    mask, saliency = torch.from_numpy(arrays["mask"]), torch.from_numpy(arrays["saliency"])
    with comix.compat.replay():
        plan = puzzlemix.mask_transport(mask[:, None], saliency, eps=case["eps"])
    source = torch.where(plan.sum(1) > 0, plan.argmax(1), -1)
    np.testing.assert_array_equal(source.numpy(), arrays["src"])
    plan = puzzlemix.mask_transport(mask[:, None], saliency, eps=case["eps"])
    assert plan.dtype == torch.float32
    assert (plan.sum(1) == 1).all()
    assert (plan.sum(2) == 1).all()
    cost = case["eps"] * puzzlemix.cost_matrix(case["blocks"]).double() - saliency.double().flatten(1)[
        :, :, None
    ] * (mask.flatten(1)[:, None] > 0)
    got = (plan * cost).sum((1, 2)).numpy()
    np.testing.assert_allclose(got, arrays["cost_full_opt"], atol=1e-6)
    assert (got <= arrays["cost_full_ref"] + 1e-6).all()


@pytest.mark.parametrize("eps", [1e-8, 0.3])
def test_masks_of_small_pairs_by_enumeration(eps: float) -> None:
    rng = np.random.default_rng(2)
    t = np.array(list(itertools.product([0, 0.5, 1], repeat=4))).reshape(-1, 2, 2)  # the partner's share
    for alpha in (0.0, 0.2, 0.5, 1.0):
        first, second, down, right = (rng.random(shape) for shape in ((2, 2), (2, 2), (1, 2), (2, 1)))
        prior = -np.log(np.array([alpha**2, 2 * alpha * (1 - alpha), (1 - alpha) ** 2]) + eps)
        energies = ((1 - t) * first + t * second + 0.8 * prior[(2 * t).astype(int)] / 4).sum((1, 2))
        energies += ((down + 0.1) * np.diff(t, axis=1) ** 2).sum((1, 2))
        energies += ((right + 0.1) * np.diff(t, axis=2) ** 2).sum((1, 2))
        found = puzzlemix.graphcut_multi(first, second, down, right, alpha, 0.1, 0.8, 3, eps)
        np.testing.assert_array_equal(found, 1 - t[energies.argmin()])


# ---- the parts by themselves -----------------------------------------------------------------------------


def test_one_hot_and_distances() -> None:
    hot = puzzlemix.to_one_hot(torch.tensor([2, 0]), 3)
    assert torch.equal(hot, torch.tensor([[0.0, 0, 1], [1, 0, 0]]))
    cost = puzzlemix.cost_matrix(3)
    assert cost[0, 8] == 2
    assert cost[0, 1] == 0.25
    assert cost.dtype == torch.float32
    with pytest.raises(ValueError, match=r"inp: expected values in 0\.\.2, got 3"):
        puzzlemix.to_one_hot(torch.tensor([3]), 3)
    with pytest.raises(TypeError, match="inp: expected dtype"):
        puzzlemix.to_one_hot(torch.tensor([0.5]), 3)


def test_border_differences() -> None:
    a, b = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    b[:, :, 2] = 5
    x, y = puzzlemix.neigh_penalty(a, b, 2)
    assert torch.equal(x, torch.full((1, 1, 2), 5.0))  # row 1 of a against row 2 of b
    assert torch.equal(y, torch.tensor([[[1.0], [3.0]]]))  # column 1 against column 2, two rows averaged
    with pytest.raises(ValueError, match=r"input1: expected shape \[N, C, H\*3, W\*3\]"):
        puzzlemix.neigh_penalty(a, b, 3)


def test_patches_move() -> None:
    image = torch.arange(2 * 5 * 4 * 4.0).reshape(2, 5, 4, 4).requires_grad_()
    plan = torch.zeros(2, 4, 4)
    plan[:, 3, 0] = plan[:, 1, 1] = 1  # the last patch lands first; positions 2 and 3 stay empty
    moved = puzzlemix.transport_image(image, plan, 2, 2, 2)
    assert torch.equal(moved[:, :, :2, :2], image[:, :, 2:, 2:])
    assert torch.equal(moved[:, :, :2, 2:], image[:, :, :2, 2:])
    assert (moved[:, :, 2:] == 0).all()
    moved.sum().backward()
    assert image.grad is not None
    assert float(image.grad.sum()) == 2 * 5 * 8
    assert torch.equal(puzzlemix_imagenet.transport_image(image, plan, 2, 2), moved)
    with pytest.raises(ValueError, match="batch_size: expected 2"):
        puzzlemix.transport_image(image, plan, 3, 2, 2)


def test_ratios_are_those_of_numpy() -> None:
    for given, drawn in (((0.005,), (0.005, 0.005)), ((2.0,), (2.0, 2.0)), ((0.3, 4.0), (0.31, 4.01))):
        np.random.seed(5)
        ratio = puzzlemix.get_lambda(*given)
        np.random.seed(5)
        assert ratio == np.random.beta(*drawn)
    np.random.seed(5)
    assert puzzlemix.get_lambda(0.0) == puzzlemix.get_lambda(-1.0, 3.0) == 1.0
    drawn_next = np.random.uniform()
    np.random.seed(5)
    assert drawn_next == np.random.uniform()  # nothing was drawn


def test_cutmix_leaves_its_input_alone() -> None:
    first, second = torch.zeros(3, 2, 8, 12), torch.ones(3, 2, 8, 12)
    np.random.seed(3)
    mixed, ratio = puzzlemix.mixup_box(first, second, alpha=0.6)
    assert float(first.sum()) == 0
    np.testing.assert_allclose(1 - mixed.mean((1, 2, 3)).numpy(), ratio.numpy(), atol=1e-6)
    np.random.seed(3)
    x, y = np.random.uniform(0, 8), np.random.uniform(0, 12)
    half = np.sqrt(0.4) / 2
    rows = mixed[0, 0].sum(1) > 0
    assert rows.nonzero()[0].item() == int(max(x - half * 8, 0))
    assert (mixed[0, 0].sum(0) > 0).nonzero()[0].item() == int(max(y - half * 12, 0))


# ---- what the official code cannot take ------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (2, 3, 30, 44), (3, 4, 33, 17)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_any_size_channels_and_dtype(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    images, saliency = torch.rand(shape).to(dtype), torch.rand(shape[0], *shape[2:])
    saliency[0] = 0  # an image without a gradient counts as uniform
    before = images.clone(), saliency.clone()
    options = {"block_num": 5, "n_labels": 6, "beta": 1.2, "gamma": 0.5, "transport": True, "t_size": 3}
    mixed, ratio = puzzlemix.mixup_graph(images, saliency, [1, 0, 2][: shape[0]], **options)  # type: ignore[arg-type]
    assert mixed.shape == images.shape
    assert mixed.dtype == dtype
    assert torch.isfinite(mixed).all()
    assert ((ratio >= 0) & (ratio <= 1)).all()
    assert torch.equal(images, before[0])
    assert torch.equal(saliency, before[1])


def test_masks_to_transport_have_one_channel() -> None:
    with pytest.raises(ValueError, match=r"mask: expected shape \[N, 1, H, W\], got \[2, 3, 4, 4\]"):
        puzzlemix.mask_transport(torch.rand(2, 3, 4, 4), torch.rand(2, 4, 4))


def test_noise_goes_to_the_sides_that_are_asked() -> None:
    torch.manual_seed(0)
    images, saliency = torch.rand(2, 3, 16, 16), torch.rand(2, 16, 16)
    noise = torch.full_like(images, 0.125)
    fixed = {"block_num": 2, "alpha": 0.5, "beta": 1.2, "n_labels": 2}
    plain, _ = puzzlemix.mixup_graph(images, saliency, [1, 0], **fixed)  # type: ignore[arg-type]
    both, _ = puzzlemix.mixup_graph(images, saliency, [1, 0], noise=noise, adv_mask1=1, adv_mask2=1, **fixed)  # type: ignore[arg-type]
    torch.testing.assert_close(both, (plain + noise).clamp(0, 1))
    own, ratio = puzzlemix.mixup_graph(images, saliency, [1, 0], noise=noise, adv_mask1=1, **fixed)  # type: ignore[arg-type]
    changed = (own != plain).float().mean((1, 2, 3))
    torch.testing.assert_close(changed, ratio)
    with pytest.raises(TypeError, match="noise: expected shape"):
        puzzlemix.mixup_graph(images, saliency, [1, 0], adv_mask1=1)


def test_gradients_reach_the_images() -> None:
    images = torch.rand(2, 3, 16, 16, requires_grad=True)
    puzzlemix.mixup_graph(images, torch.rand(2, 16, 16), [1, 0], transport=True)[0].sum().backward()
    assert images.grad is not None
    assert float(images.grad.sum()) == pytest.approx(images.numel(), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"grad1": None}, TypeError, "grad1: expected saliency"),
        ({"grad1": torch.rand(2, 8, 8)}, ValueError, r"grad1: expected shape \[2, 16, 16\]"),
        ({"indices": [0, 2]}, ValueError, r"indices: expected values in 0\.\.1, got 2"),
        ({"alpha": 1.5}, ValueError, r"alpha: expected one number in 0\.\.1, got 1.5"),
        ({"alpha": np.array([0.1, 0.2])}, ValueError, "alpha: expected one number"),
        ({"t_size": 0}, ValueError, "t_size: expected an int of at least 1, or -1, got 0"),
        ({"t_size": -2}, ValueError, "t_size: expected an int of at least -1, got -2"),
        ({"alpha": "a"}, TypeError, r"alpha: expected one number in 0\.\.1, got 'a'"),
        ({"mean": [0.5, 0.5]}, ValueError, "mean: expected 3 numbers"),
        ({"std": "a"}, TypeError, "std: expected numbers"),
        ({"block_num": 17}, ValueError, "block_num: expected no more blocks than pixels"),
        ({"n_labels": 1}, ValueError, "n_labels: expected an int of at least 2"),
        ({"input1": torch.zeros(2, 3, 16, 16, dtype=torch.uint8)}, TypeError, "input1: expected dtype"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], error: type[Exception], text: str) -> None:
    arguments = {"input1": torch.rand(2, 3, 16, 16), "grad1": torch.rand(2, 16, 16), "indices": [1, 0]}
    with pytest.raises(error, match=text):
        puzzlemix.mixup_graph(**{**arguments, **changes})  # type: ignore[arg-type]


def test_replay_refuses_what_the_official_code_cannot_take() -> None:
    images, saliency = torch.rand(2, 3, 28, 28), torch.rand(2, 28, 28)
    with comix.compat.replay():
        with pytest.raises(ValueError, match="square images that 16 blocks divide in replay"):
            puzzlemix.mixup_graph(images, saliency, [1, 0], block_num=16)
        with pytest.raises(ValueError, match="unary: expected finite values"):
            puzzlemix.mixup_graph(images, saliency * 0, [1, 0], block_num=14)
        with pytest.raises(ValueError, match="block_num: expected at least 2 in replay, got 1"):
            puzzlemix.mixup_graph(images, saliency, [1, 0], block_num=1)
        with pytest.raises(ValueError, match=r"neigh_size: expected a divisor of 7, .* in replay, got 3"):
            puzzlemix.mixup_graph(images, saliency, [1, 0], block_num=4, neigh_size=3)
        with pytest.raises(ValueError, match=r"t_size: expected a divisor of 28, .* in replay, got 3"):
            puzzlemix.mixup_graph(
                images, saliency, [1, 0], block_num=2, neigh_size=1, transport=True, t_size=3
            )
        with pytest.raises(TypeError, match="input1 in replay: expected dtype float32, float64, got bfl"):
            puzzlemix.mixup_graph(images.bfloat16(), saliency, [1, 0], block_num=4)
        with pytest.raises(TypeError, match="grad1 in replay: expected dtype float32, float64, got float16"):
            puzzlemix.mixup_graph(images, saliency.half(), [1, 0], block_num=4)
    puzzlemix.mixup_graph(images, saliency * 0, [1, 0], block_num=16)
    puzzlemix.mixup_graph(images, saliency, [1, 0], block_num=1)


# ---- the other repository's script -----------------------------------------------------------------------


@pytest.mark.parametrize(("side", "grid"), [(32, 4), (64, 2)])  # in the latter, blocks wider than 16 pixels
def test_imagenet_functions_are_the_same_with_fewer_arguments(side: int, grid: int) -> None:
    torch.manual_seed(1)
    spots = torch.rand(2, 1, 4, 4)
    spots[..., :2, :2] += 3  # both images are salient there, so blocks of one of them move
    images, saliency = torch.rand(2, 3, side, side), F.interpolate(spots, size=side)[:, 0]
    options = {"block_num": grid, "alpha": 0.4, "beta": 0.1, "gamma": 0.5, "n_labels": 3, "transport": True}
    still = puzzlemix.mixup_graph(images, saliency, [1, 0], **{**options, "transport": False})  # type: ignore[arg-type]
    before = images.clone()
    for dataset in (None, "imagenet"):
        ours = puzzlemix_imagenet.mixup_graph(
            images, saliency, [1, 0], t_eps=0.001, dataset=dataset, **options
        )  # type: ignore[arg-type]
        same = puzzlemix.mixup_graph(images, saliency, [1, 0], t_eps=0.001, t_size=-1, **options)  # type: ignore[arg-type]
        assert torch.equal(ours[0], same[0])
        assert torch.equal(ours[1], same[1])
        assert not torch.equal(ours[0], still[0])
        assert torch.equal(images, before)


@pytest.mark.parametrize("case", [c for c in FULL if c["t_size"] == -1 and not c["adv_mask2"]], ids=str)
def test_imagenet_script_in_replay(case: Case) -> None:
    arrays = load("puzzlemix_full", case["id"])
    if arrays["overflow"].any():
        return
    arguments = graph_arguments(case)
    for name in ("t_size", "noise", "adv_mask1", "adv_mask2"):
        del arguments[name]
    with comix.compat.replay():
        images, _ = puzzlemix_imagenet.mixup_graph(**arguments)
    np.testing.assert_allclose(images.numpy(), arrays["out"], atol=1e-5, rtol=0)
