"""Files of weights that the options name: pretrained networks, a state to resume from, VGG for the perceptual loss."""

import importlib
import inspect
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from aethernet.checkpoint import pretrained as pretrained_weights
from aethernet.checkpoint.checkpoint import Checkpoint, read_checkpoint
from aethernet.checks import did_you_mean
from aethernet.errors import CheckpointError, ConfigError, OptionError
from aethernet.integrations.basicsr.preflight import schema
from aethernet.integrations.basicsr.preflight.classes import distillation, loss_sections
from aethernet.integrations.basicsr.preflight.context import Context, positive
from aethernet.integrations.basicsr.preflight.networks import aether_config, is_aether, network_channels
from aethernet.integrations.basicsr.training.distillation import teacher_problem
from aethernet.integrations.basicsr.training.perceptual import (
    AetherPerceptualLoss,
    cache_file,
    check_settings,
    require_file,
    smallest_side,
)
from aethernet.network.config import STAGES

logger = logging.getLogger(__name__)

DOWNLOAD = "python -c \"import torchvision; torchvision.models.{}(weights='IMAGENET1K_V1')\""
VGG_NETWORKS = ("VGGFeatureExtractor", "DFDNet")
"""Architectures of BasicSR that load VGG19 as its `PerceptualLoss` does."""


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
    """A VGG19 that is missing or another one, and whatever would make BasicSR download weights."""
    for place, section in loss_sections(context):
        if section["type"] == AetherPerceptualLoss.__name__:
            yield from _own_perceptual(context, place, section)
        elif section["type"] == "PerceptualLoss":
            vgg_type = section.get("vgg_type", "vgg19")
            yield from _stock_vgg(place, vgg_type, "Set type: AetherPerceptualLoss and weights: FILE. ")
    for place, section in context.networks.items():
        if section["type"] in VGG_NETWORKS:
            yield from _stock_vgg(place, section.get("vgg_type", "vgg19"), "")


def teacher(context: Context) -> Iterator[str]:
    """A teacher that is missing, of another scale, or of other colours."""
    options = distillation(context)
    if options is None:
        return
    channels = network_channels(context.opt["network_g"])
    if problem := teacher_problem(options.teacher, context.scale, channels[1] if channels else None):
        yield problem


def _own_perceptual(context: Context, place: str, section: Mapping) -> Iterator[str]:
    """What an `AetherPerceptualLoss` could not begin with; wrong arguments are told with the other losses'."""
    given = {name: value for name, value in section.items() if name != "type"}
    try:
        arguments = inspect.signature(AetherPerceptualLoss).bind(**given)
    except TypeError:
        return
    arguments.apply_defaults()
    weights = arguments.arguments.pop("weights")
    try:
        check_settings(**arguments.arguments)
        require_file(weights, arguments.arguments["sha256"])
    except (OptionError, CheckpointError) as error:
        yield f"{place}: {error}"
        return
    least = smallest_side(section["layer_weights"])
    sizes = (context.opt["datasets"].get("train") or {}, context.opt)  # RealESRGAN's patches are cut by the top level's
    sides = [side for each in sizes if (side := positive(each.get("gt_size"))) is not None]
    side = min(sides, default=least)
    if side < least:
        yield (
            f"{place}: patches of gt_size: {side} are too small for the deepest of layer_weights, which needs {least}: "
            f"set gt_size to at least {least}, or take layers from further up"
        )


def _stock_vgg(place: str, vgg_type: object, other: str) -> Iterator[str]:
    """BasicSR takes a file in a fixed place, else what torchvision has downloaded, else it downloads."""
    local = Path(importlib.import_module("basicsr.archs.vgg_arch").VGG_PRETRAIN_PATH)
    if local.is_file() and vgg_type != "vgg19":
        yield (
            f"{place}: vgg_type: BasicSR loads {local}, which is VGG19's, for {vgg_type} too: write vgg19, or move the file"
        )
        return
    files = torchvision_files()
    if vgg_type not in files:
        yield f"{place}: vgg_type: {vgg_type!r} is none that BasicSR knows; {did_you_mean(vgg_type, files)}"
        return
    name = files[str(vgg_type)]
    cached = cache_file(name)
    file = local if local.is_file() else cached
    if not file.is_file():
        places = f"neither at {local.absolute()} nor" if vgg_type == "vgg19" else "not"
        without = ". Or train without: perceptual_opt: ~" if other else ""
        fetched = f"a machine that is online gets it with {DOWNLOAD.format(vgg_type)}"
        yield (
            f"{place}: the weights of {vgg_type} ({name}) are {places} at {cached}, and BasicSR would download them during "
            f"the start, which is refused. {other}Copy the file there: {fetched}{without}"
        )
        return
    try:
        require_file(file, Path(name).stem.rpartition("-")[2])
    except CheckpointError as error:
        yield f"{place}: {error}"


def torchvision_files() -> dict[str, str]:
    """The names of torchvision's files of weights for what `vgg_type` may be, by it."""
    models = importlib.import_module("torchvision.models")
    kinds = [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]
    return {kind: Path(models.get_model_weights(kind).IMAGENET1K_V1.url).name for kind in kinds}


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
