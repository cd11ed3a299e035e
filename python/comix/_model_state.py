"""Running a model as a guest: without its wrapper, and so that the training step finds it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

Model = Callable[..., Any]


def without_parallel_wrapper(model: Model) -> Model:
    """The module that a wrapper of torch.nn.parallel runs; anything else as it is."""
    # torch.compile(ddp_model) hides the wrapper one level down; other compiled models are called as they are.
    inner = getattr(model, "_orig_mod", model)
    return inner.module if isinstance(inner, (DataParallel, DistributedDataParallel)) else model


@contextmanager
def eval_mode(network: Model, *, wanted: bool) -> Iterator[None]:
    """Inside, all modules are in eval mode; afterwards each in its own again."""
    # The flags are set directly, because an overridden train() may do more: freeze layers, merge weights.
    modules = list(network.modules()) if wanted and isinstance(network, nn.Module) else []
    flags = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, flag in zip(modules, flags, strict=True):
            module.training = flag


@contextmanager
def buffers_kept_apart(network: Model, *, wanted: bool) -> Iterator[None]:
    """Inside, buffers are tensors of their own in the same memory.

    DistributedDataParallel writes to all buffers whenever it is called. In older versions of torch, 2.2 among
    them, that counts as a change of what an earlier pass of the module keeps for its backward pass (BatchNorm
    keeps its running statistics), which then fails. Changes of the buffers do not count for these tensors.
    """
    modules = network.modules() if wanted and isinstance(network, nn.Module) else ()
    # TorchScript modules accept no other buffers.
    holders = [module._buffers for module in modules if not isinstance(module, torch.jit.ScriptModule)]
    own = [
        (buffers, name, buffer, buffer.data)
        for buffers in holders
        for name, buffer in buffers.items()
        if type(buffer) is Tensor and not buffer.requires_grad
    ]
    try:
        for buffers, name, _, same_memory in own:
            buffers[name] = same_memory
        yield
    finally:
        for buffers, name, buffer, same_memory in own:
            if buffers.get(name) is same_memory:  # and no new one that the model put there
                buffers[name] = buffer
