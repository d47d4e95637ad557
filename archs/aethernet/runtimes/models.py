"""What may stand for MODEL on the command line, and what it becomes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from aethernet.checkpoint import pretrained
from aethernet.checkpoint.checkpoint import load_network
from aethernet.checks import did_you_mean
from aethernet.errors import CheckpointError, ConfigError, ForeignWeightsError
from aethernet.integrations.peers import (
    EXAMPLE,
    PEER_TEXT,
    PREFIX,
    build_peer,
    build_with_weights,
    load_peer,
    probe_scale,
)
from aethernet.network.config import NAME_PATTERN
from aethernet.network.network import AetherNet
from aethernet.network.variants import VARIANTS, variant_config
from aethernet.runtimes.ncnn import inspect_ncnn
from aethernet.runtimes.onnxruntime import inspect_onnx

PEER_WITH_WEIGHTS = re.compile(rf"({PEER_TEXT.pattern})@(.+)", re.DOTALL)
WEIGHTS_SUFFIXES = (".pth", ".safetensors", ".pt", ".ckpt")
KNOWN = f"a variant such as aether_tiny_x4, a weights file ({' '.join(WEIGHTS_SUFFIXES)}), an .onnx file, a .param of ncnn, or {EXAMPLE}"


@dataclass(frozen=True)
class Model:
    """What MODEL names: a network in its deployed form, in eval mode on the CPU, or a file of a runtime.

    `label` is its name in tables, `trained` is False for random weights; `batch`, `size` and `metadata` are those of
    `OnnxFacts`. Height and width must be multiples of `multiple`, and `least` or more.
    """

    spec: str
    label: str
    scale: int
    in_channels: int
    trained: bool = True
    network: nn.Module | None = None
    onnx: Path | None = None
    ncnn: Path | None = None
    batch: int | None = None
    size: tuple[int, int] | None = None
    multiple: int = 1
    least: int = 1
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path | None:
        """Of a runtime, whose precision is its own; None for a network."""
        return self.onnx or self.ncnn

    @property
    def file_kind(self) -> str:
        """What such a file is called."""
        return "an ncnn file" if self.ncnn is not None else "an ONNX file"

    @property
    def for_tensorrt(self) -> bool:
        """A file for TensorRT, which does not run here: others compute it as written, their fused kernels tell nothing."""
        return self.metadata.get("target") == "tensorrt"


def resolve_model(spec: str) -> Model:
    """Turns the text of a MODEL argument into what it names.

    A variant takes the weights that come with the package; without such, it is built with random ones (seed 0). An
    AetherNet is fused; weights of another architecture go through spandrel.

    Raises:
        AetherError: the subclass that fits, with what is allowed.
    """
    path = Path(spec)
    if PEER_TEXT.fullmatch(spec):
        return _peer_model(spec, spec.removeprefix(PREFIX), build_peer(spec), trained=False)
    if with_weights := PEER_WITH_WEIGHTS.fullmatch(spec):
        text, weights = with_weights[1], Path(with_weights[2])
        return _peer_model(spec, weights.name, build_with_weights(text, weights))
    if spec.startswith(PREFIX):
        raise ConfigError(f"{spec!r} is not of the form {EXAMPLE!r}, with @FILE behind it for its weights")
    if spec in pretrained.available():
        return _aether_model(spec, spec, load_network(spec))
    if match := NAME_PATTERN.fullmatch(spec):
        return _variant(spec, match[1], int(match[2]))
    if path.suffix == ".onnx":
        facts = inspect_onnx(path)
        return Model(
            spec,
            path.name,
            facts.scale,
            facts.in_channels,
            onnx=path,
            batch=facts.batch,
            size=facts.size,
            metadata=facts.metadata,
        )
    if path.suffix == ".param":
        graph = inspect_ncnn(path)
        assert graph.scale is not None  # it was run
        radius = {"tile_radius": graph.tile_radius} if graph.tile_radius else {}
        return Model(spec, path.name, graph.scale, graph.in_channels, ncnn=path, metadata=radius)
    if path.suffix in WEIGHTS_SUFFIXES:
        return _weights(spec, path)
    if path.suffix == ".bin" and path.with_suffix(".param").is_file():
        raise ConfigError(f"{spec!r} holds the weights of an ncnn model: give its graph, {path.with_suffix('.param')}")
    raise ConfigError(f"{spec!r} is not a model; {pretrained.hint(spec)}; or give {KNOWN}")


def _variant(spec: str, variant: str, scale: int) -> Model:
    if variant not in VARIANTS:
        raise ConfigError(
            f"there is no variant {variant!r} ({did_you_mean(variant, VARIANTS)}); of weights, {pretrained.hint(spec)}"
        )
    try:
        config = variant_config(variant, scale)
    except ConfigError as error:
        raise ConfigError(f"{spec!r} is not a model ({error}); {pretrained.hint(spec)}") from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = AetherNet(config)
    return _aether_model(spec, spec, network.eval(), trained=False)


def _weights(spec: str, path: Path) -> Model:
    try:
        return _aether_model(spec, path.name, load_network(path))
    except ForeignWeightsError as error:
        peer = load_peer(path)
        if peer is None:
            raise CheckpointError(f"{error}, and spandrel does not know the architecture either") from error
        sizes = peer.size_requirements
        return Model(
            spec, path.name, peer.scale, peer.input_channels,
            network=peer.model, multiple=sizes.multiple_of, least=max(1, sizes.minimum),
        )  # fmt: skip


def _aether_model(spec: str, label: str, network: AetherNet, trained: bool = True) -> Model:
    network.fuse_model()
    return Model(spec, label, network.config.scale, network.config.in_channels, trained, network=network)


def _peer_model(spec: str, label: str, network: nn.Module, trained: bool = True) -> Model:
    return Model(spec, label, probe_scale(network, 3, spec), 3, trained, network=network)
