"""The network sections: do the arguments build a network, and does its scale agree with that of the data sets?"""

import functools
import inspect
from collections.abc import Iterator, Mapping

from aethernet.checks import is_whole
from aethernet.errors import AetherError, ConfigError
from aethernet.integrations.basicsr.preflight import schema
from aethernet.integrations.basicsr.preflight.context import Context
from aethernet.integrations.basicsr.preflight.registries import argument_problems, find, is_basicsr, unknown
from aethernet.integrations.peer_arch import aether_peer
from aethernet.integrations.peers import EXAMPLE, build_peer, probe_scale
from aethernet.network.config import AetherConfig
from aethernet.network.variants import FACTORIES, variant_config
from aethernet.wording import how_many

SCALE_NAMES = ("scale", "upscale")
"""What BasicSR's architectures and ours call their scale."""
CHANNEL_NAMES = ("in_channels", "num_in_ch", "in_chans")
"""What they call the number of channels of a picture."""
RESULT_NAMES = ("num_out_ch",)
"""What some call that of the enlarged one; the others give what they take."""


def arguments(context: Context) -> Iterator[str]:
    """Unknown architectures, and arguments that they do not take. No network is built."""
    for place, section in context.networks.items():
        target = find("network", section["type"])
        if target is None:
            yield unknown("network", place, section["type"])
        elif target in FACTORIES:
            yield from _aether_problems(place, section)
        elif target is aether_peer:
            yield from _peer_problems(place, section)
        else:
            yield from argument_problems(place, target, section)


def scale(context: Context) -> Iterator[str]:
    """BasicSR gives the top-level scale to the data sets and never to the network."""
    if context.scale is None:
        given = context.opt.get("scale")
        if given is None and context.model_type not in schema.MODELS:
            return  # not everybody's model enlarges
        yield f"scale: must be a whole number such as 4 at the top level, beside name and model_type; given: {given!r}"
        return
    section = context.opt["network_g"]
    own = network_scale(section)
    if own is not None and own != context.scale:
        name = next((name for name in SCALE_NAMES if name in section), None)
        given = f"network_g: {name}: {own}" if name else f"network_g leaves its scale at the default {own}, which"
        if find("network", section["type"]) is aether_peer:
            given = f"network_g: network: {section['network']} enlarges by {own}, which"
        yield (
            f"{given} does not agree with the top-level scale: {context.scale}, which the data sets use; "
            "set both to the same number"
        )


def channels(context: Context) -> Iterator[str]:
    """Data sets give RGB, or one channel with `color: y`; a network takes one of both."""
    taken = {place: each for place, section in context.networks.items() if (each := network_channels(section))}
    for place, section in context.datasets:
        color, kind = section.get("color"), section["type"].removesuffix("_basicsr")
        if color not in (None, "y"):
            yield f"{place}: color: must be y (the Y channel alone, for a grey network), or be left out, not {color!r}"
            continue
        given, whole = (1, "the Y channel alone") if color == "y" else (3, "RGB")
        for network, (name, number) in taken.items():
            if number == given or kind not in schema.DATASETS:
                continue
            if number not in (1, 3):
                if context.model_type not in schema.MODELS:
                    continue  # which may give it more than one picture
                remedy = f"set {network}: {name}: {given}"
            elif given == 1:
                remedy = f"set {network}: {name}: 1 for a grey network, or remove color: y from every data set"
            elif "color" in schema.DATASETS[kind]:
                remedy = f"add color: y to {place}, or set {network}: {name}: 3"
            else:
                able = ", ".join(sorted(each for each, known in schema.DATASETS.items() if "color" in known))
                remedy = f"{kind} knows no color: y, so take one of {able}, or set {network}: {name}: 3"
            yield f"{place}: gives {whole}, and {network} takes {number} channel{'s' * (number > 1)}; {remedy}"
        for key in ("mean", "std"):
            if isinstance(section.get(key), list) and len(section[key]) not in (1, given):
                yield f"{place}: {key}: has {how_many(len(section[key]), 'number')}, and the set gives {whole}: give one number"
    yield from _results(context)


def _results(context: Context) -> Iterator[str]:
    """A network that gives other colours than it takes: losses would compare one channel with three, without a word."""
    section = context.opt.get("network_g")
    if not isinstance(section, Mapping) or context.model_type not in schema.MODELS or is_aether(section):
        return
    target, taken = find("network", section["type"]), network_channels(section)
    if target is None or taken is None:
        return
    name, number = taken
    given = _stock_channels(section, RESULT_NAMES)
    if given is not None and given[1] != number:
        yield f"network_g: {given[0]}: {given[1]} is not {name}: {number}: the data sets have the same colours in both pictures"
    if number == 1 and "rgb_mean" in inspect.signature(target).parameters:
        yield f"network_g: {section['type']} subtracts the mean of RGB pictures, so that {name} must be 3"


def processes(context: Context) -> Iterator[str]:
    """Several GPUs in one process: nn.DataParallel trains copies, which forget the norm statistics."""
    num_gpu = context.opt["num_gpu"]
    section = context.opt.get("network_g")
    if isinstance(section, Mapping) and is_aether(section) and not context.opt.get("dist") and num_gpu > 1:
        yield (
            f"num_gpu: {num_gpu} in one process would lose the norm statistics of {section['type']}: start one process "
            f"for each GPU with `torchrun --nproc_per_node={num_gpu} -m aethernet train -opt FILE --launcher pytorch`, "
            "or set num_gpu: 1"
        )


def is_aether(section: Mapping) -> bool:
    """Whether a network section names one of this package's factories."""
    return find("network", section["type"]) in FACTORIES


def aether_config(section: Mapping) -> AetherConfig:
    """The configuration that a section of one of our factories describes.

    Raises:
        ConfigError: there is no such network.
    """
    fields = {name: value for name, value in section.items() if name != "type"}
    variant = section["type"].removeprefix("aether_")
    if variant != "custom":
        if "variant" in fields:
            raise ConfigError(f"variant cannot be set here: type {section['type']} decides it; remove the line")
        return variant_config(variant, **fields)
    return AetherConfig.from_fields({"scale": 4, **fields})


def network_scale(section: Mapping) -> int | None:
    """The scale that a network would have, by argument or default; None where that cannot be said."""
    target = find("network", section["type"])
    if target is aether_peer:
        return _peer_scale(section)
    if target is None or not (target in FACTORIES or is_basicsr(target)):
        return None
    parameters = inspect.signature(target).parameters
    for name in SCALE_NAMES:
        if name in parameters:
            value = section.get(name, parameters[name].default)
            return value if isinstance(value, int) else None
    return None


def network_channels(section: Mapping) -> tuple[str, int] | None:
    """How a network calls the channels that it takes, and their number; None where that cannot be said."""
    target = find("network", section["type"])
    if target in FACTORIES:
        try:
            return CHANNEL_NAMES[0], aether_config(section).in_channels
        except ConfigError:
            return None  # told with the network's arguments
    if target is None or not is_basicsr(target):
        return None
    return _stock_channels(section, CHANNEL_NAMES)


def _stock_channels(section: Mapping, names: tuple[str, ...]) -> tuple[str, int] | None:
    """The argument among these that one of BasicSR's networks has, and its value."""
    target = find("network", section["type"])
    parameters = inspect.signature(target).parameters if target is not None else {}
    for name in names:
        value = section.get(name, parameters[name].default) if name in parameters else None
        if is_whole(value, 1):
            return name, value
    return None


def _peer_problems(place: str, section: Mapping) -> Iterator[str]:
    """A text that nothing can be built from. The network itself is built, since only its class knows what it takes."""
    problems = list(argument_problems(place, aether_peer, section))
    if not problems and not isinstance(section["network"], str):
        problems = [f"{place}: network: must be a text such as {EXAMPLE!r}, not {section['network']!r}"]
    if not problems:
        try:
            _built_peer(section["network"])
        except AetherError as error:
            problems = [f"{place}: network: {error}"]
    yield from problems


def _peer_scale(section: Mapping) -> int | None:
    try:
        return _built_peer(str(section.get("network")))
    except AetherError:
        return None  # told with the network's arguments


@functools.lru_cache(maxsize=8)
def _built_peer(text: str) -> int:
    """The scale of a peer, which is built for it."""
    return probe_scale(build_peer(text), 3, text)


def _aether_problems(place: str, section: Mapping) -> Iterator[str]:
    try:
        aether_config(section)
    except ConfigError as error:
        yield f"{place}: {error}"
