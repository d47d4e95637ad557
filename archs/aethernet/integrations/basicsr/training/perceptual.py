"""The perceptual loss from a file of VGG19 that is given by path: `perceptual_opt: {type: AetherPerceptualLoss, ...}`.

BasicSR's `PerceptualLoss` downloads what it does not find. This one never does, and knows its file by its checksum.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aethernet.checkpoint.checkpoint import read_weights
from aethernet.checks import did_you_mean, is_number, one_of
from aethernet.errors import CheckpointError, OptionError
from aethernet.files import sha256
from aethernet.wording import how_many

BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""Convolutions of each block of VGG19 and their channels (Simonyan and Zisserman, ICLR 2015, configuration E)."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What torchvision's weights expect of each channel of a picture in [0, 1]."""

FILE_NAME = "vgg19-dcbb9e9d.pth"
"""torchvision's file of ImageNet weights, 575 MB."""
DIGEST = "dcbb9e9d"
"""How its SHA-256 begins."""
SHORTEST_DIGEST = 8
"""Hexadecimal digits that a file is told by, as in torchvision's names."""


def _layers() -> dict[str, int | None]:
    """The names of all layers in their order, and the channels that a convolution gives."""
    layers: dict[str, int | None] = {}
    for block, (count, channels) in enumerate(BLOCKS, start=1):
        for number in range(1, count + 1):
            layers |= {f"conv{block}_{number}": channels, f"relu{block}_{number}": None}
        layers[f"pool{block}"] = None
    return layers


LAYERS = _layers()
"""Their places are the numbers in torchvision's names: `features.0.weight` belongs to `conv1_1`."""


CRITERIA: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "l2": F.mse_loss,
    "fro": lambda x, y: torch.linalg.vector_norm(x - y),
}
"""How features are compared."""


class VGG19Features(nn.Module):
    """The layers of VGG19 up to the last of `layers`, without gradients of their own.

    Args:
        layers: names such as `conv5_4` (before its ReLU) or `relu3_1`.
        weights: torchvision's file of VGG19, or one of its names and shapes.
        digest: how its SHA-256 begins.

    Raises:
        CheckpointError: no such file, or another one.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: Mapping[str, object], weights: str | Path, digest: str = DIGEST) -> None:
        super().__init__()
        self.wanted = tuple(layers)
        path = require_file(weights, digest)
        _, state = read_weights(path)
        self.layers = nn.Sequential(OrderedDict(_first_layers(max(map(list(LAYERS).index, layers)), state, path)))
        self.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) RGB or (N, 1, H, W) grey in [0, 1] -> the features by layer, (N, C, H / 2^pools, W / 2^pools)."""
        x = (x - self.mean) / self.std  # grey becomes three channels here
        features = {}
        for name, layer in self.layers.named_children():
            x = layer(x)
            if name in self.wanted:
                features[name] = x
        return features


class AetherPerceptualLoss(nn.Module):
    """Differences of VGG19's features (Johnson et al., ECCV 2016), as BasicSR's `PerceptualLoss` computes them.

    Args:
        layer_weights: weight of each layer, such as `{conv5_4: 1.0}` (before its ReLU).
        weights: the file of VGG19; torchvision's `vgg19-dcbb9e9d.pth`. Nothing is ever downloaded.
        sha256: how the checksum of another file begins, in at least eight hexadecimal digits.
        perceptual_weight: of the differences of features; 0 leaves them out.
        style_weight: of the differences of their Gram matrices; 0 leaves them out.
        criterion: `l1`, `l2` (mean of squares) or `fro` (Frobenius norm).

    Raises:
        OptionError: an unknown layer or criterion, or a weight that is no number.
        CheckpointError: no such file, or one of another checksum.
    """

    def __init__(
        self,
        layer_weights: Mapping[str, float],
        weights: str,
        sha256: str = DIGEST,
        perceptual_weight: float = 1.0,
        style_weight: float = 0.0,
        criterion: str = "l1",
    ) -> None:
        super().__init__()
        check_settings(layer_weights, sha256, perceptual_weight, style_weight, criterion)
        self.layer_weights = dict(layer_weights)
        self.perceptual_weight, self.style_weight = perceptual_weight, style_weight
        self.difference = CRITERIA[criterion]
        self.vgg = VGG19Features(self.layer_weights, weights, sha256)

    def forward(self, pred: Tensor, target: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Both (N, 3, H, W) RGB or (N, 1, H, W) grey in [0, 1] -> perceptual and style loss; None for one of weight 0."""
        features = self.vgg(pred)
        with torch.no_grad():
            wanted = self.vgg(target)
        perceptual = style = None
        if self.perceptual_weight > 0:
            perceptual = self.perceptual_weight * self._sum(features, wanted)
        if self.style_weight > 0:
            grams = ({name: gram(value) for name, value in each.items()} for each in (features, wanted))
            style = self.style_weight * self._sum(*grams)
        return perceptual, style

    def _sum(self, features: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Tensor:
        terms = [weight * self.difference(features[name], wanted[name]) for name, weight in self.layer_weights.items()]
        return torch.stack(terms).sum()


def gram(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, C): products of the channels, by the number of values (Gatys et al., 2015)."""
    n, c, h, w = features.shape
    flat = features.reshape(n, c, h * w)
    return flat @ flat.transpose(1, 2) / (c * h * w)


def check_settings(
    layer_weights: object, sha256: object, perceptual_weight: object, style_weight: object, criterion: object
) -> None:
    """Raises `OptionError` for what an `AetherPerceptualLoss` cannot compute with."""
    who = "AetherPerceptualLoss"
    if not isinstance(layer_weights, Mapping) or not layer_weights:
        raise OptionError(
            f"{who}: layer_weights must be layers and weights such as {{conv5_4: 1}}, not {layer_weights!r}"
        )
    for name, weight in layer_weights.items():
        if name not in LAYERS:
            raise OptionError(f"{who}: layer_weights: VGG19 has no layer {name!r}; {did_you_mean(str(name), LAYERS)}")
        if not is_number(weight):
            raise OptionError(f"{who}: layer_weights: {name} must be a number, not {weight!r}")
    for name, weight in (("perceptual_weight", perceptual_weight), ("style_weight", style_weight)):
        if not is_number(weight) or not weight >= 0:
            raise OptionError(f"{who}: {name} must be a number of at least 0, not {weight!r}")
    if perceptual_weight == style_weight == 0:
        raise OptionError(f"{who}: perceptual_weight and style_weight are both 0: leave the loss out with ~")
    one_of(f"{who}: criterion", criterion, tuple(CRITERIA), OptionError)
    if not isinstance(sha256, str) or len(sha256) < SHORTEST_DIGEST or set(sha256.lower()) - set("0123456789abcdef"):
        raise OptionError(
            f"{who}: sha256 must be how the file's SHA-256 begins, in quotes and at least {SHORTEST_DIGEST} hexadecimal "
            f"digits, not {sha256!r}"
        )


def smallest_side(layers: Mapping[str, object]) -> int:
    """Pixels that a patch needs at least, for something to be left of it at the deepest of the layers."""
    depth = max(list(LAYERS).index(name) for name in layers)
    return 2 ** sum(name.startswith("pool") for name in list(LAYERS)[: depth + 1])


def require_file(weights: object, digest: str = DIGEST) -> Path:
    """The file of VGG19, there and the right one.

    Raises:
        CheckpointError: no such file, or its SHA-256 begins with other digits.
    """
    if not isinstance(weights, str | Path) or not str(weights).strip():
        raise CheckpointError(f"weights must be the file of VGG19's weights ({FILE_NAME}), not {weights!r}")
    path = Path(weights).expanduser()
    if not path.is_file():
        raise CheckpointError(missing(path))
    found = _sha256(path, path.stat().st_mtime_ns)
    if not found.startswith(digest.lower()):
        raise CheckpointError(
            f"{path} is not the expected file of VGG19's weights: its SHA-256 begins with {found[: len(digest)]}, and "
            f"should with {digest.lower()}. It is damaged, cut off or another file: get it again with {command(path)} "
            "Or, if you mean this file, give its own digits as sha256"
        )
    return path


def missing(path: Path) -> str:
    """What to do about a file of VGG19 that is not there."""
    cached = cache_file(FILE_NAME)
    known = f"; torchvision's cache has it: weights: {cached}" if cached.is_file() else ""
    return (
        f"the weights of VGG19 are not at {path.absolute()}{known}. Nothing is downloaded by a training. On a machine that "
        f"is online this gets the file once ({FILE_NAME}, 575 MB): {command(path)} "
        "Or train without: perceptual_opt: ~, which `aethernet options ... --set perceptual=false` writes"
    )


def command(path: Path) -> str:
    """A command that downloads VGG19's weights to a path, and checks them."""
    return (
        'python -c "import pathlib, torch, torchvision; '
        f"pathlib.Path({str(path.parent)!r}).mkdir(parents=True, exist_ok=True); "
        "torch.hub.download_url_to_file(torchvision.models.VGG19_Weights.IMAGENET1K_V1.url, "
        f'{str(path)!r}, hash_prefix={DIGEST!r})"'
    )


def cache_file(name: str) -> Path:
    """Where torchvision keeps a file that it has downloaded."""
    return Path(torch.hub.get_dir()) / "checkpoints" / name


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, changed: int) -> str:
    """Its checksum, computed once for the check of the options and the loss itself."""
    return sha256(path)


def _first_layers(last: int, state: Mapping[str, Tensor], path: Path) -> list[tuple[str, nn.Module]]:
    """Layers 0 to `last` with their weights."""
    layers: list[tuple[str, nn.Module]] = []
    for place, (name, channels) in enumerate(list(LAYERS.items())[: last + 1]):
        if channels is None:
            layers.append((name, nn.ReLU() if name.startswith("relu") else nn.MaxPool2d(2)))
            continue
        weight, bias = (state.get(f"features.{place}.{kind}") for kind in ("weight", "bias"))
        before = next((c for c in list(LAYERS.values())[:place][::-1] if c), 3)
        if weight is None or bias is None or weight.shape != (channels, before, 3, 3) or bias.shape != (channels,):
            raise CheckpointError(
                f"{path} does not hold VGG19 as torchvision writes it: features.{place} should be a convolution of "
                f"{how_many(before, 'channel')} to {channels}"
            )
        with torch.device("meta"):
            convolution = nn.Conv2d(before, channels, 3, padding=1)
        convolution.load_state_dict({"weight": weight.float(), "bias": bias.float()}, assign=True)
        layers.append((name, convolution))
    return layers
