"""Networks of others for comparison, through spandrel: built from a text or loaded from a weights file.

Architectures of spandrel are named as in `EXAMPLE`; any other importable network as in `CLASS_EXAMPLE`. Option files
and recipes are passed on as data, so a text calls nothing but what is declared to be a network: see `is_network_maker`.
"""

import ast
import importlib
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_type_hints

import torch
from torch import nn

from aethernet.checkpoint.checkpoint import read_weights
from aethernet.checks import near
from aethernet.errors import CheckpointError, ConfigError, MissingDependencyError
from aethernet.integrations.basicsr import compat

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

PREFIX = "spandrel:"
EXAMPLE = "spandrel:Compact(num_feat=32, num_conv=8, upscale=4)"
CLASS_EXAMPLE = "package.module:Class(width=32, upscale=4)"
PEER_TEXT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\(.*\)", re.DOTALL)


def build_peer(text: str, seed: int = 0) -> nn.Module:
    """A network of others with random weights from a text such as `EXAMPLE` or `CLASS_EXAMPLE`, deployed, in eval mode.

    The arguments are Python literals by keyword. The module that the text names is imported, which runs it; called is
    only what `is_network_maker` accepts.

    Raises:
        ConfigError: the text is no such call, no such architecture, or arguments that it refuses.
        MissingDependencyError: spandrel is not installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_trainable(text).eval()
    return deployed(network)


def build_trainable(text: str) -> nn.Module:
    """The network of a text as its author trains it, with random weights from torch's generator; raises likewise."""
    target, arguments = parse_peer(text)
    try:
        network = target(**arguments)
    except (TypeError, ValueError, KeyError, AssertionError, RuntimeError) as error:
        signature = ", ".join(inspect.signature(target).parameters)
        raise ConfigError(f"{text} cannot be built ({error}); {target.__name__} takes: {signature}") from error
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{text} gives a {type(network).__name__}, not a network (torch.nn.Module)")
    return network


def parse_peer(text: str) -> tuple[Callable[..., object], dict[str, object]]:
    """What a text calls, and with which arguments. Nothing is built."""
    source, name, arguments = _parse_call(text)
    if source != PREFIX.rstrip(":"):
        return _imported(source, name), arguments
    classes = _architectures()
    if name not in classes:
        closest = near(name, classes) or sorted(classes)
        raise ConfigError(f"spandrel has no architecture {name!r}; it has: {', '.join(closest)}")
    return classes[name], arguments


def build_with_weights(text: str, path: Path) -> nn.Module:
    """`build_peer` with weights that BasicSR saved, averaged ones (`params_ema`) if there are any.

    Raises:
        ConfigError: as for `build_peer`.
        CheckpointError: no such file, or weights of another network.
    """
    _, weights = read_weights(path)
    network = build_trainable(text).eval()
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} does not hold the weights of {text}: {reason}") from error
    return deployed(network)


def load_peer(path: Path) -> "ImageModelDescriptor | None":
    """A weights file of a single-image network, deployed; None if spandrel does not know whose it is.

    Raises:
        CheckpointError: the file is broken, or its network takes more than a picture.
        MissingDependencyError: spandrel is not installed.
    """
    spandrel = _spandrel()
    try:
        descriptor = spandrel.ModelLoader().load_from_file(path)
    except spandrel.UnsupportedModelError:
        return None
    except (ValueError, KeyError, RuntimeError, OSError, EOFError) as error:
        raise CheckpointError(f"spandrel cannot load {path}: {error}") from error
    if not isinstance(descriptor, spandrel.ImageModelDescriptor):
        raise CheckpointError(f"{path} holds {descriptor.architecture.name}, which takes more than one picture")
    deployed(descriptor.model.eval())
    return descriptor


def deployed(network: nn.Module) -> nn.Module:
    """Fixes what SPAN-like networks merge anew in every forward pass: the merged convolution stays, its branches go.

    In place; the function is unchanged. Their authors time them in this form.
    """
    module: Any  # what SPAN-like networks have beyond nn.Module
    for module in network.modules():
        if hasattr(module, "update_params") and "eval_conv" in module._modules:
            module.update_params()
            module.update_params = _nothing_to_update
            for branch in ("sk", "conv"):
                if branch in module._modules:
                    delattr(module, branch)
    return network


def probe_scale(network: nn.Module, in_channels: int, name: str, side: int = 32) -> int:
    """The scale of a network, from its output for a small picture; raises `ConfigError` if there is none."""
    try:
        with torch.no_grad():
            out = network(torch.zeros(1, in_channels, side, side))
    except (RuntimeError, ValueError, TypeError) as error:
        raise ConfigError(f"{name} does not take a picture (1, {in_channels}, {side}, {side}): {error}") from error
    if not isinstance(out, torch.Tensor):
        raise ConfigError(f"{name} gives a {type(out).__name__}, not a picture: give a network with one output")
    if out.ndim != 4 or out.shape[-1] % side or out.shape[-1] != out.shape[-2]:
        raise ConfigError(f"{name} makes {tuple(out.shape)} of a {side}x{side} picture: it is no upscaler")
    return out.shape[-1] // side


def _nothing_to_update() -> None:
    """Stands in for the merging of branches that are merged already."""


def _parse_call(text: str) -> tuple[str, str, dict[str, object]]:
    """The package or module, the name in it, and the arguments."""
    wrong = ConfigError(
        f"{text!r} is not of the form {EXAMPLE!r} or {CLASS_EXAMPLE!r}: a name and keyword arguments that are literals"
    )
    if not PEER_TEXT.fullmatch(text):
        raise wrong
    source, _, expression = text.partition(":")
    try:
        call = ast.parse(expression, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise wrong
        arguments = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg}
    except (SyntaxError, ValueError) as error:
        raise (error if error is wrong else wrong) from None
    if len(arguments) != len(call.keywords):
        raise wrong
    return source, call.func.id, arguments


def _imported(module_name: str, name: str) -> Callable[..., object]:
    """A class or function of a module that lies in the current folder or is installed."""
    compat.apply()  # BasicSR's own architectures may be meant, or what imports torchvision
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())  # `python -m` has it; a console script has its own folder instead
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(
            f"the module {module_name} cannot be imported ({error}): install its package, or work in its folder"
        ) from error
    target = getattr(module, name, None)
    if not callable(target):
        closest = near(name, dir(module))
        hint = f"; did you mean {' or '.join(closest)}?" if closest else ""
        raise ConfigError(f"{module_name} has no class or function {name!r}{hint}")
    if not is_network_maker(target):
        raise ConfigError(
            f"{module_name}:{name} is not declared to be a network and is not called: allowed are subclasses of "
            "torch.nn.Module, and functions whose return annotation is one, as in `def build() -> nn.Module`"
        )
    return target


def is_network_maker(target: object) -> bool:
    """Whether calling it is declared to give a network: a subclass of `nn.Module`, or a function annotated with one."""
    if inspect.isfunction(target):
        try:
            target = get_type_hints(target).get("return")
        except (NameError, AttributeError, TypeError, SyntaxError):  # an annotation that stands for nothing at run time
            return False
    return isinstance(target, type) and issubclass(target, nn.Module)


def _architectures() -> dict[str, type[nn.Module]]:
    """Every network class that spandrel's architecture packages offer, by the name they offer it under."""
    _spandrel()
    package = importlib.import_module("spandrel.architectures")
    classes = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if isinstance(value, type) and issubclass(value, nn.Module):
                classes[name] = value
    return classes


def _spandrel() -> ModuleType:
    compat.apply()  # spandrel imports torchvision
    try:
        return importlib.import_module("spandrel")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"networks of others are read through spandrel, and {error.name} is missing: pip install spandrel"
        ) from error
