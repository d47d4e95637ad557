"""Weights on disk: BasicSR `.pth` and `.safetensors`, read with nothing but tensors and written whole or not at all."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from aethernet import pretrained
from aethernet.config import CONFIG_KEY, AetherConfig
from aethernet.errors import CheckpointError
from aethernet.files import atomic_path
from aethernet.network import AetherNet

PREFERRED_KEYS = ("params_ema", "params")
"""BasicSR's names for the averaged and for the last weights, in the order in which they are taken."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights of an AetherNet as read from a file: tensors on the CPU, their configuration, where they stood."""

    path: Path
    key: str
    config: AetherConfig
    state_dict: dict[str, Tensor]

    def network(self, stage: str | None = None) -> AetherNet:
        """Builds the network in eval mode, in its own stage or in a later one (`fused`)."""
        network = AetherNet.from_state_dict(self.state_dict, stage=stage)
        return network.eval()


def read_checkpoint(path: str | Path, key: str | None = None) -> Checkpoint:
    """Reads the weights of an AetherNet.

    Args:
        path: a `.pth` of BasicSR, a bare state dict, a `.safetensors`, or the name of weights that come with the
            package, such as `aether_tiny_x4`.
        key: the entry to take from a BasicSR file; by default `params_ema`, then `params`.

    Raises:
        CheckpointError: no such file, not a weights file, not an AetherNet, or no such key.
    """
    path = pretrained.resolve(path)
    key, state_dict = read_weights(path, key)
    if CONFIG_KEY not in state_dict:
        names = ", ".join(list(state_dict)[:3])
        raise CheckpointError(f"{path} ({key}) holds no AetherNet weights: no entry {CONFIG_KEY!r} beside {names}, ...")
    return Checkpoint(path, key, AetherConfig.from_tensor(state_dict[CONFIG_KEY]), state_dict)


def read_weights(path: str | Path, key: str | None = None) -> tuple[str, dict[str, Tensor]]:
    """The weights of any network in a file, and the entry they stood in; arguments and errors as above."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file: give the .pth or .safetensors that training wrote")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    key, state_dict = _pick(content, key, path)
    return key, {name.removeprefix("module."): value for name, value in state_dict.items()}


def write_checkpoint(path: str | Path, network: AetherNet, metadata: Mapping[str, str] | None = None) -> None:
    """Writes the weights to `path`: `.safetensors`, or `.pth` with BasicSR's entry `params`.

    `metadata` are more texts for the header of a `.safetensors`; a `.pth` has no place for them.
    """
    path = Path(path)
    state_dict = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    if path.suffix not in (".pth", ".safetensors"):
        raise CheckpointError(f"weights are written as .pth or .safetensors, not as {path.name}")
    with atomic_path(path) as temporary:
        if path.suffix == ".pth":
            torch.save({"params": state_dict}, temporary)
        else:
            header = {"format": "pt", "network": network.config.title, **(metadata or {})}
            safetensors.torch.save_file(state_dict, temporary, header)


def load_network(name_or_path: str | Path, stage: str | None = None) -> AetherNet:
    """The network of a weights file, or of weights that come with the package, in eval mode.

    Args:
        name_or_path: a file, or a name such as `aether_tiny_x4` (training form) or `aether_tiny_x4_fused`.
        stage: a later stage than that of the weights (`fused`).
    """
    return read_checkpoint(name_or_path).network(stage)


def _read_safetensors(path: Path) -> dict:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error}): copy or download it again"
        ) from error


def _read_pickle(path: Path) -> dict:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message advises to load with weights_only=False, which runs whatever the file says.
        raise CheckpointError(
            f"{path} is not a file of plain tensors: it is damaged, a web page or pointer saved under this name, or "
            "holds Python objects, which are not loaded because they can run code"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): it is damaged or incomplete, copy it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a dictionary of weights")
    return content


def _pick(content: dict, key: str | None, path: Path) -> tuple[str, dict[str, Tensor]]:
    nested = {name: value for name, value in content.items() if isinstance(value, dict)}
    if key is not None:
        if key not in nested:
            raise CheckpointError(f"{path} has no entry {key!r}; it has: {', '.join(nested) or 'bare weights'}")
        return key, nested[key]
    for preferred in PREFERRED_KEYS:
        if preferred in nested:
            return preferred, nested[preferred]
    if nested or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(
            f"{path} holds no weights: expected one of {', '.join(PREFERRED_KEYS)}, found {list(content)}"
        )
    return "bare", content
