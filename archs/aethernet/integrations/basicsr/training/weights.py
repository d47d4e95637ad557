"""Networks and training states on disk, for the model classes: read with checks, written whole or not at all."""

import logging
from pathlib import Path

from basicsr.models.base_model import BaseModel
from basicsr.utils.dist_util import master_only
from torch import nn

from aethernet.checkpoint.checkpoint import Checkpoint, read_checkpoint, torch_bytes
from aethernet.errors import CheckpointError
from aethernet.files import write_bytes
from aethernet.network.config import CONFIG_KEY
from aethernet.network.network import AetherNet
from aethernet.wording import how_many

logger = logging.getLogger("basicsr")  # BasicSR's own, which writes the log file of the run


class WholeCheckpoints(BaseModel):
    """Replaces BasicSR's loading and saving; names and layout of the files stay.

    BasicSR writes over the former file, retries, and then goes on without having saved. Here a file is the former
    one or the new one, and an error stops the training.
    """

    def load_network(
        self, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = "params"
    ) -> None:
        """Loads an AetherNet from a `.pth` or a `.safetensors`; other networks load as in BasicSR.

        Weights of an earlier stage are fused on the way in. A file without the entry `param_key` gives what it has.
        With `strict: false` weights of another configuration give the tensors that fit.

        Raises:
            CheckpointError: no such file, not a file of weights, those of another network, or incomplete ones.
            StageError: weights of a later stage.
        """
        network = self.get_bare_model(net)
        if not isinstance(network, AetherNet):
            super().load_network(net, load_path, strict, param_key)
            return
        checkpoint = read_entry(load_path, param_key)
        logger.info(
            f"Loading {network.config.title} from {load_path}: {checkpoint.config.title}, entry {checkpoint.key}."
        )
        if not strict and network.config.differences(checkpoint.config):
            load_what_fits(network, checkpoint)
            return
        checkpoint.require_sound()
        network.load_state_dict(checkpoint.state_dict)

    @master_only
    def save_network(
        self,
        net: nn.Module | list[nn.Module],
        net_label: str,
        current_iter: int,
        param_key: str | list[str] = "params",
    ) -> None:
        """Writes `models/{net_label}_{current_iter}.pth` (-1: `latest`), one entry for each network."""
        nets = net if isinstance(net, list) else [net]
        keys = param_key if isinstance(param_key, list) else [param_key]
        content = {
            key: {name: value.detach().cpu() for name, value in self.get_bare_model(each).state_dict().items()}
            for key, each in zip(keys, nets, strict=True)
        }
        label = "latest" if current_iter == -1 else current_iter
        write_whole(content, Path(self.opt["path"]["models"]) / f"{net_label}_{label}.pth")

    @master_only
    def save_training_state(self, epoch: int, current_iter: int) -> None:
        """Writes `training_states/{current_iter}.state`, from which training resumes; nothing at the end (-1).

        A model's `further_state` goes with it, if it has such a mapping.
        """
        if current_iter == -1:
            return
        state = {
            "epoch": epoch,
            "iter": current_iter,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
            **getattr(self, "further_state", {}),
        }
        write_whole(state, Path(self.opt["path"]["training_states"]) / f"{current_iter}.state")


def read_entry(path: str | Path, key: str | None) -> Checkpoint:
    """The weights below `key`, or what the file has instead: `params_ema`, `params`, or bare weights."""
    try:
        return read_checkpoint(path, key)
    except CheckpointError:
        return read_checkpoint(path)  # or this one's error, which tells what is wrong with the file


def load_what_fits(network: AetherNet, checkpoint: Checkpoint) -> None:
    """Loads the tensors of equal name and shape, as when a x4 network starts from x2 weights."""
    own = network.state_dict()
    given = checkpoint.network(stage=network.config.stage).state_dict()
    del given[CONFIG_KEY]
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    logger.warning(
        f"{checkpoint.path}: {len(fitting)} of {how_many(len(own) - 1, 'tensor')} fit, the others keep their initial values "
        f"({'; '.join(network.config.differences(checkpoint.config))})."
    )
    network.load_state_dict({**own, **fitting})


def write_whole(content: dict, path: Path) -> None:
    """`torch.save` beside the file and then over it; errors are raised."""
    write_bytes(path, torch_bytes(content))
