"""comix.compat as a whole: official signatures, docstrings and examples, import cost, training loops, gco."""

# ruff: noqa: NPY002 - the official code draws from NumPy's global state

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import comix
import comix.compat
import numpy as np
import pytest
import torch
from comix.compat import (
    _gco_class,
    comixup,
    comixup_imagenet,
    gco,
    puzzlemix,
    puzzlemix_imagenet,
    puzzlemix_imagenet_fast,
)
from torch import nn
from torch.nn import functional as F

MODULES = [comixup, comixup_imagenet, gco, puzzlemix, puzzlemix_imagenet, puzzlemix_imagenet_fast]

_ONEHOT_IMAGENET = (
    "(cost_matrix, A, n_output, idx=None, beta=1, gamma=1, eta=0.0, thres=0.0, thres_type='hard', "
    "set_resolve=False, niter=2, print_log=False, device='cuda')"
)
_CUT = "(unary1, unary2, pw_x, pw_y, alpha, beta, eta, n_labels=2, eps=1e-08)"
_WRAPPER = "(cost_penalty, label_count, n_input, height, width, beta, device, iter_idx=0)"
_GRAPH = (
    "(input1, grad1, indices, block_num=2, alpha=0.5, beta=0.0, gamma=0.0, eta=0.2, neigh_size=2, "
    "n_labels=2, mean=None, std=None, transport=False, t_eps=10.0, "
)
SIGNATURES: dict[ModuleType, dict[str, str]] = {
    puzzlemix: {
        "to_one_hot": "(inp, num_classes, device='cuda')",
        "cost_matrix": "(width, device='cuda')",
        "mixup_process": "(out, target_reweighted, hidden=0, args=None, grad=None, noise=None, adv_mask1=0, "
        "adv_mask2=0, mp=None)",
        "get_lambda": "(alpha=1.0, alpha2=None)",
        "graphcut_multi": _CUT,
        "neigh_penalty": "(input1, input2, k)",
        "mixup_box": "(input1, input2, alpha=0.5, device='cuda')",
        "mixup_graph": _GRAPH + "t_size=16, noise=None, adv_mask1=0, adv_mask2=0, device='cuda', mp=None)",
        "mask_transport": "(mask, grad_pool, eps=0.01)",
        "transport_image": "(img, plan, batch_size, block_num, block_size)",
    },
    puzzlemix_imagenet: {
        "cost_matrix": "(width)",
        "graphcut_multi": _CUT,
        "neigh_penalty": "(input1, input2, k)",
        "mixup_graph": _GRAPH + "dataset=None, mp=None)",
        "mask_transport": "(mask, grad_pool, eps=0.01)",
        "transport_image": "(img, plan, block_num, block_size)",
    },
    puzzlemix_imagenet_fast: {
        "cost_matrix": "(width)",
        "get_mask": "(input1, grad1, block_num, indices, alpha=0.5, beta=1.2, gamma=0.5, eta=0.2, "
        "neigh_size=2, n_labels=3, mean=None, std=None, mp=None)",
        "graphcut_multi": _CUT.replace("eps=1e-08", "label_cost='l2'"),
        "graphcut_multi_float": _CUT.replace("eps=1e-08", "label_cost='l2', beta_c=0.0"),
        "mask_transport": "(mask, grad_pool, eps=0.01)",
        "neigh_penalty": "(input1, input2, k)",
        "transport": "(input1, grad1, indices, block_num, mask, eps=0.8)",
        "transport_image": "(img, plan, block_num, block_size)",
    },
    comixup: {
        "to_onehot": "(idx, n_input, device='cuda')",
        "to_one_hot": "(inp, num_classes, device='cuda')",
        "distance": "(z, dist_type='l2')",
        "random_initialize": "(n_input, n_output, height, width)",
        "obj_fn": "(cost_matrix, mask_onehot, beta, gamma)",
        "obj_fn_thres": "(cost_matrix, mask_onehot, beta, gamma, thres)",
        "mix_input": "(mask_onehot, input_sp, target_reweighted, sc=None)",
        "resolve_label": "(assigned_label_total, device='cuda')",
        "graphcut_multi": "(cost, beta=1, algorithm='swap', n_label=0, add_idx=None)",
        "graphcut_wrapper": _WRAPPER,
        "get_onehot_matrix": "(cost_matrix, A, n_output, idx=None, beta=0.32, gamma=1.0, eta=0.05, "
        "mixup_alpha=2.0, thres=0.84, thres_type='hard', set_resolve=True, niter=3, device='cuda')",
        "mixup_process": "(out, target_reweighted, args=None, sc=None, A_dist=None)",
        "mixup_process_worker": "(out, target_reweighted, hidden=0, args=None, sc=None, "
        "A_dist=None, debug=False)",
        "MixupProcessParallel": "(part, batch_size, num_gpu=1)",
        "MixupProcessParallel.__call__": "(self, out, target_reweighted, hidden=0, args=None, sc=None, "
        "A_dist=None, debug=False)",
    },
    comixup_imagenet: {
        "to_onehot": "(inp, num_classes, device='cuda')",
        "obj_fn": "(cost_matrix, mask_onehot, beta, gamma)",
        "distance": "(z, dist_type='l2')",
        "random_initialize": "(n_input, n_output, height, width)",
        "mix_input": "(mask_onehot, input_sp, target_reweighted)",
        "resolve_label": "(assigned_label_total, device='cuda')",
        "graphcut_multi": "(cost, beta=1, algorithm='swap', n_label=0, add_idx=None)",
        "graphcut_wrapper": _WRAPPER,
        "get_onehot_matrix": _ONEHOT_IMAGENET,
        "mixup_match": "(out, target_reweighted, param_list, sc=None, A_dist=None, device='cuda')",
        "MixupProcessParallel": "(part, num_thread)",
        "MixupProcessParallel.__call__": "(self, out, target_reweighted, param_list, sc=None, A_dist=None, "
        "device='cuda')",
    },
    gco: {
        "cut_grid_graph": "(unary_cost, pairwise_cost, cost_v, cost_h, cost_dr=None, cost_dl=None, "
        "n_iter=-1, algorithm='expansion')",
        "cut_grid_graph_simple": "(unary_cost, pairwise_cost, n_iter=-1, connect=4, algorithm='expansion')",
        "cut_general_graph": "(edges, edge_weights, unary_cost, pairwise_cost=None, n_iter=-1, "
        "algorithm='expansion', init_labels=None, down_weight_factor=None)",
        "GCO": "()",
        "GCO.create_general_graph": "(self, num_sites, num_labels, energy_is_float=False)",
        "GCO.set_data_cost": "(self, unary)",
        "GCO.set_site_data_cost": "(self, site, label, e)",
        "GCO.set_neighbor_pair": "(self, s1, s2, w)",
        "GCO.set_all_neighbors": "(self, s1, s2, w)",
        "GCO.set_smooth_cost": "(self, cost)",
        "GCO.set_pair_smooth_cost": "(self, l1, l2, cost)",
        "GCO.set_smooth_cost_function": "(self, fun)",
        "GCO.expansion": "(self, niters=-1)",
        "GCO.expansion_on_alpha": "(self, label)",
        "GCO.swap": "(self, niters=-1)",
        "GCO.alpha_beta_swap": "(self, l1, l2)",
        "GCO.compute_energy": "(self)",
        "GCO.compute_data_energy": "(self)",
        "GCO.compute_smooth_energy": "(self)",
        "GCO.get_labels": "(self)",
        "GCO.get_label_at_site": "(self, site)",
        "GCO.init_label_at_site": "(self, site, label)",
        "GCO.destroy_graph": "(self)",
        "get_images_edges_vh": "(height, width)",
        "get_images_edges_diag": "(height, width)",
        "PyGcoError": "(msg='')",
        "ShapeMismatchError": "(msg='')",
        "DataTypeNotSupportedError": "(msg='')",
        "IndexOutOfBoundError": "(msg='')",
    },
}
NAMES = [(module, name) for module, names in SIGNATURES.items() for name in names]


def found(module: ModuleType, dotted: str) -> Any:
    value: Any = module
    for name in dotted.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[f"{m.__name__}.{n}" for m, n in NAMES])
def test_signatures_are_the_official_ones(module: ModuleType, name: str) -> None:
    assert str(inspect.signature(found(module, name))) == SIGNATURES[module][name]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_public_names_are_documented(module: ModuleType) -> None:
    assert module.__all__ == sorted(module.__all__)
    tested = {name.split(".")[0] for name in SIGNATURES[module]}
    assert tested == set(module.__all__) - {"install"}
    for name in module.__all__:
        text = found(module, name).__doc__
        assert text, name
        if inspect.isfunction(found(module, name)) and inspect.signature(found(module, name)).parameters:
            assert "Args:" in text, name


@pytest.mark.parametrize("module", [comix.compat._replay, _gco_class, *MODULES], ids=lambda m: m.__name__)
def test_examples_run(module: ModuleType) -> None:
    for example in doctest.DocTestFinder().find(module):
        report: list[str] = []
        result = doctest.DocTestRunner(verbose=False).run(example, out=report.append)
        assert result.failed == 0, "".join(report)


def test_importing_all_adapters_is_light() -> None:
    script = """
import sys, torch, numpy
before = set(sys.modules)
import comix
assert not any(name.startswith("comix.compat") for name in sys.modules)
from comix.compat import _gco_class, comixup, comixup_imagenet, gco, puzzlemix, puzzlemix_imagenet
roots = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(roots - set(sys.stdlib_module_names) - {"comix", "numpy", "torch"}))
assert "gco" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_replay_ends_with_its_context() -> None:
    with comix.compat.replay():
        assert comix.compat._replay.replaying()
        with comix.compat.replay():
            pass
        assert comix.compat._replay.replaying()  # until the outer one ends
    assert not comix.compat._replay.replaying()
    with pytest.raises(ValueError, match="n_labels"), comix.compat.replay():
        puzzlemix.graphcut_multi(
            np.eye(2), np.eye(2), np.ones((1, 2)), np.ones((2, 1)), 0.5, 1, 1, n_labels=1
        )
    assert not comix.compat._replay.replaying()


# ---- official training loops, a few steps ----------------------------------------------------------------


class Net(nn.Module):
    """A small classifier whose forward mixes, as the models of PuzzleMix do."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, classes)

    def forward(
        self, x: torch.Tensor, target: Any = None, mixup: Any = False, args: Any = None, **how: Any
    ) -> Any:
        soft = None if target is None else puzzlemix.to_one_hot(target, self.classes)
        if mixup == "input":
            x, soft = puzzlemix.mixup_process(x, soft, args=args, **how)
        x = self.body(x)
        if mixup == "hidden":
            x, soft = puzzlemix.mixup_process(x, soft, hidden=True, args=args)
        x = self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return x if target is None else (x, soft)


def data(count: int = 16, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    np.random.seed(0)
    return torch.randn(count, 3, 32, 32), torch.arange(count) % classes


def saliency_of(net: nn.Module, images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    images = images.clone().requires_grad_()
    F.cross_entropy(net(images), target).backward()
    assert images.grad is not None
    return images.grad.square().mean(1).sqrt()


PUZZLE_ARGS = SimpleNamespace(
    mixup_alpha=1.0,
    in_batch=False,
    mean=torch.tensor([0.5, 0.5, 0.5]).reshape(1, 3, 1, 1),
    std=torch.tensor([0.25, 0.25, 0.25]).reshape(1, 3, 1, 1),
    box=False,
    graph=True,
    beta=1.2,
    gamma=0.5,
    eta=0.2,
    neigh_size=4,
    n_labels=3,
    transport=True,
    t_eps=0.8,
    t_size=4,
)


@pytest.mark.parametrize("kind", ["puzzlemix", "adversarial", "cutmix", "input", "hidden"])
def test_puzzlemix_training_loop(kind: str) -> None:
    images, target = data()
    net = Net(5)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    args = SimpleNamespace(**{**vars(PUZZLE_ARGS), "box": kind == "cutmix", "graph": kind != "input"})
    before = images.clone()
    for _ in range(2):
        how: dict[str, Any] = {}
        if args.graph and kind != "hidden":
            how["grad"] = saliency_of(net, images, target)
        if kind == "adversarial":
            how.update(noise=torch.empty_like(images).uniform_(-0.03, 0.03), adv_mask1=1, adv_mask2=1)
        optimizer.zero_grad()
        output, soft = net(images, target, "hidden" if kind == "hidden" else "input", args, **how)
        torch.testing.assert_close(soft.sum(1), torch.ones(len(images)))
        F.binary_cross_entropy(output.softmax(1), soft).backward()
        optimizer.step()
        assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    assert torch.equal(images, before)


def test_puzzlemix_draws_in_the_official_order() -> None:
    images, target = data(6)
    soft = puzzlemix.to_one_hot(target, 5)
    args = SimpleNamespace(**{**vars(PUZZLE_ARGS), "graph": False})
    np.random.seed(9)
    mixed, labels = puzzlemix.mixup_process(images, soft, args=args)
    after = np.random.uniform()
    np.random.seed(9)
    np.random.randint(1, 5)
    order, lam = np.random.permutation(6), np.random.beta(1.0, 1.0)
    assert after == np.random.uniform()
    torch.testing.assert_close(mixed, images * lam + images[order] * (1 - lam))
    torch.testing.assert_close(labels, soft * lam + soft[order] * (1 - lam))


@pytest.mark.parametrize("replayed", [False, True])
def test_puzzlemix_process_is_its_graph(replayed: bool) -> None:
    images, target = data(6)
    soft, saliency = puzzlemix.to_one_hot(target, 5), torch.rand(6, 32, 32) + 0.5
    names = ("beta", "gamma", "eta", "neigh_size", "n_labels", "mean", "std", "transport", "t_eps", "t_size")
    options = {name: getattr(PUZZLE_ARGS, name) for name in names}
    recording = comix.compat.replay() if replayed else comix.debug()
    with recording:
        np.random.seed(4)
        mixed, labels = puzzlemix.mixup_process(images, soft, args=PUZZLE_ARGS, grad=saliency)
        np.random.seed(4)
        grid = 2 ** np.random.randint(1, 5)
        order, lam = np.random.permutation(6), puzzlemix.get_lambda(1.0)
        want, ratio = puzzlemix.mixup_graph(images, saliency, order, grid, lam, **options)
    assert torch.equal(mixed, want)
    torch.testing.assert_close(labels, soft * ratio[:, None] + soft[order] * (1 - ratio[:, None]))


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("replayed", [False, True])
def test_comixup_training_loop(parallel: bool, replayed: bool) -> None:
    images, target = data(18)
    net = Net(5)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    numbers = {"m_block_num": 4, "m_part": 6, "m_beta": 0.32, "m_gamma": 1.0, "m_thres": 0.83, "m_eta": 0.05}
    kinds = {"m_thres_type": "hard", "mixup_alpha": 2.0, "m_omega": 0.001, "set_resolve": True, "m_niter": 4}
    args = SimpleNamespace(**numbers, **kinds)
    mpp = comixup.MixupProcessParallel(args.m_part, 18, 1)
    for _ in range(2):
        optimizer.zero_grad()
        sc = saliency_of(net, images, target)
        spots = F.avg_pool2d(sc, 8, 1).flatten(1).argmax(1)
        apart = comixup.distance(torch.stack([spots // 25, spots % 25], 1).float(), dist_type="l1")
        soft = comixup.to_one_hot(target, 5)
        with comix.compat.replay() if replayed else comix.debug():
            if parallel:
                out, mixed_soft = mpp(images, soft, args=args, sc=sc, A_dist=apart)
            else:
                out, mixed_soft = comixup.mixup_process(images, soft, args=args, sc=sc, A_dist=apart)
        torch.testing.assert_close(mixed_soft.sum(1), torch.ones(18))
        F.binary_cross_entropy(net(out).softmax(1), mixed_soft.clamp(0, 1)).backward()
        optimizer.step()
    mpp.close()
