"""comix in OpenMixup (Westlake-AI/openmixup): its PuzzleMix faster and right, and Co-Mixup, which it lacks.

One line before the model is built, and nothing in the config changes:

    import comix.integrations.openmixup as co
    co.patch()                                      # MixUpClassification's puzzlemix is comix's; co.unpatch()

Or new modes, by the config:

    custom_imports = dict(imports=['comix.integrations.openmixup'])
    model = dict(type='ComixClassification', mix_mode=['comixup', 'comix_puzzle', 'cutmix'], ...)

:func:`puzzlemix` works without OpenMixup; the rest needs it and says so. Importing this module registers
``ComixClassification`` where OpenMixup imports.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NoReturn

from comix.integrations._openmixup_puzzle import puzzlemix

__all__ = ["patch", "puzzlemix", "unpatch"]

with contextlib.suppress(Exception):  # not there, or broken: who asks for it is told
    from comix.integrations._openmixup import ComixClassification

    __all__ += ["ComixClassification"]

_replaced: Callable[..., Any] | None = None  # the library's own puzzlemix while it is patched


def patch() -> None:
    """Replace OpenMixup's ``puzzlemix`` by :func:`puzzlemix`, wherever OpenMixup's modules hold it.

    Models built from now on use it, in the mode ``puzzlemix`` and under ``transmix``; models built before
    keep what they were built with. A second call replaces it in modules imported since. Heads should be
    ``multi_label=True`` with a soft loss, since lam is one number per sample: the library's hard cross
    entropy averages it over the batch.

    Raises:
        ImportError: OpenMixup is not there or broken; the text says why.

    Example:
        ::

            import comix.integrations.openmixup as co
            co.patch()
            model = openmixup.models.build_model(cfg.model)
    """
    global _replaced
    try:
        from openmixup.models.classifiers import mixup_classification
    except Exception as error:
        _missing("patch", error)
    if mixup_classification.puzzlemix is not puzzlemix:
        _replaced = mixup_classification.puzzlemix
    if _replaced is not None:  # else comix's was put there by hand
        _swap(_replaced, puzzlemix)


def unpatch() -> None:
    """Put OpenMixup's own ``puzzlemix`` back everywhere; nothing happens where it is in place.

    Models built while it was replaced keep comix's.
    """
    global _replaced
    if _replaced is not None:
        _swap(puzzlemix, _replaced)
        _replaced = None


def _swap(old: Callable[..., Any], new: Callable[..., Any]) -> None:
    for module in _library_modules():
        for name in [name for name, value in vars(module).items() if value is old]:
            setattr(module, name, new)


def _library_modules() -> Iterator[ModuleType]:
    for name, module in list(sys.modules.items()):
        if (name == "openmixup" or name.startswith("openmixup.")) and isinstance(module, ModuleType):
            yield module


def _missing(wanted: str, error: Exception) -> NoReturn:
    raise ImportError(
        f"comix.integrations.openmixup.{wanted} needs OpenMixup, which does not import here ({error}): "
        "pip install openmixup, and an mmcv-full that it takes (1.4.7 to 1.7.2)"
    ) from error


def __getattr__(name: str) -> Any:
    if name == "ComixClassification":  # did not import above; try again, or say why not
        try:
            from comix.integrations import _openmixup
        except Exception as error:
            _missing(name, error)
        return _openmixup.ComixClassification
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
