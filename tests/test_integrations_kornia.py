"""comix as kornia augmentations, inside the real kornia: results, replay, the gate, dtypes, containers."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import comix
import pytest
import torch
from solvers import torch_threads
from torch import Tensor, nn
from torch.nn import functional as F

K = pytest.importorskip("kornia.augmentation")
from comix.integrations.kornia import RandomCoMixup, RandomPuzzleMix  # noqa: E402

CLASSES = 5
KINDS: dict[str, Any] = {"puzzlemix": RandomPuzzleMix, "comixup": RandomCoMixup}
both = pytest.mark.parametrize("kind", list(KINDS.values()), ids=list(KINDS))
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: str(d).removeprefix("torch."))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(
    count: int = 6, size: tuple[int, int] = (16, 24), dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """Images, class indices and saliency."""
    images = torch.rand(count, 3, *size, generator=seeded(1), dtype=torch.float64).to(dtype)
    return images, torch.arange(count) % CLASSES, torch.rand(count, *size, generator=seeded(2)) ** 3


# ---- what it computes ------------------------------------------------------------------------------------


def test_puzzlemix_is_comix_puzzlemix() -> None:
    images, labels, saliency = batch()
    options: dict[str, Any] = {"alpha": 0.7, "grid_choices": (4, 8), "beta": 0.9, "transport_size": 2}
    mix = RandomPuzzleMix(CLASSES, generator=seeded(3), **options)
    aug = comix.PuzzleMix(num_classes=CLASSES, generator=seeded(3), **options)
    for _ in range(3):
        mixed, targets = mix(images, labels, saliency=saliency)
        expected = aug(images, labels, saliency=saliency)
        assert torch.equal(mixed, expected.images)
        assert torch.equal(targets, expected.targets)


def test_comixup_is_comix_comixup() -> None:
    images, labels, saliency = batch(7)
    options: dict[str, Any] = {"partition": 3, "beta": 0.2, "restarts": 2, "grid": (4, 6)}
    mix = RandomCoMixup(CLASSES, generator=seeded(3), **options)
    mixed, targets = mix(images, labels, saliency=saliency)
    seed = int(torch.randint(2**63 - 1, (1,), generator=seeded(3)))
    assert int(mix._params["seed"]) == seed
    aug = comix.CoMixup(num_classes=CLASSES, generator=seeded(seed), **options)
    expected = aug(images, labels, saliency=saliency)
    assert torch.equal(mixed, expected.images)
    assert torch.equal(targets, expected.targets)


@both
def test_without_saliency_the_spectral_residual_is_used(kind: Any) -> None:
    images, labels, _ = batch()
    mix = kind(CLASSES)
    mixed, targets = mix(images, labels)
    again = mix(images, labels, saliency=comix.spectral_residual(images), params=mix._params)
    assert torch.equal(mixed, again[0])
    assert torch.equal(targets, again[1])


@both
@dtypes
def test_targets_are_soft_and_never_of_the_image_dtype(kind: Any, dtype: torch.dtype) -> None:
    images, _, saliency = batch(dtype=dtype)
    mix = kind(1000)
    try:
        mix.transform_tensor(images)
    except TypeError:
        pytest.skip("this kornia does not take such images")
    labels = torch.tensor([999, 0, 998, 256, 257, 513])  # bfloat16 rounds 999 to 1000, 257 to 256
    mixed, targets = mix(images, labels, saliency=saliency)
    assert mixed.dtype == dtype
    assert targets.dtype == torch.float32
    assert targets.shape == (6, 1000)
    torch.testing.assert_close(targets.sum(1), torch.ones(6))
    assert set(targets.sum(0).nonzero()[:, 0].tolist()) <= set(labels.tolist())


@both
def test_soft_labels_come_in_and_go_out(kind: Any) -> None:
    images, labels, saliency = batch()
    soft = 0.9 * F.one_hot(labels, CLASSES).double() + 0.02
    mix = kind()
    mixed, targets = mix(images, soft, saliency=saliency)
    hard = kind(CLASSES)(images, labels, saliency=saliency, params=mix._params)
    assert torch.equal(mixed, hard[0])
    torch.testing.assert_close(targets, 0.9 * hard[1] + 0.02)


@both
def test_inputs_keep_their_values_and_images_their_layout(kind: Any) -> None:
    images, labels, saliency = batch()
    images = images.contiguous(memory_format=torch.channels_last)
    before = [images.clone(), labels.clone(), saliency.clone()]
    mixed, _ = kind(CLASSES)(images, labels, saliency=saliency)
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(a, b) for a, b in zip(before, (images, labels, saliency), strict=True))


@both
def test_gradients_flow_to_the_images(kind: Any) -> None:
    images, labels, saliency = batch()
    images.requires_grad_()
    mixed, _ = kind(CLASSES)(images, labels, saliency=saliency)
    mixed.square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


# ---- what is random --------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("p", [1.0, 0.5])
def test_params_replay_a_call_exactly(kind: Any, p: float) -> None:
    images, labels, saliency = batch()
    mix = kind(CLASSES, p=p)
    for _ in range(6):
        mixed, targets = mix(images, labels, saliency=saliency)
        params = {name: value.clone() for name, value in mix._params.items()}
        mix(images, labels, saliency=saliency)  # other draws in between
        again = kind(CLASSES)(images, labels, saliency=saliency, params=params)
        assert torch.equal(mixed, again[0])
        assert torch.equal(targets, again[1])


@both
def test_a_call_with_params_draws_nothing(kind: Any) -> None:
    images, labels, saliency = batch()
    mix = kind(CLASSES, p=0.5)
    params = mix.forward_parameters(images.shape)
    state = torch.get_rng_state()
    mix(images, labels, saliency=saliency, params=params)
    assert torch.equal(torch.get_rng_state(), state)
    assert mix._params is params


@both
def test_seeds_of_torch_and_of_a_generator(kind: Any) -> None:
    images, labels, saliency = batch()
    torch.manual_seed(5)
    first = kind(CLASSES, p=0.7)(images, labels, saliency=saliency)
    torch.manual_seed(5)
    assert torch.equal(first[0], kind(CLASSES, p=0.7)(images, labels, saliency=saliency)[0])
    state = torch.get_rng_state()
    own = kind(CLASSES, p=0.7, generator=seeded(5))
    assert torch.equal(own(images, labels, saliency=saliency)[0], first[0])
    assert torch.equal(torch.get_rng_state(), state)  # the gate, too, comes from the generator


def test_partners_and_shares_can_be_chosen() -> None:
    images, labels, saliency = batch()
    mix = RandomPuzzleMix(CLASSES, transport=False)
    params = mix.forward_parameters(images.shape)
    assert sorted(params["index"].tolist()) == list(range(6))
    index = params["index"] = torch.arange(6).roll(2)
    own = torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], dtype=torch.float64)
    params["lam"], params["grid"] = own, torch.tensor([8])
    mixed, targets = mix(images, labels, saliency=saliency, params=params)
    expected = comix.PuzzleMix(num_classes=CLASSES, transport=False).plan(images, saliency, index, own, 8)
    assert torch.equal(mixed, expected.mix(images))
    # lam is the weight of the own image, unlike kornia's lambda: with more of it, more of the own label.
    shares = targets[torch.arange(6), labels]
    assert shares[-1] > shares[0] + 0.3


@both
def test_every_call_draws_anew(kind: Any) -> None:
    images, labels, saliency = batch()
    mix = kind(CLASSES)
    results = [mix(images, labels, saliency=saliency)[0] for _ in range(5)]
    assert any(not torch.equal(results[0], other) for other in results[1:])


# ---- the gate --------------------------------------------------------------------------------------------


@both
def test_p_zero_leaves_the_batch_alone(kind: Any) -> None:
    images, labels, saliency = batch(dtype=torch.float16)
    mixed, targets = kind(CLASSES, p=0.0)(images, labels, saliency=saliency)
    assert torch.equal(mixed, images)
    assert targets.dtype == torch.float32
    assert torch.equal(targets, F.one_hot(labels, CLASSES).float())


@both
def test_p_is_applied_once_and_to_whole_batches(kind: Any) -> None:
    mix = kind(CLASSES, p=0.5, generator=seeded(0))
    gates = torch.stack([mix.forward_parameters((4, 3, 16, 16))["batch_prob"] for _ in range(400)])
    assert bool((gates == gates[:, :1]).all())
    assert 0.4 < float(gates.mean()) < 0.6  # applied twice it would be 0.25


@both
def test_a_gate_by_hand_chooses_samples(kind: Any) -> None:
    images, labels, saliency = batch()
    mix = kind(CLASSES)
    whole = mix(images, labels, saliency=saliency)
    params = {**mix._params, "batch_prob": torch.tensor([1.0, 0, 0, 1, 1, 0])}
    mixed, targets = mix(images, labels, saliency=saliency, params=params)
    still = [1, 2, 5]
    assert torch.equal(mixed[still], images[still])
    assert torch.equal(targets[still], F.one_hot(labels[still], CLASSES).float())
    assert torch.equal(mixed[[0, 3, 4]], whole[0][[0, 3, 4]])
    assert torch.equal(targets[[0, 3, 4]], whole[1][[0, 3, 4]])


# ---- as a module of kornia -------------------------------------------------------------------------------


@both
def test_it_is_a_module_without_parameters(kind: Any) -> None:
    mix = kind(CLASSES, p=0.25, beta=0.5)
    assert isinstance(mix, (K.MixAugmentationBaseV2, nn.Module))
    assert mix.state_dict() == {}
    assert list(mix.parameters()) == []
    mix.load_state_dict({})
    assert mix.to(torch.bfloat16).eval().train() is mix
    assert "beta=0.5" in repr(mix)
    assert "p_batch=0.25" in repr(mix)
    assert "num_classes=5" in repr(mix)
    with pytest.raises(RuntimeError, match="not supported"):
        mix.inverse()


@both
def test_casting_the_module_changes_no_draw(kind: Any) -> None:
    images, labels, saliency = batch()
    mix = kind(CLASSES, generator=seeded(1))
    plain = kind(CLASSES, generator=seeded(1))(images, labels, saliency=saliency)
    cast = mix.to(torch.float16)(images, labels, saliency=saliency)
    assert torch.equal(plain[0], cast[0])
    evaluated = mix.eval()(images, labels, saliency=saliency, params=mix._params)  # as kornia: eval mixes too
    assert torch.equal(plain[0], evaluated[0])


@both
def test_copies_and_pickles_draw_alike(kind: Any) -> None:
    try:
        copy.deepcopy(seeded(1))
    except TypeError:
        pytest.skip("this torch cannot copy a torch.Generator")
    images, labels, saliency = batch()
    mix = kind(CLASSES, generator=seeded(1))
    copies = [copy.deepcopy(mix), pickle.loads(pickle.dumps(mix))]
    expected = mix(images, labels, saliency=saliency)[0]
    for other in copies:
        assert torch.equal(other(images, labels, saliency=saliency)[0], expected)


@both
def test_data_keys_in_any_order(kind: Any) -> None:
    images, labels, saliency = batch()
    mix = kind(CLASSES, data_keys=["class", "input"])
    targets, mixed = mix(labels, images, saliency=saliency)
    params = mix._params
    again = mix(images, labels, saliency=saliency, params=params, data_keys=["input", "class"])
    assert torch.equal(again[0], mixed)
    assert torch.equal(again[1], targets)
    alone = mix(images, saliency=saliency, params=params, data_keys=["input"])
    assert torch.equal(alone, mixed)


@both
def test_an_image_without_batch_dimension(kind: Any) -> None:
    images, labels, saliency = batch(1)
    mixed, targets = kind(CLASSES)(images[0], labels, saliency=saliency)
    assert mixed.shape == (1, 3, 16, 24)
    assert targets.shape == (1, CLASSES)
    kept, _ = kind(CLASSES, keepdim=True)(images[0], labels, saliency=saliency)
    assert kept.shape == (3, 16, 24)


@both
def test_what_containers_do(kind: Any) -> None:
    """They pass the image alone and no saliency; labels with a mix raise NotImplementedError in kornia."""
    images, labels, _ = batch()
    for container in (
        K.AugmentationSequential(K.RandomHorizontalFlip(), kind(data_keys=["input"]), data_keys=["input"]),
        K.ImageSequential(K.RandomHorizontalFlip(), kind(data_keys=["input"])),
    ):
        mixed = container(images)
        assert mixed.shape == images.shape
        assert not torch.equal(mixed, images)
        assert torch.equal(container(images, params=container._params), mixed)
    container = K.AugmentationSequential(kind(CLASSES), data_keys=["input", "class"])
    with pytest.raises(NotImplementedError, match=r"(?i)class"):
        container(images, labels)


@both
def test_after_a_container_in_a_training_loop(kind: Any) -> None:
    images, labels, _ = batch(12)
    images[torch.arange(12), labels % 3] += 1  # the class shows in a channel's brightness
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(616, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    aug = K.AugmentationSequential(K.RandomHorizontalFlip(), data_keys=["input"])
    mix = kind(CLASSES, p=0.8)
    losses = []
    with torch_threads(1):  # quicker for pictures as small as these
        for _ in range(15):
            flipped = aug(images)
            mixed, targets = mix(flipped, labels, saliency=comix.input_saliency(model, flipped, labels))
            optimizer.zero_grad()
            F.cross_entropy(model(mixed), targets).backward()
            optimizer.step()
            losses.append(float(F.cross_entropy(model(images), labels).detach()))
    assert losses[-1] < 0.8 * losses[0]


# ---- errors ----------------------------------------------------------------------------------------------

IMAGES, LABELS, SALIENCY = batch()
CALLS: dict[str, tuple[Any, type[Exception], str]] = {
    "labels missing": (
        lambda mix: mix(IMAGES),
        ValueError,
        "input: expected 2 tensors, one for each of data_keys (input, class), got 1",
    ),
    "too few labels": (
        lambda mix: mix(IMAGES, LABELS[:4]),
        ValueError,
        "class: expected 6 labels, one per image, got shape [4]",
    ),
    "labels not a tensor": (
        lambda mix: mix(IMAGES, [0, 1, 2, 3, 4, 0]),
        TypeError,
        "class: expected a torch.Tensor, got list",
    ),
    "class out of range": (
        lambda mix: mix(IMAGES, LABELS + 1),
        ValueError,
        "targets: expected values in 0..4, got 5",
    ),
    "images not a tensor": (
        lambda mix: mix(IMAGES.numpy(), LABELS),
        TypeError,
        "input: expected a torch.Tensor, got ndarray",
    ),
    "uint8": (lambda mix: mix(IMAGES.byte(), LABELS), TypeError, "Got torch.uint8"),
    "saliency of another size": (
        lambda mix: mix(IMAGES, LABELS, saliency=SALIENCY[:, 1:]),
        ValueError,
        "saliency: expected shape [6, 16, 24] (one map per image), got [6, 15, 24]",
    ),
    "params of something else": (
        lambda mix: mix(IMAGES, LABELS, params={"mixup_pairs": LABELS}),
        ValueError,
        "among the keys, as in Random",
    ),
    "params of another batch": (
        lambda mix: mix(IMAGES, LABELS, params=mix.forward_parameters((4, 3, 16, 24))),
        ValueError,
        "params['batch_prob']: expected 6 values, one per image, got 4",
    ),
    "boxes": (
        lambda mix: mix(IMAGES, LABELS, data_keys=["input", "bbox"]),
        NotImplementedError,
        'data_keys: expected "input" and "class", got "bbox"',
    ),
    "no image": (
        lambda mix: mix(LABELS, data_keys=["class"]),
        ValueError,
        'data_keys: expected "input" once, got 0 times',
    ),
}


@both
@pytest.mark.parametrize("name", list(CALLS))
def test_errors_of_a_call(kind: Any, name: str) -> None:
    call, error, text = CALLS[name]
    with pytest.raises(error, match=re.escape(text)):
        call(kind(CLASSES))


@both
@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"p": 1.5}, ValueError, "p: expected a probability in 0..1, got 1.5"),
        ({"p": -0.5}, ValueError, "p: expected a number of at least 0, got -0.5"),
        ({"num_classes": 0}, ValueError, "num_classes: expected an int of at least 1, got 0"),
        ({"data_keys": ["input", "mask"]}, NotImplementedError, 'got "mask"'),
        ({"beta": -1.0}, ValueError, "beta: expected a number of at least 0, got -1"),
        ({"lambda_val": (0, 1)}, TypeError, "lambda_val"),
        ({"generator": 3}, TypeError, "generator: expected a torch.Generator or None, got int"),
    ],
)
def test_errors_of_the_constructor(
    kind: Any, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=re.escape(text)):
        kind(**options)


@both
def test_class_indices_need_the_number_of_classes(kind: Any) -> None:
    for p in (0.0, 1.0):
        with pytest.raises(ValueError, match="num_classes: expected the number of classes"):
            kind(p=p)(IMAGES, LABELS)
