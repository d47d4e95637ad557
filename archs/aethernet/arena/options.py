"""The option file of one training: the recipe in BasicSR's words."""

import inspect
import math
from collections.abc import Mapping

import torch
import yaml

from aethernet.arena import values
from aethernet.arena.networks import OURS, Network
from aethernet.arena.recipe import ArenaRecipe
from aethernet.arena.training import Training
from aethernet.data.damaged import MOST_DAMAGED
from aethernet.data.pictures import find_pictures
from aethernet.integrations.basicsr.training.optimizers import OPTIMIZERS

EXPERIMENT = "arena"
"""The name of every training, which has a folder of its own."""

EPOCH_SAMPLES = 200_000
"""About as many patches make an epoch: workers start anew in each, and its order is drawn at once."""

PRINTS_PER_POINT = 10


def training_options(recipe: ArenaRecipe, network: Network, seed: int, iterations: int) -> dict:
    """What BasicSR reads to train one network of the arena with one seed."""
    training, scale = network.training, recipe.scale
    print_freq = max(1, iterations // (training.val_points * PRINTS_PER_POINT))
    val_freq = print_freq * max(1, round(iterations / training.val_points / print_freq))
    opt = {
        "name": EXPERIMENT,
        "model_type": "AetherModel",
        "scale": scale,
        "num_gpu": 1 if torch.cuda.is_available() else 0,
        "manual_seed": seed,
        "datasets": _datasets(recipe, training, iterations),
        "network_g": _network_g(network, iterations),
        "path": {"pretrain_network_g": None, "strict_load_g": True, "resume_state": None},
        "train": {
            "ema_decay": training.ema_decay,
            "optim_g": _optimizer(training),
            "grad_clip": training.grad_clip,
            "scheduler": {
                "type": "CosineAnnealingRestartLR",
                "periods": [iterations],
                "restart_weights": [1],
                "eta_min": training.eta_min,
            },
            "total_iter": iterations,
            "warmup_iter": training.warmup_iter or -1,
            "pixel_opt": dict(training.loss),
        },
        "val": {
            "val_freq": val_freq,
            "save_img": False,
            "pbar": False,
            "metrics": {"psnr": {"type": "calculate_psnr", "crop_border": scale, "test_y_channel": True}},
        },
        "logger": {
            "print_freq": print_freq,
            "save_checkpoint_freq": val_freq,
            "use_tb_logger": False,
        },
    }
    return values.merged(opt, training.options)


def _datasets(recipe: ArenaRecipe, training: Training, iterations: int) -> dict:
    most = recipe.data.max_damaged
    damaged = {} if most == MOST_DAMAGED else {"max_damaged": most}
    kind = "AetherMemoryDataset"
    return {
        "train": {
            "name": "train",
            "type": kind,
            "dataroot_gt": [str(folder) for folder in recipe.data.train],
            "gt_size": training.lq_size * recipe.scale,
            "use_hflip": True,
            "use_rot": True,
            "num_worker_per_gpu": training.workers,
            "batch_size_per_gpu": training.batch,
            "dataset_enlarge_ratio": _enlarge_ratio(recipe, iterations * training.batch),
            "prefetch_mode": None,
            **damaged,
        },
        "val": {"name": recipe.data.val.name, "type": kind, "dataroot_gt": str(recipe.data.val), **damaged},
    }


def file_text(opt: Mapping, network: Network, threads: int) -> str:
    """The option file with a head that changes with the network's tensors and the threads, which change the result."""
    head = f"# {network.spec}\n# structure {network.structure}, {threads} threads\n"
    return head + yaml.safe_dump(dict(opt), sort_keys=False)


def _optimizer(training: Training) -> dict:
    own = {"lr": training.lr, "weight_decay": training.weight_decay, "betas": list(training.betas)}
    target = OPTIMIZERS.get(training.optimizer["type"])
    known = inspect.signature(target).parameters if target else own  # BasicSR's check names those that there are
    return {**{key: value for key, value in own.items() if key in known}, **training.optimizer}


def _network_g(network: Network, iterations: int) -> dict:
    section = dict(network.network_g)
    if section["type"] in OURS and "norm_freeze_iter" not in section:
        section["norm_freeze_iter"] = round(network.training.freeze_share * iterations)
    return section


def _enlarge_ratio(recipe: ArenaRecipe, samples: int) -> int:
    """How often each picture comes in an epoch. It depends on the recipe's numbers alone, not on the network."""
    pictures = sum(path.parent == folder for folder in recipe.data.train for path in find_pictures(folder))
    return max(1, math.ceil(min(samples, EPOCH_SAMPLES) / max(1, pictures)))
