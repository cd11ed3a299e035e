"""Slow, literal NumPy versions of every comix solver: for tests, and for reading beside the papers.

Nothing here is compiled, nothing imports the rest of comix, and nothing is meant for more than small
problems.

gridcut, gridcut_moves, mincut    energies of labelled grids, their exact and their local minima
puzzlemix                         two images to the energy of a mask
transport                         salient blocks to where the mask shows them
comixup                           a partition of inputs to a diverse joint labelling
mixing                            mix plans to images
"""

from .comixup import comixup_labels, comixup_objective, official_cut, plain_objective
from .gridcut import brute_force, frontier_cut, gco_integers, grid_energy
from .gridcut_moves import expansion, swap
from .mincut import binary_cut, max_flow_min_cut
from .mixing import Plan, mix, plan_from_labels, plan_from_mask, ratio
from .puzzlemix import (
    GridEnergy,
    area_means,
    block_edges,
    block_saliency,
    mask_energy,
    neighbour_terms,
    prior,
    puzzlemix_energy,
    puzzlemix_integers,
    reparametrise,
)
from .transport import (
    assignment,
    complete,
    contest,
    squared_distance,
    transport_cost,
    transport_cost_matrix,
    transport_plan,
)

__all__ = [
    "GridEnergy",
    "Plan",
    "area_means",
    "assignment",
    "binary_cut",
    "block_edges",
    "block_saliency",
    "brute_force",
    "comixup_labels",
    "comixup_objective",
    "complete",
    "contest",
    "expansion",
    "frontier_cut",
    "gco_integers",
    "grid_energy",
    "mask_energy",
    "max_flow_min_cut",
    "mix",
    "neighbour_terms",
    "official_cut",
    "plain_objective",
    "plan_from_labels",
    "plan_from_mask",
    "prior",
    "puzzlemix_energy",
    "puzzlemix_integers",
    "ratio",
    "reparametrise",
    "squared_distance",
    "swap",
    "transport_cost",
    "transport_cost_matrix",
    "transport_plan",
]
