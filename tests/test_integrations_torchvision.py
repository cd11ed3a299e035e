"""comix.integrations.torchvision inside the real library: beside MixUp and CutMix, and with their words."""

from __future__ import annotations

import doctest
import re
from typing import Any

import comix
import pytest
import torch
import torchvision_ops
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, default_collate

torchvision = pytest.importorskip("torchvision")

import PIL.Image  # noqa: E402
from comix.integrations import torchvision as adapter  # noqa: E402
from comix.integrations.torchvision import CoMixup, PuzzleMix  # noqa: E402
from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

assert torchvision_ops
CLASSES = 5
METHODS: dict[Any, Any] = {PuzzleMix: comix.PuzzleMix, CoMixup: comix.CoMixup}
VERSION = tuple(int(part) for part in torchvision.__version__.split(".")[:2])
needs_soft_labels = pytest.mark.skipif(
    VERSION < (0, 19), reason="torchvision before 0.19 takes class indices"
)
both = pytest.mark.parametrize("kind", list(METHODS))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(kind: Any = PuzzleMix, **options: Any) -> Any:
    return kind(**{"num_classes": CLASSES, "generator": seeded(), **options})


def batch(count: int = 6) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 3, 16, 20, generator=seeded(1)), torch.arange(count) % CLASSES


def expected(kind: Any, images: Tensor, labels: Tensor, **options: Any) -> comix.MixResult:
    result: comix.MixResult = METHODS[kind](num_classes=CLASSES, generator=seeded())(
        images, labels, **options
    )
    return result


def network() -> nn.Module:
    torch.manual_seed(3)
    head = nn.Linear(4 * 14 * 18, CLASSES)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), head)


# ---- what comes out --------------------------------------------------------------------------------------


@both
def test_batches_are_those_of_comix(kind: Any) -> None:
    images, labels = batch()
    model, maps = network(), torch.rand(6, 16, 20, generator=seeded(2))
    model(images)
    for options, same in (
        ({}, {}),
        ({"saliency": "spectral"}, {}),
        ({"model": model}, {"model": model}),
        ({"saliency_getter": lambda sample: maps}, {"saliency": maps}),
    ):
        mixed, soft = build(kind, **options)(images, labels)
        result = expected(kind, images, labels, **same)
        assert torch.equal(mixed, result.images)
        assert torch.equal(soft, result.targets)
        assert type(mixed) is type(soft) is Tensor


@both
@needs_soft_labels
def test_soft_labels(kind: Any) -> None:
    images, _ = batch()
    soft_in = torch.rand(6, CLASSES, generator=seeded(4)).softmax(1)
    for num_classes in (CLASSES, None):
        _, soft = build(kind, num_classes=num_classes)(images, soft_in)
        assert torch.equal(soft, expected(kind, images, soft_in).targets)
    with pytest.raises(ValueError, match="num_classes must be passed if the labels are index-based"):
        build(kind, num_classes=None)(IMAGES, LABELS)


@both
@pytest.mark.parametrize("model", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.uint8], ids=str)
def test_dtype_and_layout_stay_and_inputs_are_read_only(
    kind: Any, dtype: torch.dtype, channels_last: bool, model: bool
) -> None:
    images, labels = batch()
    images = (images * 255).to(dtype)
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
    before = images.clone(), labels.clone()
    head = nn.Sequential(nn.Flatten(), nn.Linear(960, CLASSES))
    mix = build(kind, model=head.to(dtype if dtype.is_floating_point else None) if model else None)
    if model and dtype == torch.uint8:
        with pytest.raises(TypeError, match=r"images: expected dtype float16, .* got uint8"):
            mix(images, labels)
        return
    mixed, soft = mix(images, labels)
    assert mixed.dtype == dtype
    assert soft.dtype == torch.float32
    kept = torch.channels_last if channels_last else torch.contiguous_format
    assert mixed.is_contiguous(memory_format=kept)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


@both
@pytest.mark.parametrize("count", [1, 2, 3, 21])
def test_any_batch_size(kind: Any, count: int) -> None:
    images, labels = batch(count)
    mixed, soft = build(kind)(images, labels)
    assert mixed.shape == images.shape
    torch.testing.assert_close(soft.sum(1), torch.ones(count))


# ---- samples of any structure ----------------------------------------------------------------------------


@both
@pytest.mark.parametrize("labels_first", [False, True])
def test_wrapped_images_and_nested_samples(kind: Any, labels_first: bool) -> None:
    images, labels = batch()
    image = tv_tensors.Image(images)
    path, boxes = ["a", "b"], torch.rand(6, 4)
    parts = {"image": image, "extra": {"boxes": boxes, "path": path}, "Labels": labels}
    sample = dict(reversed(parts.items())) if labels_first else parts
    out = build(kind)(sample)
    result = expected(kind, images, labels)
    assert list(out) == list(sample)
    assert type(out["image"]) is tv_tensors.Image
    assert torch.equal(out["image"].as_subclass(Tensor), result.images)
    assert torch.equal(out["Labels"], result.targets)
    assert out["extra"]["boxes"] is boxes
    assert out["extra"]["path"] == path
    assert sample["image"] is image
    assert sample["Labels"] is labels
    in_tuple = build(kind)([image, {"label_of_it": labels}, 3])
    assert isinstance(in_tuple, list)
    assert torch.equal(in_tuple[1]["label_of_it"], result.targets)
    assert in_tuple[2] == 3


def test_labels_and_saliency_by_getters() -> None:
    images, labels = batch()
    maps = torch.rand(6, 16, 20, generator=seeded(2))
    sample = {"x": tv_tensors.Image(images), "y": labels, "maps": maps}
    mix = build(labels_getter=lambda s: s["y"], saliency_getter=lambda s: s["maps"])
    out = mix(sample)
    result = expected(PuzzleMix, images, labels, saliency=maps)
    assert torch.equal(out["x"].as_subclass(Tensor), result.images)
    assert torch.equal(out["y"], result.targets)
    assert out["maps"] is maps
    pair = build(saliency_getter=lambda s: s[2])(images, labels, maps)
    assert torch.equal(pair[0], result.images)
    assert pair[2] is maps


def test_all_images_of_a_sample_are_mixed_by_one_plan() -> None:
    images, labels = batch()
    other = tv_tensors.Image(torch.rand(6, 1, 32, 32, generator=seeded(5)))
    first, soft, second = build()(tv_tensors.Image(images), labels, other)
    result = expected(PuzzleMix, images, labels)
    assert torch.equal(first.as_subclass(Tensor), result.images)
    assert torch.equal(second.as_subclass(Tensor), result.plan.mix(other.as_subclass(Tensor)))
    assert type(second) is tv_tensors.Image
    assert torch.equal(soft, result.targets)


# ---- where it is used ------------------------------------------------------------------------------------


def test_inside_containers_and_training_after_a_loader() -> None:
    images, labels = batch(11)
    model = nn.Sequential(nn.Flatten(), nn.Linear(960, CLASSES))
    mix = v2.RandomChoice(
        [
            PuzzleMix(num_classes=CLASSES, model=model, generator=seeded()),
            CoMixup(num_classes=CLASSES, model=model, generator=seeded()),
            v2.CutMix(num_classes=CLASSES),
        ]
    )
    assert not list(mix.parameters())  # the model is not part of the transform
    assert not mix.state_dict()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model[1].weight.detach().clone()
    for _ in range(4):
        for x, y in DataLoader(TensorDataset(images, labels), batch_size=4):
            mixed, soft = v2.Compose([v2.ToDtype(torch.float32), mix])(x, y)
            assert soft.shape == (len(x), CLASSES)
            loss = F.cross_entropy(model(mixed), soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            assert bool(torch.isfinite(loss))
    assert not torch.equal(model[1].weight, before)


MIX_IN_WORKER = PuzzleMix(num_classes=CLASSES, saliency="spectral")


def collate(samples: list[Any]) -> Any:
    return MIX_IN_WORKER(*default_collate(samples))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_in_collate_fn(workers: int) -> None:
    images, labels = batch(10)
    data = TensorDataset(images, labels)
    context = {"multiprocessing_context": "fork"} if workers else {}
    loader: Any = DataLoader(data, batch_size=4, collate_fn=collate, num_workers=workers, **context)
    seen = list(loader)
    assert [len(x) for x, _ in seen] == [4, 4, 2]
    for x, soft in seen:
        assert x.shape[1:] == images.shape[1:]
        torch.testing.assert_close(soft.sum(1), torch.ones(len(x)))


# ---- errors: torchvision's words -------------------------------------------------------------------------

IMAGES, LABELS = batch()
IMAGE = tv_tensors.Image(IMAGES)
BOXES = tv_tensors.BoundingBoxes(torch.rand(6, 4), format="XYXY", canvas_size=(16, 20))
REFUSED: list[tuple[Any, ...]] = [
    (PIL.Image.new("RGB", (4, 4)), LABELS),
    (IMAGE, {"labels": LABELS, "boxes": BOXES}),
    (IMAGE, {"labels": LABELS, "mask": tv_tensors.Mask(torch.zeros(6, 16, 20))}),
    (IMAGES,),
    (IMAGES, {"target": LABELS}),
    (IMAGES, "label"),
    (IMAGES, {"labels": [0, 1]}),
    (IMAGES, LABELS[:, None, None]),
    (IMAGES, torch.rand(6, CLASSES + 1)),
    (IMAGES[0], LABELS),
    (IMAGES, LABELS[:4]),
]


@both
@pytest.mark.parametrize("sample", REFUSED, ids=range(len(REFUSED)))
def test_refused_in_the_words_of_torchvision(kind: Any, sample: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError) as theirs:
        v2.MixUp(num_classes=CLASSES)(*sample)
    words = str(theirs.value).replace("MixUp()", f"{kind.__name__}()")
    with pytest.raises(ValueError, match=re.escape(words)):
        build(kind)(*sample)


@both
def test_what_else_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="labels_getter should either be 'default', a callable, or None"):
        build(kind, labels_getter="first")
    with pytest.raises(ValueError, match=f"{kind.__name__}.. does not support videos"):
        build(kind)(tv_tensors.Video(torch.rand(6, 2, 3, 16, 16)), LABELS)
    with pytest.raises(
        ValueError, match=f"{kind.__name__}.. found no images: expected them before the labels"
    ):
        build(kind)({"labels": LABELS, "images": IMAGES})
    for options, error, text in (
        ({"saliency": "model"}, ValueError, "saliency: expected one of 'spectral', got 'model'"),
        ({"model": 3}, TypeError, "model: expected a callable or None, got int"),
        ({"saliency_getter": "maps"}, TypeError, "saliency_getter: expected a callable or None, got str"),
        ({"model": network(), "saliency": "spectral"}, ValueError, "at most one of the three, got 2"),
        ({"num_classes": 0}, ValueError, "num_classes: expected an int of at least 1, got 0"),
        ({"alpha": -1}, ValueError, "alpha: expected a number (of at least|above) 0, got -1"),
        ({"size": 3}, TypeError, "unexpected keyword argument 'size'"),
    ):
        with pytest.raises(error, match=text):
            build(kind, **options)
    with pytest.raises(TypeError, match="saliency_getter: expected one that returns a tensor, got NoneType"):
        build(kind, saliency_getter=lambda sample: None)(IMAGES, LABELS)
    with pytest.raises(ValueError, match=r"saliency: expected shape \[6, 16, 20\] .* got \[6, 16, 16\]"):
        build(kind, saliency_getter=lambda sample: torch.rand(6, 16, 16))(IMAGES, LABELS)
    with pytest.raises(ValueError, match=r"targets: expected values in 0\.\.4, got 5"):
        build(kind)(IMAGES, LABELS + 1)


def test_examples_run_and_settings_are_shown() -> None:
    results = doctest.testmod(adapter)
    assert results.attempted > 0
    assert results.failed == 0
    shown = repr(v2.Compose([build(CoMixup, partition=7)]))
    assert "CoMixup(num_classes=5, mixer=CoMixup(grid=4, partition=7" in shown
    assert build(alpha=0.3).alpha == 0.3
