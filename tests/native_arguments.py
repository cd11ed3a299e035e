"""Arguments with which every function of the compiled module works, made afresh for each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

P, H, W, L = 3, 4, 5, 3
RNG = np.random.default_rng(0)
START = RNG.bit_generator.state


def grid_cut_arguments() -> dict[str, Any]:
    return {
        "unary": RNG.random((P, H, W, L)),
        "pairwise": 1 - np.eye(L),
        "weight_v": RNG.random((P, H - 1, W)),
        "weight_h": RNG.random((P, H, W - 1)),
        "method": "expansion",
        "init": np.zeros((P, H, W), np.int64),
        "max_sweeps": 0,
        "threads": 2,
        "labels": np.full((P, H, W), -1),
        "energy": np.zeros(P),
        "optimal": np.zeros(P, bool),
    }


def grid_energy_arguments() -> dict[str, Any]:
    cut = grid_cut_arguments()
    terms = {name: cut[name] for name in ("unary", "pairwise", "weight_v", "weight_h", "energy")}
    return {"labels": np.zeros((P, H, W), np.int64), **terms}


def graph_cut_arguments() -> dict[str, Any]:
    return {
        "unary": RNG.random((H * W, L)),
        "pairwise": 1.0 - np.eye(L),
        "edges": np.array([[0, 1], [1, 2]]),
        "weights": np.ones(2),
        "method": "swap",
        "max_sweeps": 0,
        "labels": np.zeros(H * W, np.int64),
    }


def graph_move_arguments() -> dict[str, Any]:
    arguments = graph_cut_arguments()
    del arguments["method"], arguments["max_sweeps"]
    return {**arguments, "first": 0, "second": 1}


def transport_plan_arguments() -> dict[str, Any]:
    return {
        "saliency": RNG.random((P, H, W)),
        "mask": RNG.integers(0, 2, (P, H, W)).astype(np.float64),
        "eps": 0.1,
        "method": "exact",
        "threads": 2,
        "plan": np.full((P, H, W), -1),
    }


def transport_cost_arguments() -> dict[str, Any]:
    own = np.arange(H * W).reshape(H, W)
    plan = transport_plan_arguments()
    terms = {name: plan[name] for name in ("saliency", "mask", "eps")}
    return {"plan": np.stack([own] * P), **terms, "cost": np.zeros(P)}


def mix_arguments() -> dict[str, Any]:
    return {
        "source": RNG.integers(0, P, (2, 2, 2, 2)),
        "block": RNG.integers(0, 4, (2, 2, 2, 2)),
        "weight": np.full((2, 2, 2, 2), 0.5, np.float32),
        "images": RNG.random((P, 3, 8, 8)).astype(np.float32),
        "mixed": np.zeros((2, 3, 8, 8), np.float32),
        "dtype": "float32",
        "channels_last": False,
        "threads": 2,
    }


def mix_transpose_arguments() -> dict[str, Any]:
    arguments = mix_arguments()
    del arguments["channels_last"]
    return arguments


def plan_outputs(outputs: int, height: int = 2, width: int = 2) -> dict[str, Any]:
    shape = (outputs, height, width, 2)
    return {
        "source": np.full(shape, -1),
        "block": np.full(shape, -1),
        "weight": np.full(shape, -1, np.float32),
    }


def plan_largest_source_arguments() -> dict[str, Any]:
    mix = mix_arguments()
    return {**{name: mix[name] for name in ("source", "block", "weight")}, "tolerance": 1e-4}


def plan_from_labels_arguments() -> dict[str, Any]:
    return {"labels": RNG.integers(0, 4, (2, 3, 2, 2, 2)), "n_inputs": 4, **plan_outputs(6)}


def plan_from_mask_arguments() -> dict[str, Any]:
    return {
        "mask": RNG.random((P, 2, 2)).astype(np.float32),
        "index": np.array([1, 2, 0]),
        "plan_own": RNG.integers(0, 4, (P, 2, 2)),
        "plan_partner": RNG.integers(0, 4, (P, 2, 2)),
        **plan_outputs(P),
    }


def plan_ratio_arguments() -> dict[str, Any]:
    mix = mix_arguments()
    return {"source": mix["source"], "weight": mix["weight"], "ratio": np.zeros((2, P), np.float32)}


def mix_targets_arguments() -> dict[str, Any]:
    mix = mix_arguments()
    targets = RNG.random((P, 5)).astype(np.float32)
    mixed = np.zeros((2, 5), np.float32)
    return {"source": mix["source"], "weight": mix["weight"], "targets": targets, "mixed": mixed}


def mix_classes_arguments() -> dict[str, Any]:
    return {**mix_targets_arguments(), "targets": np.array([4, 0, 2])}


def puzzlemix_masks_arguments() -> dict[str, Any]:
    return {
        "images": RNG.random((P, 2, 8, 9)),
        "saliency": RNG.random((P, 8, 9)),
        "index": np.array([1, 2, 0]),
        "prior": RNG.random((P, L)),
        "std": np.ones(2),
        "grid": (2, 3),
        "beta": 0.02,
        "gamma": 0.5,
        "neigh_size": 2,
        "rounding": 0.0,
        "method": "exact",
        "threads": 2,
        "mask": np.full((P, 2, 3), -1, np.float32),
    }


def puzzlemix_plan_arguments() -> dict[str, Any]:
    masks = puzzlemix_masks_arguments()
    del masks["method"], masks["mask"]
    return {
        **masks,
        "finer": (2, 1),
        "eps": 0.8,
        **plan_outputs(P, 4, 3),
        "mixed": None,
    }


def comixup_plan_arguments() -> dict[str, Any]:
    return {
        "saliency": RNG.random((4, 8, 9)),
        "prior": RNG.random(4),
        "init": RNG.integers(0, 2, 4 * 2 * 6),
        "grid": (2, 3),
        "partition": 2,
        "starts": 2,
        "window": (4, 4),
        "omega": 0.1,
        "beta": 0.3,
        "gamma": 1.0,
        "tau": 0.8,
        "sweeps": 2,
        "threshold": "hard",
        "threads": 2,
        **plan_outputs(4, 2, 3),
        "mixed": None,
    }


def planned_batch(count: int, height: int, width: int) -> list[Any]:
    """Images and targets to be mixed by a plan for so many maps of this size, and memory for the results."""
    images = RNG.random((count, 2, height, width)).astype(np.float32)
    targets = RNG.random((count, 4)).astype(np.float32)
    return [images, np.zeros_like(images), "float32", False, targets, np.zeros_like(targets)]


def pool_saliency_arguments() -> dict[str, Any]:
    saliency = RNG.random((P, 6, 7)).astype(np.float32)
    return {"saliency": saliency, "threads": 2, "pooled": np.zeros((P, 2, 3), np.float32)}


def puzzlemix_energy_arguments() -> dict[str, Any]:
    return {
        "images": RNG.random((P, 3, 8, 8)).astype(np.float32),
        "saliency": np.full((P, 2, 2), 0.25),
        "index": np.array([1, 2, 0]),
        "prior": np.zeros((P, L)),
        "std": np.ones(3),
        "beta": 1.2,
        "gamma": 0.5,
        "neigh_size": 4,
        "rounding": 1e-7,
        "threads": 2,
        "unary": np.zeros((P, 2, 2, L)),
        "weight_v": np.zeros((P, 1, 2)),
        "weight_h": np.zeros((P, 2, 1)),
    }


def comixup_labels_arguments() -> dict[str, Any]:
    return {
        "cost": -RNG.random((2, 4, 2, 3)),
        "compatibility": np.stack([np.eye(4)] * 2),
        "init": RNG.integers(0, 4, (2, 1, 5, 2, 3)),
        "beta": 0.32,
        "gamma": 1.0,
        "tau": 0.83,
        "sweeps": 2,
        "threshold": "hard",
        "resolve_duplicates": True,
        "select": "best",
        "method": "auto",
        "threads": 2,
        "labels": np.full((2, 5, 2, 3, 2), -1),
    }


def comixup_objective_arguments() -> dict[str, Any]:
    labels = comixup_labels_arguments()
    terms = {name: labels[name] for name in ("cost", "compatibility", "beta", "gamma", "tau", "threshold")}
    return {"labels": np.zeros((2, 5, 2, 3, 2), np.int64), **terms, "objective": np.zeros(2)}


def salient_spots_arguments() -> dict[str, Any]:
    saliency = RNG.random((P, 6, 7)).astype(np.float32)
    spots = np.full((P, 2), -1)
    return {"saliency": saliency, "window_height": 3, "window_width": 2, "threads": 2, "spots": spots}


def comixup_prior_arguments() -> dict[str, Any]:
    return {"amounts": RNG.random((P, 4)), "weight": 0.5, "prior": np.zeros((P, 4))}


def always_the_same(make: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """Equal arguments at every call, whatever was made before."""

    def arguments() -> dict[str, Any]:
        RNG.bit_generator.state = START
        return make()

    return arguments


MAKERS: dict[str, Callable[[], dict[str, Any]]] = {
    "grid_cut": grid_cut_arguments,
    "grid_energy": grid_energy_arguments,
    "graph_cut": graph_cut_arguments,
    "graph_move": graph_move_arguments,
    "transport_plan": transport_plan_arguments,
    "transport_cost": transport_cost_arguments,
    "mix": mix_arguments,
    "mix_transpose": mix_transpose_arguments,
    "plan_largest_source": plan_largest_source_arguments,
    "plan_from_labels": plan_from_labels_arguments,
    "plan_from_mask": plan_from_mask_arguments,
    "plan_ratio": plan_ratio_arguments,
    "mix_targets": mix_targets_arguments,
    "mix_classes": mix_classes_arguments,
    "pool_saliency": pool_saliency_arguments,
    "puzzlemix_energy": puzzlemix_energy_arguments,
    "puzzlemix_masks": puzzlemix_masks_arguments,
    "puzzlemix_plan": puzzlemix_plan_arguments,
    "salient_spots": salient_spots_arguments,
    "comixup_plan": comixup_plan_arguments,
    "comixup_prior": comixup_prior_arguments,
    "comixup_labels": comixup_labels_arguments,
    "comixup_objective": comixup_objective_arguments,
}
CALLS = {name: always_the_same(make) for name, make in MAKERS.items()}
OUTPUTS = {
    "grid_cut": ["labels", "energy", "optimal"],
    "grid_energy": ["energy"],
    "graph_cut": ["labels"],
    "graph_move": ["labels"],
    "transport_plan": ["plan"],
    "transport_cost": ["cost"],
    "mix": ["mixed"],
    "mix_transpose": ["images"],
    "plan_largest_source": [],
    "plan_from_labels": ["source", "block", "weight"],
    "plan_from_mask": ["source", "block", "weight"],
    "plan_ratio": ["ratio"],
    "mix_targets": ["mixed"],
    "mix_classes": ["mixed"],
    "pool_saliency": ["pooled"],
    "puzzlemix_energy": ["unary", "weight_v", "weight_h"],
    "puzzlemix_masks": ["mask"],
    "puzzlemix_plan": ["source", "block", "weight"],
    "salient_spots": ["spots"],
    "comixup_plan": ["source", "block", "weight"],
    "comixup_prior": ["prior"],
    "comixup_labels": ["labels"],
    "comixup_objective": ["objective"],
}
INDICES = {
    "grid_cut": {"init": L},
    "grid_energy": {"labels": L},
    "graph_cut": {"labels": L, "edges": H * W},
    "graph_move": {"labels": L, "edges": H * W},
    "transport_cost": {"plan": H * W},
    "mix": {"source": P, "block": 4},
    "mix_transpose": {"source": P, "block": 4},
    "plan_ratio": {"source": P},
    "mix_targets": {"source": P},
    "mix_classes": {"source": P, "targets": 5},
    "puzzlemix_masks": {"index": P},
    "puzzlemix_plan": {"index": P},
    "comixup_plan": {"init": 2},
    "puzzlemix_energy": {"index": P},
    "comixup_labels": {"init": 4},
    "comixup_objective": {"labels": 4},
}
ARRAYS = [
    (name, key)
    for name, make in CALLS.items()
    for key, value in make().items()
    if isinstance(value, np.ndarray)
]
