"""Option dictionaries, synthetic pictures and batches for the tests of the BasicSR model classes."""

import importlib
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aethernet.integrations.basicsr import compat
from aethernet.integrations.registry import register_architectures

compat.apply()
pytest.importorskip("basicsr")
models = importlib.import_module("aethernet.integrations.basicsr.training.models")
build_model = importlib.import_module("basicsr.models").build_model
register_architectures()
models.register()

NETWORK = {
    "type": "aether_custom",
    "scale": 2,
    "width": 8,
    "depths": [1, 1],
    "kernel_size": 5,
    "tail_channels": 8,
    "skip": "nearest",
    "norm_freeze_iter": 6,
}
STATISTICS = ("running_mean", "running_var")


def options(model_type: str = "AetherModel", *, network: dict | None = None, path: dict | None = None, **train) -> dict:
    """What BasicSR's parser would hand to `build_model` for a small training on the CPU."""
    return {
        "name": "test",
        "model_type": model_type,
        "scale": 2,
        "num_gpu": 0,
        "dist": False,
        "is_train": True,
        "path": path or {},
        "network_g": {**NETWORK, **(network or {})},
        "train": {
            "total_iter": 10,
            "optim_g": {"type": "Adam", "lr": 1e-3},
            "scheduler": {"type": "MultiStepLR", "milestones": [1000], "gamma": 0.5},
            "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"},
            **train,
        },
    }


def gan_options(**train) -> dict:
    """The same with a tiny discriminator."""
    opt = options(
        "AetherGANModel",
        optim_d={"type": "Adam", "lr": 1e-3},
        gan_opt={"type": "GANLoss", "gan_type": "vanilla", "loss_weight": 0.1},
        **train,
    )
    opt["network_d"] = {"type": "UNetDiscriminatorSN", "num_in_ch": 3, "num_feat": 8}
    return opt


def picture(seed: int, size: int = 96) -> Tensor:
    """Clouds of four sizes behind a sine, (1, 3, size, size).

    Some detail is lost at half the size and can be told from its surroundings: bicubic reaches 27.9 dB, a tiny
    network 33 within 300 iterations, and 28 if the statistics of its norms are lost.
    """
    generator = torch.Generator().manual_seed(seed)
    out = torch.zeros(1, 3, size, size)
    for cells, weight in ((6, 0.5), (12, 0.35), (24, 0.25), (48, 0.2)):
        coarse = torch.rand(1, 3, cells, cells, generator=generator) - 0.5
        out += weight * F.interpolate(coarse, size=size, mode="bicubic")
    return torch.sin(out * 6) / 2 + 0.5


def halve(gt: Tensor) -> Tensor:
    return F.interpolate(gt, scale_factor=0.5, mode="bicubic", antialias=True).clamp(0, 1)


class Pictures:
    """Pairs for training (eight pictures) and validation (three others) at scale 2."""

    def __init__(self) -> None:
        self.train = [(halve(gt), gt) for gt in map(picture, range(8))]
        self.val = [(halve(gt), gt) for gt in map(picture, range(100, 103))]

    def batch(self, generator: torch.Generator, count: int = 4, size: int = 16) -> dict[str, Tensor]:
        """Random patches of `size` low-resolution pixels, in the form in which a data loader hands them over."""
        lqs, gts = [], []
        for _ in range(count):
            lq, gt = self.train[int(torch.randint(len(self.train), (), generator=generator))]
            top, left = torch.randint(0, lq.shape[-1] - size + 1, (2,), generator=generator).tolist()
            lqs.append(lq[..., top : top + size, left : left + size])
            gts.append(gt[..., 2 * top : 2 * (top + size), 2 * left : 2 * (left + size)])
        return {"lq": torch.cat(lqs), "gt": torch.cat(gts)}

    def psnr(self, network: nn.Module) -> float:
        """Mean PSNR in dB of the network in eval mode over the whole validation pictures, rounded to 8 bits."""
        training = network.training
        network.eval()
        with torch.no_grad():
            errors = [F.mse_loss((network(lq).clamp(0, 1) * 255).round() / 255, gt).item() for lq, gt in self.val]
        network.train(training)
        return sum(-10 * math.log10(error) for error in errors) / len(errors)


PICTURES = Pictures()


def train(model, first: int, last: int, *, seed: int = 0, damage=None) -> None:
    """Runs iterations `first` to `last` as BasicSR's loop does; `damage(iteration, batch)` may change a batch.

    Every iteration has a batch of its own, the same in each run, so that a resumed run can be compared.
    """
    for iteration in range(first, last + 1):
        batch = PICTURES.batch(torch.Generator().manual_seed(seed * 100_000 + iteration))
        if damage is not None:
            damage(iteration, batch)
        model.update_learning_rate(iteration)
        model.feed_data(batch)
        model.optimize_parameters(iteration)


def copy_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
