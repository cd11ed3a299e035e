"""comix: exact, fast solvers for saliency-guided mixup (PuzzleMix, Co-Mixup) on PyTorch tensors.

    aug = comix.CoMixup(num_classes=100)
    images, targets = aug(images, targets, model=model)

The solvers under the augmentations - grid cuts, block transport, joint labelling, block mixing - are
functions of their own. ``comix.reference`` holds slow, literal NumPy versions of all of them.
"""

from comix import losses as losses
from comix._augment_comixup import CoMixup
from comix._augment_puzzlemix import PuzzleMix
from comix._checks import debug
from comix._mixers import MixResult
from comix._native import BackendUnavailable, backends, build_info
from comix.comixup import comixup_labels, comixup_objective
from comix.gridcut import GridCut, grid_cut, grid_energy
from comix.mixing import MixPlan
from comix.puzzlemix import GridEnergy, puzzlemix_energy, puzzlemix_mask
from comix.saliency import input_saliency, pool_saliency, spectral_residual
from comix.transport import transport_cost, transport_plan

__version__: str = str(build_info()["version"])

__all__ = [
    "BackendUnavailable",
    "CoMixup",
    "GridCut",
    "GridEnergy",
    "MixPlan",
    "MixResult",
    "PuzzleMix",
    "backends",
    "build_info",
    "comixup_labels",
    "comixup_objective",
    "debug",
    "grid_cut",
    "grid_energy",
    "input_saliency",
    "pool_saliency",
    "puzzlemix_energy",
    "puzzlemix_mask",
    "spectral_residual",
    "transport_cost",
    "transport_plan",
]
