"""Files of weights that the options name: pretrained networks, a state to resume from, VGG for the perceptual loss."""

import importlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from aethernet.checkpoint import pretrained as pretrained_weights
from aethernet.checkpoint.checkpoint import Checkpoint, read_checkpoint
from aethernet.errors import CheckpointError, ConfigError
from aethernet.integrations.basicsr.preflight import schema
from aethernet.integrations.basicsr.preflight.context import Context
from aethernet.integrations.basicsr.preflight.networks import aether_config, is_aether
from aethernet.network.config import STAGES

logger = logging.getLogger(__name__)

VGG19 = "vgg19-dcbb9e9d.pth"
VGG19_DOWNLOAD = "python -c \"import torchvision; torchvision.models.vgg19(weights='IMAGENET1K_V1')\""
PERCEPTUAL_PLACE = "train: perceptual_opt"


def pretrained(context: Context) -> Iterator[str]:
    """Files that are missing, and weights of another network than the options describe."""
    path = context.opt["path"]
    for key in [key for key in path if key.startswith("pretrain_network_") and path[key] is not None]:
        network = key.removeprefix("pretrain_")
        if context.resumes and network not in (path.get("ignore_resume_networks") or ()):
            continue  # BasicSR takes the former run's weights instead
        ours = network in context.networks and is_aether(context.networks[network])
        if problem := _missing(path[key], ours):
            yield f"path: {key}: {problem}"
        elif ours:
            yield from _other_weights(context, network, key)
    if not context.is_train and path.get("pretrain_network_g") is None:
        logger.warning("path: pretrain_network_g: is not given, so an untrained network is going to be tested")


def ranges(context: Context) -> Iterator[str]:
    """Quantisation-aware training starts from trained weights, in float32, and stock models want ranges to be in them."""
    section, path = context.opt.get("network_g"), context.opt["path"]
    if not isinstance(section, Mapping) or not is_aether(section) or section.get("stage") != "qat":
        return
    if context.is_train and context.opt["train"].get("amp"):
        yield "train: amp: stage qat trains on int8 grids, which bf16 does not hold: set amp: ~"
    if context.resumes:
        return
    weights = path.get("pretrain_network_g")
    if weights is None:
        yield (
            "path: pretrain_network_g: stage qat starts from trained weights: give those of the float training, or what "
            "`aethernet calibrate WEIGHTS --data DIR -o FILE` made of them"
        )
        return
    try:
        checkpoint = _read(context, weights, path.get("param_key_g", "params"))
    except CheckpointError:
        return  # told by `pretrained`
    calibrates = context.is_train and context.model_type in schema.AETHER_MODELS
    if not checkpoint.config.quantized and not calibrates:
        who = context.model_type if context.is_train else "a test"
        yield (
            f"path: pretrain_network_g: {weights} is of stage {checkpoint.config.stage} and has no ranges of activations, "
            f"which {who} cannot find: run `aethernet calibrate {weights} --data DIR -o FILE` and name FILE"
            + (", or set model_type: AetherModel" if context.is_train else "")
        )


def resumed(context: Context) -> Iterator[str]:
    """A state that cannot be read, or without the weights that were saved beside it.

    With --auto_resume the newest state that is whole comes first, whatever the options name.
    """
    state = context.opt["path"].get("resume_state")
    if not state or (context.opt.get("auto_resume") and context.has_states):
        return
    resume = importlib.import_module("aethernet.integrations.basicsr.pipeline.resume")
    try:
        resume.read_state(Path(str(state)), context.opt)
    except CheckpointError as error:
        yield f"path: resume_state: {error}; name a .state of this experiment's training_states, or ~ to start anew"


def perceptual(context: Context) -> Iterator[str]:
    """BasicSR downloads VGG weights at the start of a training, or fails to."""
    section = context.opt["train"].get("perceptual_opt")
    if not section or section["type"] != "PerceptualLoss":
        return
    vgg_type = section.get("vgg_type", "vgg19")
    local = Path(importlib.import_module("basicsr.archs.vgg_arch").VGG_PRETRAIN_PATH)
    if vgg_type != "vgg19":
        logger.warning("%s: vgg_type: torchvision downloads the weights of %s if needed", PERCEPTUAL_PLACE, vgg_type)
        return
    cached = Path(torch.hub.get_dir()) / "checkpoints" / VGG19
    if not local.is_file() and not cached.is_file():
        yield (
            f"{PERCEPTUAL_PLACE}: the weights of VGG19 ({VGG19}) are neither at {local.absolute()} nor at {cached}. "
            f"Copy the file to one of them; a machine that is online gets it with {VGG19_DOWNLOAD}. Or train without: "
            "perceptual_opt: ~"
        )


def _missing(given: object, ours: bool) -> str:
    """What is wrong with an entry that is neither a file nor, for a network of ours, the name of packaged weights."""
    if isinstance(given, str):
        try:
            if os.path.isfile(pretrained_weights.resolve(given) if ours else given):
                return ""
        except CheckpointError as error:
            return str(error)
    names = ", the name of packaged weights" if ours else ""
    return f"{given} is not a file; give a .pth of a training{names}, or ~ to start without"


def _other_weights(context: Context, network: str, key: str) -> Iterator[str]:
    """What keeps the file of `path: key` from loading into an AetherNet."""
    path, section = context.opt["path"], context.networks[network]
    letter = network.removeprefix("network_")
    try:
        own = aether_config(section)
        checkpoint = _read(context, path[key], path.get(f"param_key_{letter}", "params"))
        checkpoint.require_sound()
    except ConfigError:
        return  # told with the network's arguments
    except CheckpointError as error:
        yield f"path: {key}: {error}"
        return
    differences = own.differences(checkpoint.config)
    if differences and path.get(f"strict_load_{letter}", True):
        yield (
            f"path: {key}: {path[key]} holds {checkpoint.config.title}, and {network} is {own.title}: "
            f"{'; '.join(differences)}. Name the file of this network, or set strict_load_{letter}: false to take "
            "the tensors that fit"
        )
    elif differences:
        logger.warning("path: %s: only tensors that fit are taken (%s)", key, "; ".join(differences))
    if STAGES.index(checkpoint.config.stage) > STAGES.index(own.stage):
        yield (
            f"path: {key}: {path[key]} is of stage {checkpoint.config.stage}, which cannot go back into stage "
            f"{own.stage}; set {network}: stage: {checkpoint.config.stage}, or name the weights from before"
        )


def _read(context: Context, path: str, key: str | None) -> Checkpoint:
    """Reads the entry that the model class will take: ours search for weights, BasicSR's fall back to `params`."""
    if context.model_type in schema.AETHER_MODELS:
        return importlib.import_module("aethernet.integrations.basicsr.training.weights").read_entry(path, key)
    if pretrained_weights.resolve(path).suffix == pretrained_weights.SUFFIX:
        raise CheckpointError(
            f"{path}: {context.model_type} reads .pth only; set model_type: AetherModel, or give a .pth"
        )
    try:
        checkpoint = read_checkpoint(path, key)
    except CheckpointError:
        if key in (None, "params"):
            raise
        return read_checkpoint(path, "params")
    if key is None and checkpoint.key != "bare":
        raise CheckpointError(f"{path} has named entries, and the param_key is ~; set it to {checkpoint.key}")
    return checkpoint
