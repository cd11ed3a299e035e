"""Mix plans: which blocks of which inputs every block of every output is made from.

PuzzleMix (own image and partner, blocks moved by transport) and Co-Mixup (one input per block, or two at
half weight) both end in a plan, and one kernel mixes images for all of them.
"""

from __future__ import annotations

import torch

from comix import _checks as checks
from comix import _mix_kernel as kernels
from comix import _native as native
from comix._mix_op import check_fit, fits, is_compiling, mix_images
from comix._on_cuda import mixing as on_cuda
from comix._targets import check_index, checked_targets

_WEIGHT_TOLERANCE = 1e-4  # of a block's weights from a sum of 1: float32 noise passes, mistakes do not


def _version(tensor: torch.Tensor) -> int | None:
    """How often the tensor was written to; None where torch does not count (inference mode)."""
    return None if tensor.is_inference() else tensor._version


class MixPlan:
    """For every block of every output, two (input, block, weight) entries.

    Pixels belong to blocks as in nearest-neighbour upsampling: along an axis of n pixels, block i of g
    covers pixels ``ceil(i*n/g)`` to ``ceil((i+1)*n/g) - 1``. A moved block keeps the offsets inside the
    block; where the source block is one pixel smaller, its last row or column repeats.

    Args:
        source: int64 ``[B_out, gh, gw, 2]``, which input (index into the batch).
        block: int64 ``[B_out, gh, gw, 2]``, which block of that input, row-major; the own position when
            nothing moves.
        weight: float32 ``[B_out, gh, gw, 2]``, how much of it; >= 0, the last axis sums to 1.

    Raises:
        TypeError: not tensors, or of a wrong dtype.
        ValueError: wrong shapes, devices that differ, indices or weights out of range.

    Example:
        >>> import comix, torch
        >>> plan = comix.MixPlan.from_mask(torch.tensor([[[1.0, 0.5]]]), torch.tensor([0]))
        >>> plan.ratio(1)
        tensor([[1.]])
    """

    _needed: tuple[torch.Tensor, int | None, int] | None = None  # source, its version, inputs it needs
    _paired: tuple[torch.Tensor, int | None] | None = None  # source of from_mask: two inputs per output

    def __init__(self, source: torch.Tensor, block: torch.Tensor, weight: torch.Tensor) -> None:
        named = {"source": source, "block": block, "weight": weight}
        for name, tensor in named.items():
            checks.require_tensor(tensor, name)
            checks.check_dtype(tensor, name, (torch.float32,) if name == "weight" else (torch.int64,))
        if source.ndim != 4 or source.shape[-1] != 2 or 0 in source.shape:
            checks.fail("source", "shape [B_out, gh, gw, 2], none of them 0", checks.shape_of(source))
        for name in ("block", "weight"):
            if named[name].shape != source.shape:
                expected = f"the shape of source, {checks.shape_of(source)}"
                checks.fail(name, expected, checks.shape_of(named[name]))
        checks.check_same_device(dict(named))
        self.source, self.block, self.weight = source, block, weight
        largest = -1
        if source.device.type == "cpu":
            largest = kernels.largest_source((source, block, weight), _WEIGHT_TOLERANCE)
        if largest < 0:  # what one native pass did not clear is looked at again, to say what is wrong
            self._check_values()
        self._needed = (source, _version(source), largest + 1) if largest >= 0 else None

    @classmethod
    def _of_checked(cls, entries: tuple[torch.Tensor, torch.Tensor, torch.Tensor], largest: int) -> MixPlan:
        """A plan whose values the native code has judged while it built them."""
        plan = cls.__new__(cls)
        plan.source, plan.block, plan.weight = entries
        plan._needed = (plan.source, _version(plan.source), largest + 1)
        return plan

    def _check_values(self) -> None:
        source, block, weight = self.source, self.block, self.weight
        checks.check_range(source, "source", 0, 2**31 - 1)
        checks.check_range(block, "block", 0, source.shape[1] * source.shape[2] - 1)
        checks.check_finite(weight, "weight")
        checks.check_range(weight, "weight", 0, 1)
        if checks.values_checked(weight):
            worst = float((weight.detach().sum(-1) - 1).abs().max())
            if worst > _WEIGHT_TOLERANCE:
                checks.fail("weight", "two weights per block that sum to 1", f"a sum off by {worst:g}")

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_needed": None, "_paired": self._has_pairs()}

    def __setstate__(self, state: dict[str, object]) -> None:  # tensors count their versions anew
        self.__dict__.update(state)
        self._paired = (self.source, _version(self.source)) if state["_paired"] else None

    def __repr__(self) -> str:
        outputs, height, width, _ = self.source.shape
        return f"MixPlan({outputs} outputs, {height} x {width} blocks, {self.source.device})"

    @property
    def grid(self) -> tuple[int, int]:
        """Blocks per side, vertically and horizontally."""
        return self.source.shape[1], self.source.shape[2]

    @classmethod
    def from_mask(
        cls,
        mask: torch.Tensor,
        index: torch.Tensor,
        plan_own: torch.Tensor | None = None,
        plan_partner: torch.Tensor | None = None,
    ) -> MixPlan:
        """The plan of a PuzzleMix mask: each sample with its partner.

        Args:
            mask: ``[B, gh, gw]`` floats in 0..1, the weight of the own image.
            index: ``[B]`` integers, the partner of each sample.
            plan_own: ``[B, gh, gw]`` integers, the block of the own image that lands at each position
                (:func:`comix.transport_plan`). Default: nothing moves.
            plan_partner: the same for the partner.

        Returns:
            A plan with B outputs.

        Raises:
            TypeError: not tensors, or of a wrong dtype.
            ValueError: wrong shapes or values out of range.
        """
        checks.require_tensor(mask, "mask")
        checks.check_dtype(mask, "mask", checks.FLOAT_DTYPES)
        if mask.ndim != 3 or 0 in mask.shape:
            checks.fail("mask", "shape [B, gh, gw], none of them 0", checks.shape_of(mask))
        batch, height, width = mask.shape
        partner = check_index(index, batch, mask.device)
        built = kernels.entries_from_mask(mask, partner, plan_own, plan_partner)
        if built is not None:
            return cls._of_checked(*built)._of_pairs()
        own = torch.arange(batch, device=mask.device)
        source = torch.stack((own, partner), -1)[:, None, None, :].expand(batch, height, width, 2)
        home = torch.arange(height * width, device=mask.device).view(1, height, width).expand_as(mask)
        blocks = []
        for name, moved in (("plan_own", plan_own), ("plan_partner", plan_partner)):
            if moved is None:
                blocks.append(home)
                continue
            checks.require_tensor(moved, name)
            checks.check_dtype(moved, name, checks.INDEX_DTYPES)
            if moved.shape != mask.shape:
                checks.fail(name, f"the shape of mask, {checks.shape_of(mask)}", checks.shape_of(moved))
            checks.check_same_device({"mask": mask, name: moved})
            checks.check_range(moved, name, 0, height * width - 1)
            blocks.append(moved.to(torch.int64))
        checks.check_finite(mask, "mask")
        checks.check_range(mask, "mask", 0, 1)
        weight = mask.detach().to(torch.float32)
        plan = cls(source.contiguous(), torch.stack(blocks, -1), torch.stack((weight, 1 - weight), -1))
        return plan._of_pairs()

    @classmethod
    def from_labels(cls, labels: torch.Tensor, *, n_inputs: int | None = None) -> MixPlan:
        """The plan of Co-Mixup labels; nothing moves.

        Args:
            labels: integers ``[P, m, gh, gw, 2]`` from :func:`comix.comixup_labels`, counting inputs inside
                each partition, or ``[B_out, gh, gw, 2]`` counting inputs of the whole batch.
            n_inputs: inputs per partition, for ``[P, m, ...]``: partition p holds inputs ``p * n_inputs``
                onwards. Default: m, as many as outputs.

        Returns:
            A plan with ``P * m`` (or B_out) outputs, partitions laid end to end.

        Raises:
            TypeError: not a tensor, or of a wrong dtype.
            ValueError: wrong shapes or values out of range.
        """
        checks.require_tensor(labels, "labels")
        checks.check_dtype(labels, "labels", checks.INDEX_DTYPES)
        if labels.ndim not in (4, 5) or labels.shape[-1] != 2 or 0 in labels.shape:
            checks.fail("labels", "shape [P, m, gh, gw, 2] or [B_out, gh, gw, 2]", checks.shape_of(labels))
        labels = labels if labels.dtype == torch.int64 else labels.to(torch.int64)
        per_partition = 2**31
        if labels.ndim == 5:
            count = labels.shape[1] if n_inputs is None else n_inputs
            per_partition = checks.check_count(count, "n_inputs", 1)
        built = kernels.entries_from_labels(labels, per_partition)
        if built is not None:
            return cls._of_checked(*built)
        if labels.ndim == 5:
            checks.check_range(labels, "labels", 0, per_partition - 1)
            first = torch.arange(labels.shape[0], device=labels.device) * per_partition
            labels = (labels + first.view(-1, 1, 1, 1, 1)).flatten(0, 1)
        height, width = labels.shape[1:3]
        home = torch.arange(height * width, device=labels.device).view(1, height, width, 1)
        weight = torch.full(labels.shape, 0.5, dtype=torch.float32, device=labels.device)
        return cls(labels.contiguous(), home.expand_as(labels).contiguous(), weight)

    def ratio(self, n_inputs: int) -> torch.Tensor:
        """Share of every input in every output: block weights, averaged over the blocks.

        Args:
            n_inputs: number of images that the plan mixes.

        Returns:
            float32 ``[B_out, n_inputs]``, rows sum to 1.

        Raises:
            TypeError: n_inputs is not an int.
            ValueError: the plan uses an input beyond n_inputs.
        """
        checks.check_count(n_inputs, "n_inputs", 1)
        self._check_inputs(n_inputs, "n_inputs")
        if self.source.device.type == "cpu":
            return kernels.ratio_kernel(self.source, self.weight, n_inputs)
        return on_cuda.ratio(self.source, self.weight, n_inputs)

    def mix(self, images: torch.Tensor) -> torch.Tensor:
        """Mix images (or feature maps): gather blocks and blend them. Differentiable in the images.

        One node for torch.compile (torch 2.4 or later); on CUDA it can be captured in a graph.

        Args:
            images: ``[n, C, H, W]`` float16, bfloat16, float32, float64 or uint8, contiguous or
                channels_last, at least one pixel per block. Read only.

        Returns:
            ``[B_out, C, H, W]``, dtype and memory format of ``images``. Blocks taken whole are bitwise
            copies; blends are computed in float32 (float64 for float64) and rounded to nearest.

        Raises:
            TypeError: not a tensor, or of a wrong dtype.
            ValueError: wrong shape, another device, more blocks than pixels, an input that is not there.
        """
        compiling = is_compiling()
        if compiling or not fits(images, self.source) or images.shape[0] < self._needed_inputs():
            check_fit(images, self.source)
            if not compiling:  # compiled functions leave values to the native code
                self._check_inputs(images.shape[0], "images")
                native.require_device(images, "images")
        return mix_images(images, self.source, self.block, self.weight)

    def mix_targets(self, targets: torch.Tensor, *, num_classes: int | None = None) -> torch.Tensor:
        """Mix targets by the shares of the inputs.

        Args:
            targets: ``[n, K]`` soft labels, or ``[n]`` class indices with ``num_classes``.
            num_classes: K, for class indices.

        Returns:
            float32 ``[B_out, K]``.

        Raises:
            TypeError: not a tensor, or of a wrong dtype.
            ValueError: wrong shape, class out of range, num_classes missing.
        """
        return self._mix_checked(checked_targets(targets, num_classes), num_classes)

    def _mix_checked(self, targets: torch.Tensor, num_classes: int | None) -> torch.Tensor:
        """``mix_targets`` of what :func:`checked_targets` returned."""
        checks.check_same_device({"plan": self.source, "targets": targets})
        self._check_inputs(targets.shape[0], "targets")
        if targets.device.type != "cpu":
            return on_cuda.mix_targets(self.source, self.weight, targets)
        return kernels.targets_kernel(self.source, self.weight, targets, num_classes)

    def to(self, device: torch.device | str) -> MixPlan:
        """The same plan on another device.

        Raises:
            TypeError, ValueError: not a device that torch knows.
            comix.BackendUnavailable: a device that this machine or this build of torch does not have.
        """
        place = checks.check_device(device, "device")
        plan = MixPlan(self.source.to(place), self.block.to(place), self.weight.to(place))
        return plan._of_pairs() if self._has_pairs() else plan

    def _of_pairs(self) -> MixPlan:
        self._paired = (self.source, _version(self.source))
        return self

    def _has_pairs(self) -> bool:
        """Whether no output names more than two inputs, as far as that is known without a look at values."""
        paired, version = self._paired or (None, None)
        return paired is self.source and version is not None and version == _version(self.source)

    def _needed_inputs(self) -> int:
        """The largest source plus one, remembered until ``source`` is assigned or written to."""
        source, known = self.source, self._needed
        if known is None or known[0] is not source or known[1] is None or known[1] != _version(source):
            known = self._needed = (source, _version(source), int(source.max()) + 1)
        return known[2]

    def _check_inputs(self, count: int, name: str) -> None:
        if checks.values_checked(self.source):
            needed = self._needed_inputs()
            if needed > count:
                checks.fail(name, f"at least {needed} (the plan uses input {needed - 1})", f"{count}")
