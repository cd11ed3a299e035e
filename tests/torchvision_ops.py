"""Import this before torchvision: makes the Python library importable where its operators do not load.

Wheels of torchvision for another build of torch (CUDA, mostly) cannot load their operators, and then
``import torchvision`` fails at the first operator that it registers something for. Defining those that it
names lets everything written in Python work. Where torchvision imports as it is, or is not installed, nothing
happens. timm, and lightning through torchmetrics, import torchvision.
"""

from __future__ import annotations

import sys

import torch

LIBRARY: torch.library.Library | None = None  # what is defined lives as long as this object

try:
    import torchvision
except ImportError:
    pass  # tests ask with pytest.importorskip
except RuntimeError as error:
    if "operator torchvision::" not in str(error):
        raise
    LIBRARY = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        LIBRARY.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[module]  # halves of the first try
    import torchvision  # noqa: F401
