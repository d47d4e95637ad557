"""What fusion saves at inference, and what each branch costs in training."""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aethernet.bench.complexity import Complexity, network_complexity
from aethernet.bench.timing import Candidate, Timing, time_candidates
from aethernet.bench.training import training_iteration
from aethernet.conditions import Conditions, measurement_conditions
from aethernet.errors import ConfigError
from aethernet.network.blocks import GatedConvFFN, ReparamLargeKernelConv, ScaledConv2d
from aethernet.network.config import AetherConfig
from aethernet.network.depthwise import depthwise_conv2d
from aethernet.network.network import AetherNet
from aethernet.network.variants import VARIANTS, variant_config
from aethernet.progress import Progress

NOTHING = "nothing"
"""What is left out of the whole network."""


@dataclass(frozen=True)
class FormTiming:
    """The forward pass of a variant as it is trained or as it is deployed; ratios refer to the fused form."""

    variant: str
    form: str
    timing: Timing
    complexity: Complexity


@dataclass(frozen=True)
class BranchTiming:
    """One training iteration (forward, L1 loss, backward) with a part left out; ratios refer to the whole network."""

    variant: str
    left_out: str
    timing: Timing
    parameters: int


@dataclass(frozen=True)
class FusionReport:
    """Both tables, each with what it was measured on."""

    forms: list[FormTiming]
    branches: list[BranchTiming]
    forms_conditions: Conditions
    branches_conditions: Conditions


class LargeKernelConv(nn.Module):
    """`ReparamLargeKernelConv` without the small kernel."""

    bias: nn.Parameter | None

    def __init__(self, mixer: ReparamLargeKernelConv) -> None:
        super().__init__()
        self.large, self.bias, self.norm = mixer.large, mixer.bias, mixer.norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(depthwise_conv2d(x, self.large, self.bias))


def measure_fusion(
    variants: Sequence[str],
    *,
    scale: int = 4,
    size: tuple[int, int] = (128, 128),
    batch: int = 4,
    patch: int = 48,
    threads: int = 1,
    rounds: int = 10,
    warmup: int = 2,
    progress: Progress | None = None,
) -> FusionReport:
    """Measures fused against unfused at `size`, and training with and without each branch, variant by variant.

    Args:
        variants: names such as `small`.
        size: height and width of the low-resolution input of the forward pass.
        batch, patch: pictures in a training iteration and their low-resolution side.

    Raises:
        ConfigError: an unknown variant or scale.
    """
    forms: list[FormTiming] = []
    branches: list[BranchTiming] = []
    for variant in variants:
        if variant not in VARIANTS:
            raise ConfigError(f"there is no variant {variant!r}; known: {', '.join(VARIANTS)}")
    for variant in variants:
        config = variant_config(variant, scale)
        networks = network_forms(config)
        x = torch.rand(1, config.in_channels, *size, generator=torch.Generator().manual_seed(0))
        timings = time_candidates(
            [Candidate(form, _inference(network, x)) for form, network in networks.items()],
            rounds=rounds, warmup=warmup, threads=threads, progress=progress,
        )  # fmt: skip
        for timing, network in zip(timings, networks.values(), strict=True):
            forms.append(FormTiming(variant, timing.name, timing, network_complexity(network, *size)))
        ablated = ablations(config)
        timings = time_candidates(
            [Candidate(part, training_iteration(network, batch, patch, scale)) for part, network in ablated.items()],
            rounds=rounds, warmup=warmup, threads=threads, progress=progress,
        )  # fmt: skip
        for timing, network in zip(timings, ablated.values(), strict=True):
            parameters = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
            branches.append(BranchTiming(variant, timing.name, timing, parameters))
    return FusionReport(
        forms,
        branches,
        measurement_conditions(threads=threads, precision="fp32", size=f"input {size[0]}x{size[1]}"),
        measurement_conditions(
            threads=threads, precision="fp32", size=f"training on {batch} patches of {patch}x{patch}"
        ),
    )


def network_forms(config: AetherConfig) -> dict[str, AetherNet]:
    """One network in eval mode as it is deployed and as it is trained."""
    unfused = AetherNet(config).eval()
    return {"fused": copy.deepcopy(unfused).fuse_model(), "unfused": unfused}


def ablations(config: AetherConfig) -> dict[str, AetherNet]:
    """The network in train mode, whole first, then with one part left out each; weights are random.

    The norm is in its first phase, on batch statistics; `norm, frozen` is its second phase, in which it is affine. A
    network of plain blocks has none of these parts.
    """
    config = dataclasses.replace(config, stage="train", norm_freeze_iter=None)
    if config.block == "plain":
        return {NOTHING: AetherNet(config).train()}
    smallest = (3,) * len(config.depths)
    networks = {
        NOTHING: AetherNet(config),
        "large kernel (3x3 only)": AetherNet(dataclasses.replace(config, kernel_size=smallest)),
        "3x3 branch": AetherNet(config),
        "norm": AetherNet(dataclasses.replace(config, norm_type="none")),
        "batch statistics (norm frozen)": AetherNet(dataclasses.replace(config, norm_freeze_iter=0)),
        "temperature and scales": AetherNet(config),
    }
    for name, module in list(networks["3x3 branch"].named_modules()):
        if isinstance(module, ReparamLargeKernelConv):
            networks["3x3 branch"].set_submodule(name, LargeKernelConv(module))
    for module in networks["temperature and scales"].modules():
        if isinstance(module, GatedConvFFN):
            for name in ("gate", "out"):
                part = module.get_submodule(name)
                assert isinstance(part, ScaledConv2d)
                module.set_submodule(name, part.conv)
    return {name: network.train() for name, network in networks.items()}


def _inference(network: nn.Module, x: Tensor) -> Callable[[], object]:
    @torch.inference_mode()
    def run() -> Tensor:
        return network(x)

    return run
