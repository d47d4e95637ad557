"""How fast networks train: one iteration of each in turn, and what a multiply-accumulate of it costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from aethernet.bench.complexity import network_complexity
from aethernet.bench.timing import Candidate, Timing, time_candidates
from aethernet.conditions import Conditions, measurement_conditions
from aethernet.errors import ConfigError, UsageError
from aethernet.integrations.peers import build_trainable, probe_scale
from aethernet.network.config import NAME_PATTERN
from aethernet.network.network import AetherNet
from aethernet.network.variants import VARIANTS, variant_config
from aethernet.progress import Progress

PASSES = 3
"""Forward, gradient of the input, gradient of the weights: each costs the forward pass's multiply-accumulates."""


@dataclass(frozen=True)
class TrainingRow:
    """One network. `macs` are those of a batch's forward pass; `per_mac` is the time for each of them over that of the
    first network."""

    model: str
    timing: Timing
    parameters: int
    macs: int
    per_mac: float


@dataclass(frozen=True)
class TrainingReport:
    """Training iterations, the first network's being what ratios refer to."""

    rows: list[TrainingRow]
    conditions: Conditions


def measure_training(
    models: Sequence[str],
    *,
    batch: int = 4,
    patch: int = 48,
    threads: int = 1,
    rounds: int = 10,
    warmup: int = 2,
    progress: Progress | None = None,
) -> TrainingReport:
    """Times forward, L1 loss and backward of every network in training mode, all in turn.

    Args:
        models: variants such as `aether_small_x4`, and networks of others such as `spandrel:Compact(...)`, in the form
            that is trained.
        batch, patch: pictures in an iteration and their low-resolution side.

    Raises:
        ConfigError: no such network. UsageError: one without anything to train or to count.
    """
    networks = {model: trainable(model) for model in dict.fromkeys(models)}
    scales = {model: probe_scale(network.eval(), 3, model) for model, network in networks.items()}
    macs = {model: network_complexity(network, patch, patch).macs or 0 for model, network in networks.items()}
    for model, network in networks.items():
        if not any(parameter.requires_grad for parameter in network.parameters()) or not macs[model]:
            raise UsageError(f"{model} has no weights to train or no multiply-accumulates: give a network with both")
    candidates = [
        Candidate(model, training_iteration(network.train(), batch, patch, scales[model]))
        for model, network in networks.items()
    ]
    timings = time_candidates(candidates, rounds=rounds, warmup=warmup, threads=threads, progress=progress)
    first = macs[timings[0].name]
    rows = [
        TrainingRow(
            timing.name,
            timing,
            sum(parameter.numel() for parameter in networks[timing.name].parameters() if parameter.requires_grad),
            batch * macs[timing.name],
            timing.ratio * first / macs[timing.name],
        )
        for timing in timings
    ]
    size = f"training on {batch} patches of {patch}x{patch}"
    return TrainingReport(rows, measurement_conditions(threads=threads, precision="fp32", size=size))


def trainable(model: str) -> nn.Module:
    """The network of a text in the form that is trained, with random weights (seed 0)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        match = NAME_PATTERN.fullmatch(model)
        if match is None:
            return build_trainable(model)
        if match[1] not in VARIANTS:
            raise ConfigError(f"there is no variant {match[1]!r}; known: {', '.join(VARIANTS)}")
        return AetherNet(variant_config(match[1], int(match[2])))


def training_iteration(
    network: nn.Module, batch: int, patch: int, scale: int, in_channels: int = 3
) -> Callable[[], object]:
    """A callable that runs forward, L1 loss and backward once, without the optimiser's step."""
    generator = torch.Generator().manual_seed(0)
    lq = torch.rand(batch, in_channels, patch, patch, generator=generator)
    gt = torch.rand(batch, in_channels, patch * scale, patch * scale, generator=generator)

    def run() -> None:
        network.zero_grad(set_to_none=True)
        F.l1_loss(network(lq), gt).backward()

    return run


def giga_macs_per_second(row: TrainingRow) -> float:
    """What the machine computes for it, all passes counted."""
    return PASSES * row.macs / row.timing.median_ms / 1e6
