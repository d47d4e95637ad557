"""Weights on disk: BasicSR `.pth` and `.safetensors`, read with nothing but tensors and written whole or not at all."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from aethernet.checkpoint import pretrained
from aethernet.checkpoint.weights_files import DIGEST, read_content, tensors_digest
from aethernet.errors import AetherError, CheckpointError, ForeignWeightsError, OutputError
from aethernet.files import atomic_path
from aethernet.network.config import ARCH_VERSION, COLOR_ORDERS, CONFIG_KEY, VERSION_FIELD, AetherConfig, Stage
from aethernet.network.migrations import up_to_date
from aethernet.network.network import AetherNet
from aethernet.network.reference import refuse_reference
from aethernet.version import __version__

PREFERRED_KEYS = ("params_ema", "params-ema", "params", "state_dict", "model_state_dict", "model")
"""Names for the averaged weights (BasicSR and traiNNer-redux; neosr) and for the last ones, in the order in which they are
taken, then those that loops of one's own have. traiNNer-redux's `.safetensors` are bare weights."""
PREFIXES = ("module.", "_orig_mod.")
"""What distributed training, a weight average and `torch.compile` put in front of names."""
COUNTER = ".iterations"
"""End of the names of counts. Half precision has no number over 65504: there, such a count is infinite."""
NAMED = 3
"""How many tensors a message names."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights of an AetherNet as read from a file: tensors on the CPU, their configuration, where they stood."""

    path: Path
    key: str
    config: AetherConfig
    state_dict: dict[str, Tensor]

    def network(self, stage: Stage | None = None) -> AetherNet:
        """Builds the network in eval mode, in its own stage or in a later one (`fused`).

        Raises:
            CheckpointError: tensors are missing, strange, or not finite.
            StageError: an earlier stage, or int8 without ranges.
        """
        self.require_sound()
        network = AetherNet.from_state_dict(self.state_dict, stage=stage)
        return network.eval()

    def require_sound(self) -> None:
        """Raises `CheckpointError` unless these are all the tensors of the configuration, and all are finite."""
        where = f"{self.path} ({self.key})"
        require_whole(self.state_dict, self.config, where)
        require_finite(self.state_dict, where)


def read_checkpoint(path: str | Path, key: str | None = None) -> Checkpoint:
    """Reads the weights of an AetherNet, of this release or of an earlier one.

    Args:
        path: a `.pth` of BasicSR, traiNNer-redux or neosr, a bare state dict, a `.safetensors`, or the name of weights
            that come with the package, such as `aether_tiny_x4`.
        key: the entry to take from such a `.pth`; by default `params_ema`, `params-ema`, `params`, `state_dict`,
            `model_state_dict` or `model`, in this order.

    Raises:
        ForeignWeightsError: something else than weights of an AetherNet.
        CheckpointError: no such file, not a weights file, damaged, a later version, or no such key. Whether the tensors
            are complete and finite is asked by `Checkpoint.network`, so that damaged weights can be looked at.

    Example:
        >>> from aethernet import read_checkpoint
        >>> checkpoint = read_checkpoint("aether_tiny_x2")
        >>> checkpoint.config.title, checkpoint.network(stage="fused").config.stage
        ('aether_tiny x2 (stage train)', 'fused')
    """
    path = pretrained.resolve(path)
    key, state_dict = read_weights(path, key)
    refuse_reference(state_dict, f"{path} ({key})")
    if CONFIG_KEY not in state_dict:
        names = ", ".join(list(state_dict)[:NAMED])
        raise ForeignWeightsError(
            f"{path} ({key}) holds no AetherNet weights: no entry {CONFIG_KEY!r} beside {names}, ...; it is another "
            "network's file, or was written by a tool that leaves entries out"
        )
    try:
        state_dict = dict(up_to_date(state_dict))
        return Checkpoint(path, key, AetherConfig.from_tensor(state_dict[CONFIG_KEY]), state_dict)
    except AetherError as error:
        raise CheckpointError(f"{path} ({key}): {error}") from error


def read_weights(path: str | Path, key: str | None = None) -> tuple[str, dict[str, Tensor]]:
    """The weights of any network in a file, and the entry they stood in; arguments and errors as above."""
    path = Path(path)
    key, state_dict = _pick(read_content(path), key, path)
    return key, bare_names(state_dict)


def write_checkpoint(path: str | Path, network: AetherNet, metadata: Mapping[str, str] | None = None) -> None:
    """Writes the weights to `path`: `.safetensors`, or `.pth` with BasicSR's entry `params`.

    Args:
        path: the file; one of this name is replaced, whole or not at all.
        metadata: more texts for the header of a `.safetensors`, or other ones; a `.pth` has no place for them.

    Raises:
        OutputError: another ending.

    Example:
        >>> from aethernet import aether_tiny, load_network, write_checkpoint
        >>> write_checkpoint("mine.safetensors", aether_tiny(scale=2))
        >>> load_network("mine.safetensors").config.title
        'aether_tiny x2 (stage train)'
    """
    path = Path(path)
    state_dict = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    if path.suffix not in (".pth", ".safetensors"):
        raise OutputError(f"weights are written as .pth or .safetensors, not as {path.name}")
    with atomic_path(path) as temporary:
        if path.suffix == ".pth":
            temporary.write_bytes(torch_bytes({"params": state_dict}))
        else:
            header = {**file_metadata(network.config), **(metadata or {}), DIGEST: tensors_digest(state_dict)}
            temporary.write_bytes(safetensors.torch.save(state_dict, header))


def torch_bytes(content: object) -> bytes:
    """What `torch.save` writes. Writing the bytes ourselves tells of a full disk as such, and not of an `unexpected pos`; and
    given a path, torch writes its name, a random one, into the file."""
    with io.BytesIO() as file:
        torch.save(content, file)
        return file.getvalue()


def file_metadata(config: AetherConfig) -> dict[str, str]:
    """What the header of a `.safetensors` tells people, by the names that our ONNX files use; loading needs none of it."""
    return {
        "format": "pt",
        "network": config.title,
        "architecture": "AetherNet",
        "name": config.name,
        "scale": str(config.scale),
        "stage": config.stage,
        VERSION_FIELD: str(ARCH_VERSION),
        "aethernet_version": __version__,
        "color_order": COLOR_ORDERS[config.in_channels],
        "value_range": "0..1",
    }


def load_network(name_or_path: str | Path, stage: Stage | None = None) -> AetherNet:
    """The network of a weights file, or of weights that come with the package, in eval mode.

    Args:
        name_or_path: a file, or a name such as `aether_tiny_x4` (training form) or `aether_tiny_x4_fused`.
        stage: a later stage than that of the weights (`fused`).

    Returns:
        An `AetherNet`: (N, C, H, W) in [0, 1], RGB or grey -> (N, C, scale H, scale W).

    Raises:
        AetherError: as `read_checkpoint` and `Checkpoint.network`.

    Example:
        >>> import torch
        >>> from aether_arch import load_network
        >>> load_network("aether_tiny_x4")(torch.rand(1, 3, 24, 32)).shape
        torch.Size([1, 3, 96, 128])
    """
    return read_checkpoint(name_or_path).network(stage)


def require_whole(state_dict: Mapping[str, Tensor], config: AetherConfig, where: str | Path) -> None:
    """Raises `CheckpointError`, with the names, unless these are the tensors of a network of `config`.

    Args:
        where: what to call them in the message, such as their file.
    """
    with torch.device("meta"):
        expected = {name: value.shape for name, value in AetherNet(config).state_dict().items() if name != CONFIG_KEY}
    found = {name: value.shape for name, value in state_dict.items() if name != CONFIG_KEY}
    shapes = [
        f"{name} {tuple(found[name])} instead of {tuple(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    problems = {
        "lacks": [name for name in expected if name not in found],
        "has unknown": [name for name in found if name not in expected],
        "has in another shape": shapes,
    }
    told = [f"{what} {_listed(names)}" for what, names in problems.items() if names]
    if told:
        raise CheckpointError(
            f"{where} is not whole: for {config.title}, it {'; '.join(told)}. Take the file as training wrote it"
        )


def require_finite(state_dict: Mapping[str, Tensor], where: str | Path) -> None:
    """Raises `CheckpointError`, with the names, if a tensor has a number that is NaN or infinite."""
    broken = {}
    for name, value in state_dict.items():
        if value.is_floating_point() and not (name.endswith(COUNTER) and value.isposinf().all()):
            count = value.numel() - int(torch.isfinite(value).sum())
            if count:
                broken[name] = count
    if broken:
        told = _listed([f"{name} ({count:,} of {state_dict[name].numel():,})" for name, count in broken.items()])
        raise CheckpointError(
            f"{where} holds numbers that are NaN or infinite, in {told}: the training diverged or the file is damaged; "
            "take an earlier checkpoint"
        )


def _listed(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def bare_name(name: str) -> str:
    """Of a tensor, without what wrappers put in front."""
    while name.startswith(PREFIXES):
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
    return name


def bare_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a network without what wrappers put in front of their names, as a module that holds the network does.

    Of a module that holds more than one AetherNet, or none, only the wrappers that PyTorch itself has are taken away.
    """
    bare = {bare_name(name): value for name, value in state_dict.items()}
    held = [name for name in bare if name.endswith(f".{CONFIG_KEY}")]
    if CONFIG_KEY in bare or len(held) != 1:
        return bare
    prefix = held[0].removesuffix(CONFIG_KEY)
    return {name.removeprefix(prefix): value for name, value in bare.items() if name.startswith(prefix)}


def _pick(content: dict, key: str | None, path: Path) -> tuple[str, dict[str, Tensor]]:
    """The entry `key`, or the first preferred one, or `content` itself."""
    nested = {name: value for name, value in content.items() if isinstance(value, dict)}
    if key is not None and key not in nested:
        raise CheckpointError(f"{path} has no entry {key!r}; it has: {', '.join(map(str, nested)) or 'bare weights'}")
    key = key or next((preferred for preferred in PREFERRED_KEYS if preferred in nested), None)
    weights = content if key is None else nested[key]
    if key == "state_dict":
        refuse_reference(nested[key], path)  # as its `save_optimized` writes them
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        found = _listed([str(name) for name in content]) or "nothing"
        raise ForeignWeightsError(
            f"{path} holds no weights{f' in {key!r}' if key else ''}: expected one of {', '.join(PREFERRED_KEYS)}, "
            f"found {found}. Give the weights that training wrote, not its state"
        )
    return key or "bare", weights
