"""The perceptual loss: VGG19 from a file that is known by its checksum, and nothing is ever downloaded."""

import importlib
import re
import socket
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from helpers.models import build_model, copy_of, gan_options, options, train
from helpers.networks import picture
from helpers.training import preflight_problems, tiny_options, write_pairs
from torch import nn

from aethernet.errors import CheckpointError, OptionError
from aethernet.files import sha256
from aethernet.integrations.basicsr.training import perceptual
from aethernet.integrations.basicsr.training.perceptual import AetherPerceptualLoss, smallest_side
from aethernet.training.recipes import options as recipe
from aethernet.training.recipes import render

LAYERS = {"conv1_2": 0.1, "relu2_1": 1.0, "conv2_2": 0.5}


@pytest.fixture(scope="module")
def vgg(tmp_path_factory) -> Path:
    """The first two blocks of a made-up VGG19, as torchvision names them."""
    generator = torch.Generator().manual_seed(0)
    state, before = {}, 3
    for place, (name, channels) in enumerate(perceptual.LAYERS.items()):
        if channels and name < "conv3":
            state[f"features.{place}.weight"] = (
                torch.randn(channels, before, 3, 3, generator=generator) / (3 * before) ** 0.5
            )
            state[f"features.{place}.bias"] = torch.randn(channels, generator=generator) / 10
            before = channels
    path = tmp_path_factory.mktemp("vgg") / "vgg19-made-up.pth"
    torch.save(state, path)
    return path


def section(vgg: Path, **changes: object) -> dict:
    own = {
        "type": "AetherPerceptualLoss",
        "weights": str(vgg),
        "sha256": sha256(vgg)[:8],
        "layer_weights": dict(LAYERS),
    }
    return {**own, **changes}


def loss_of(vgg: Path, **changes) -> AetherPerceptualLoss:
    return AetherPerceptualLoss(**{name: value for name, value in section(vgg, **changes).items() if name != "type"})


@pytest.fixture
def offline(monkeypatch):
    """Every attempt to reach the network fails the test."""

    def refuse(*_: object) -> None:
        raise AssertionError("something wants to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("channels", [3, 1])
def test_it_equals_basicsrs(vgg, channels, monkeypatch):
    """Value and gradient, with style; BasicSR gets the same layers."""
    arch = importlib.import_module("basicsr.archs.vgg_arch")
    state, layers = torch.load(vgg, weights_only=True), OrderedDict()
    before = 3
    for place, (name, width) in enumerate(list(perceptual.LAYERS.items())[:9]):
        if name.startswith("pool"):
            layers[name] = nn.MaxPool2d(2, 2)
        elif width is None:
            layers[name] = nn.ReLU(inplace=True)
        else:
            layers[name] = nn.Conv2d(before, width, 3, padding=1)
            layers[name].load_state_dict({kind: state[f"features.{place}.{kind}"] for kind in ("weight", "bias")})
            before = width

    class Whole:
        features = nn.Sequential(*layers.values())

    monkeypatch.setattr(arch.vgg, "vgg19", lambda pretrained: Whole)
    stock = importlib.import_module("basicsr.losses.basic_loss").PerceptualLoss(dict(LAYERS), style_weight=2.0)
    results = []
    for loss in (stock, loss_of(vgg, style_weight=2.0)):
        x = picture(2, channels, 16, 16).requires_grad_()
        values = loss(x, picture(2, channels, 16, 16, seed=2))
        sum(values).backward()
        results.append([*(value.detach() for value in values), x.grad])
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)  # sums in another order


@pytest.mark.parametrize("criterion", ["l1", "l2", "fro"])
def test_every_criterion_is_zero_for_equal_pictures_only(vgg, criterion):
    loss = loss_of(vgg, criterion=criterion)
    x, y = picture(1, 3, 16, 16), picture(1, 3, 16, 16, seed=2)
    assert loss(x, x)[0] == 0 and loss(x, y)[0] > 0
    assert loss(x, y)[1] is None


@pytest.mark.parametrize("model", ["AetherModel", "SRModel", "AetherGANModel"])
def test_models_train_with_it_and_without_the_network(vgg, model, offline):
    opt = (
        gan_options(perceptual_opt=section(vgg))
        if model == "AetherGANModel"
        else options(model, perceptual_opt=section(vgg))
    )
    built = build_model(opt)
    before, features = copy_of(built.net_g), copy_of(built.cri_perceptual)
    train(built, 1, 2)
    assert built.get_current_log()["l_g_percep" if model == "AetherGANModel" else "l_percep"] > 0
    assert not torch.equal(before["shallow.weight"], built.net_g.state_dict()["shallow.weight"])
    assert all(torch.equal(value, features[name]) for name, value in built.cri_perceptual.state_dict().items())
    assert not any(value.requires_grad for value in built.cri_perceptual.parameters())


def test_only_the_layers_that_are_needed_are_there(vgg):
    assert list(dict(loss_of(vgg, layer_weights={"conv1_2": 1}).vgg.layers.named_children())) == [
        "conv1_1",
        "relu1_1",
        "conv1_2",
    ]
    with pytest.raises(
        CheckpointError, match=r"does not hold VGG19 .*features\.10 should be a convolution of 128 .* to 256"
    ):
        loss_of(vgg, layer_weights={"conv3_1": 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "dcbb9e9d"}, "is not the expected file of VGG19's weights: its SHA-256 begins with .*hash_prefix"),
        (
            {"weights": "none.pth"},
            r"(?s)are not at .*none\.pth.*Nothing is downloaded.*download_url_to_file.*perceptual=false",
        ),
        ({"weights": None}, "weights must be the file of VGG19's weights"),
        ({"layer_weights": {"conv1_3": 1}}, "has no layer 'conv1_3'; did you mean"),
        ({"layer_weights": {}}, "layer_weights must be layers and weights"),
        ({"layer_weights": {"conv1_1": "much"}}, "conv1_1 must be a number, not 'much'"),
        ({"criterion": "l3"}, "criterion must be one of l1, l2, fro, not 'l3'"),
        ({"perceptual_weight": 0}, "are both 0"),
        ({"style_weight": -1}, "style_weight must be a number of at least 0"),
        ({"sha256": "dcbb"}, "sha256 must be how the file's SHA-256 begins"),
    ],
)
def test_what_it_cannot_compute_with_is_refused_by_the_loss_and_before_a_training(vgg, changes, message, tmp_path):
    with pytest.raises((OptionError, CheckpointError), match=message):
        loss_of(vgg, **changes)
    assert_told(tmp_path, {"train:perceptual_opt": section(vgg, **changes)}, message)


def assert_told(place: Path, changes: dict, message: str) -> None:
    write_pairs(place)
    told = preflight_problems(place, tiny_options(place, **changes))
    assert re.search(message, told, re.DOTALL) if message else not told, told


def test_by_default_the_file_is_torchvisions(vgg, tmp_path):
    own = section(vgg)
    assert_told(tmp_path, {"train:perceptual_opt": own}, "")
    del own["sha256"]
    assert_told(tmp_path, {"train:perceptual_opt": own}, "begins with .* and should with dcbb9e9d")


def test_patches_too_small_for_the_deepest_layer_are_told(vgg, tmp_path):
    assert [smallest_side({name: 1}) for name in ("conv1_1", "conv2_1", "conv5_4", "pool5")] == [1, 2, 16, 32]
    # what deeper layers the made-up file lacks is told when the loss is built
    changes = {"train:perceptual_opt": section(vgg, layer_weights={"pool5": 1}), "datasets:train:gt_size": 16}
    message = "gt_size: 16 are too small for the deepest of layer_weights, which needs 32"
    assert_told(tmp_path, changes, message)
    changes |= {"datasets:train:gt_size": 32, "gt_size": 16, "model_type": "RealESRNetModel"}
    assert_told(tmp_path, changes, message)


@pytest.mark.parametrize("kind", ["vgg19", "vgg16", "vgg19_bn"])
def test_whatever_would_download_is_refused(kind, tmp_path, monkeypatch, offline):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    stock = {"type": "PerceptualLoss", "layer_weights": {"conv1_1": 1}, "vgg_type": kind}
    message = rf"perceptual_opt: the weights of {kind} \(.*would download.*refused\. Set type: AetherPerceptualLoss.*perceptual_opt: ~"
    assert_told(tmp_path, {"train:perceptual_opt": stock}, message)
    changes = {"model_type": "SRGANModel", "network_d": {"type": "VGGFeatureExtractor", "layer_name_list": ["conv1_1"]}}
    assert_told(tmp_path, changes, "network_d: the weights of vgg19 .*would download")


def test_a_wrong_file_in_basicsrs_place_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    file = tmp_path / "experiments/pretrained_models/vgg19-dcbb9e9d.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half of it")
    stock = {"type": "PerceptualLoss", "layer_weights": {"conv1_1": 1}}
    assert_told(tmp_path, {"train:perceptual_opt": stock}, "is not the expected file .* should with dcbb9e9d")
    assert_told(
        tmp_path, {"train:perceptual_opt": {**stock, "vgg_type": "vgg16"}}, "loads .* for vgg16 too: write vgg19"
    )


# The switch of the option files


def test_gan_files_come_without_it_or_with_another_file():
    plain = recipe("tiny", 4, "gan")
    without, other = (recipe("tiny", 4, "gan", perceptual=value) for value in (False, "/my models/vgg19.pth"))
    assert plain["train"]["perceptual_opt"]["weights"] == "experiments/pretrained_models/vgg19-dcbb9e9d.pth"
    assert other["train"]["perceptual_opt"].pop("weights") == "/my models/vgg19.pth"
    assert without["train"].pop("perceptual_opt") is None
    del plain["train"]["perceptual_opt"]["weights"]
    assert other == plain
    del plain["train"]["perceptual_opt"]
    assert without == plain
    assert "pixel, perceptual and adversarial" not in render("tiny", 4, "gan", perceptual=False)
    assert "About 10 GB" in render("tiny", 4, "gan") and "About 6 GB" in render("tiny", 4, "gan", perceptual=False)


def test_traiNNer_files_come_without_it_and_take_no_file():
    without, plain = (recipe("tiny", 4, "trainner/gan", perceptual=value)["train"]["losses"] for value in (False, True))
    assert without == [loss for loss in plain if loss["type"] != "PerceptualLoss"] != plain
    with pytest.raises(OptionError, match=r"takes VGG19 from torchvision's cache and no file: .*true or false"):
        recipe("tiny", 4, "trainner/gan", perceptual="vgg19.pth")


@pytest.mark.parametrize("stage", ["train", "qat", "test", "trainner/fidelity"])
def test_other_files_have_no_such_switch(stage):
    with pytest.raises(OptionError, match="has no field 'perceptual'"):
        render("tiny", 4, stage, perceptual=False)


@pytest.mark.parametrize("value", [None, 3, ""])
def test_a_switch_that_is_neither_is_refused(value):
    with pytest.raises(OptionError, match="perceptual must be true, false or the file"):
        render("tiny", 4, "gan", perceptual=value)
