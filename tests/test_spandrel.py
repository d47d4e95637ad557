"""AetherNet in spandrel: every hyperparameter is found, files of others stay theirs, ours stay ours."""

import dataclasses
import importlib
import sys

import pytest
import torch
from helpers.hyperparameters import CASES, build
from helpers.networks import picture, randomise

from aethernet import AetherConfig, AetherNet, aether_tiny, load_network, write_checkpoint
from aethernet.checkpoint import pretrained
from aethernet.errors import CheckpointError, MissingDependencyError, RegistrationError
from aethernet.integrations.basicsr import compat
from aethernet.network import migrations
from aethernet.network.config import CONFIG_KEY, STAGES, pack_fields, unpack_fields

compat.apply()
spandrel = pytest.importorskip("spandrel")
architectures = importlib.import_module("spandrel.architectures")
from spandrel import MAIN_REGISTRY, ArchRegistry, ArchSupport, ModelLoader, ModelTiling  # noqa: E402

from aethernet.integrations.spandrel import AetherNetArch, install, is_aethernet  # noqa: E402

OTHERS = {
    "Compact": lambda: architectures.Compact.Compact(num_feat=8, num_conv=2),
    "DAT": lambda: architectures.DAT.DAT(embed_dim=32, depth=[1, 1], num_heads=[2, 2], split_size=[4, 4]),
    "DCTLSA": lambda: architectures.DCTLSA.DCTLSA(nf=20, num_modules=2),
    "DITN": lambda: architectures.DITN.DITN(dim=8, ITL_blocks=1, SAL_blocks=1),
    "DRUNet": lambda: architectures.DRUNet.DRUNet(in_nc=3, out_nc=3, nc=[4, 8, 8, 16], nb=2),
    "DnCNN": lambda: architectures.DnCNN.DnCNN(nc=8, nb=4),
    "ESRGAN": lambda: architectures.ESRGAN.ESRGAN(num_filters=8, num_blocks=1),
    "FDAT": lambda: architectures.FDAT.FDAT(
        embed_dim=16, num_groups=1, depth_per_group=2, upsampler_type="pixelshuffle"
    ),
    "HAT": lambda: architectures.HAT.HAT(
        embed_dim=12, depths=(1, 1), num_heads=(2, 2), squeeze_factor=4, upsampler="pixelshuffle"
    ),
    "MoESR": lambda: architectures.MoESR.MoESR(dim=16, n_blocks=1, n_block=1),
    "MoSR": lambda: architectures.MoSR.MoSR(dim=16, n_block=2),
    "NAFNet": lambda: architectures.NAFNet.NAFNet(width=4, enc_blk_nums=[1], dec_blk_nums=[1]),
    "OmniSR": lambda: architectures.OmniSR.OmniSR(num_feat=16),
    "PLKSR": lambda: architectures.PLKSR.PLKSR(dim=16, n_blocks=2),
    "PLKSR real": lambda: architectures.PLKSR.RealPLKSR(dim=16, n_blocks=2),
    "RCAN": lambda: architectures.RCAN.RCAN(n_resgroups=1, n_resblocks=1, n_feats=16),
    "RealCUGAN": lambda: architectures.RealCUGAN.UpCunet2x(),
    "SAFMN": lambda: architectures.SAFMN.SAFMN(dim=8, n_blocks=2),
    "SAFMNBCIE": lambda: architectures.SAFMNBCIE.SAFMNBCIE(dim=8, n_blocks=2, num_layers=1),
    "SPAN": lambda: architectures.SPAN.SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8),
    "SeemoRe": lambda: architectures.SeemoRe.SeemoRe(embedding_dim=16, num_layers=1, num_experts=2),
    "SwiftSRGAN": lambda: architectures.SwiftSRGAN.SwiftSRGAN(num_channels=8, num_blocks=1),
    "SwinIR": lambda: architectures.SwinIR.SwinIR(
        embed_dim=12, depths=[1, 1], num_heads=[2, 2], window_size=8, upsampler="pixelshuffle"
    ),
}
"""Small networks of other architectures, by the id under which spandrel finds them."""


@pytest.fixture
def registry() -> ArchRegistry:
    """spandrel's own, with ours."""
    copy = MAIN_REGISTRY.copy()
    install(copy)
    return copy


@pytest.fixture
def loader(registry) -> ModelLoader:
    return ModelLoader(registry=registry)


def run(network, x):
    with torch.no_grad():
        return network(x)


@pytest.mark.parametrize(
    ("name", "fields"), [(name, fields) for name, cases in CASES.items() for fields in cases], ids=str
)
def test_every_hyperparameter_is_found(loader, name, fields):
    network = build(fields)
    config = network.config
    model = loader.load_from_state_dict(network.state_dict())
    stage = "fused" if config.stage == "train" else config.stage
    assert model.model.config == dataclasses.replace(config, stage=stage)
    assert not model.model.training
    assert model.architecture.id == "AetherNet"
    assert (model.scale, model.input_channels, model.output_channels) == (config.scale, *[config.in_channels] * 2)
    assert model.purpose == ("Restoration" if config.scale == 1 else "SR")
    assert model.tags == [config.variant, stage]
    assert model.supports_half == model.supports_bfloat16 == (stage == "fused")
    assert model.size_requirements.none
    assert model.tiling == (ModelTiling.DISCOURAGED if config.channel_attention else ModelTiling.SUPPORTED)
    assert (model.device.type, model.dtype) == ("cpu", torch.float32)
    x = picture(1, config.in_channels, 5, 7)
    # 1e-5: the bound of fusion in float32, see test_parity; what was fused before is the same network.
    difference = (model(x) - run(network, x).clamp(0, 1)).abs().max()
    assert difference <= (1e-5 if config.stage == "train" else 0)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("block", ["gated", "plain"])
def test_pictures_of_any_size(loader, block, stage):
    attention = {"spatial_attention": True, "channel_attention": True} if block == "gated" else {}
    model = loader.load_from_state_dict(build({"block": block, "stage": stage, **attention}).state_dict())
    for height, width in [(1, 1), (1, 9), (2, 3), (5, 4), (16, 17)]:
        assert model(picture(1, 3, height, width)).shape == (1, 3, 2 * height, 2 * width)


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize("name", OTHERS)
def test_files_of_others_stay_theirs(registry, loader, name):
    torch.manual_seed(0)
    network = OTHERS[name]()
    state_dict = network.state_dict()
    first = next(entry for entry in registry.architectures("detection") if entry.detect(state_dict))
    assert first.architecture.id == name.split()[0]
    assert not is_aethernet(state_dict)
    assert type(loader.load_from_state_dict(state_dict).model) is type(network)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"channel_attention": True, "spatial_attention": True},
        {"norm_type": "layernorm", "depths": (1,)},
        {"block": "plain"},
        {"block": "plain", "norm_type": "none", "depths": (3,), "tail": "direct", "kernel_size": 3},
        {"in_channels": 1, "scale": 4, "skip": "none", "quantization": "quality"},
    ],
    ids=str,
)
def test_ours_stay_ours(registry, fields, stage):
    state_dict = build({**fields, "stage": stage}).state_dict()
    assert [entry.architecture.id for entry in registry if entry.detect(state_dict)] == ["AetherNet"]


@pytest.mark.parametrize(
    "entry",
    [
        {"width": 8},
        torch.zeros(4),
        torch.zeros(2, 2),
        torch.tensor(list(b'{"width": 8}'), dtype=torch.uint8),
        torch.tensor(list(b'{"arch_version": "x"}'), dtype=torch.uint8),
        torch.tensor(list(b"[1]"), dtype=torch.int32),
        torch.full((3,), torch.nan),
    ],
    ids=str,
)
def test_other_entries_of_that_name_are_not_ours(entry):
    assert not is_aethernet({CONFIG_KEY: entry, "weight": torch.zeros(1)})
    assert not is_aethernet({"weight": torch.zeros(1)})


class Greedy(spandrel.Architecture):
    """An architecture that takes every file for its own."""

    def __init__(self, name: str = "Greedy") -> None:
        super().__init__(id=name, detect=lambda state_dict: True)

    def load(self, state_dict):
        raise AssertionError("another architecture was asked first")


def test_ours_are_asked_first():
    registry = MAIN_REGISTRY.copy()
    registry.add(ArchSupport.from_architecture(Greedy()))
    install(registry)
    assert registry.architectures("detection")[0].architecture.id == "AetherNet"
    assert ModelLoader(registry=registry).load_from_state_dict(build({}).state_dict()).tags == ["custom", "fused"]


def test_installing_again_is_harmless(registry):
    before = list(registry)
    install(registry)
    assert list(registry) == before
    install()
    install()
    assert sum(entry.architecture.id == "AetherNet" for entry in MAIN_REGISTRY) == 1
    assert ModelLoader().load_from_state_dict(build({}).state_dict()).architecture.id == "AetherNet"


def test_a_name_that_is_taken_is_told():
    registry = ArchRegistry()
    registry.add(ArchSupport.from_architecture(Greedy("AetherNet")))
    with pytest.raises(
        RegistrationError, match=r"'AetherNet' is taken in spandrel's registry by \S*test_spandrel\.Greedy"
    ):
        install(registry)


@pytest.mark.parametrize("name", ["aether_tiny_x4", "aether_tiny_x4_fused", "aether_tiny_x2"])
def test_packaged_weights(loader, name):
    model = loader.load_from_file(pretrained.path(name))
    assert model.tags == ["tiny", "fused"]
    assert model.scale == int(name.removesuffix("_fused")[-1])
    x = picture(1, 3, 24, 31)
    assert torch.equal(model(x), run(load_network(name, "fused"), x).clamp(0, 1))
    assert (model(x) - run(load_network(name), x).clamp(0, 1)).abs().max() <= 1e-5  # as in test_parity


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_of_every_stage(loader, tmp_path, stage, suffix):
    network = build({"stage": stage})
    write_checkpoint(tmp_path / f"net{suffix}", network)
    x = picture(1, 3, 6, 5)
    difference = (loader.load_from_file(tmp_path / f"net{suffix}")(x) - run(network, x).clamp(0, 1)).abs().max()
    assert difference <= (1e-5 if stage == "train" else 0)  # as in test_parity


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_checkpoint_of_basicsr(loader, tmp_path, prefix):
    """The averaged weights come first; names may have the prefix of distributed training."""
    last, averaged = (randomise(aether_tiny(2), seed) for seed in (1, 2))
    states = {"params": last.state_dict(), "params_ema": averaged.state_dict()}
    content = {key: {prefix + name: value for name, value in state.items()} for key, state in states.items()}
    torch.save(content, tmp_path / "net_g_latest.pth")
    x = picture(1, 3, 6, 5)
    model = loader.load_from_file(tmp_path / "net_g_latest.pth")
    assert torch.equal(model(x), run(load_network(tmp_path / "net_g_latest.pth", "fused"), x).clamp(0, 1))
    assert torch.equal(model(x), run(averaged.eval().fuse_model(), x).clamp(0, 1))


@pytest.mark.parametrize(("dtype", "psnr"), [(torch.float16, 65), (torch.bfloat16, 45)])
@pytest.mark.parametrize(
    "fields",
    [
        {"channel_attention": True, "spatial_attention": True, "skip": "bilinear"},
        {"norm_type": "layernorm"},
        {"block": "plain", "scale": 4},
    ],
    ids=str,
)
def test_half_precision(loader, tmp_path, fields, dtype, psnr):
    """Bounds: a picture in [0, 1] rounded to 11 bits is 77 dB from itself, to 8 bits 59; a few layers take 12 to 14 of it."""
    network = build(fields)
    model = loader.load_from_state_dict(network.state_dict())
    x = picture(1, 3, 16, 16)
    expected = model(x)
    model.to(dtype=dtype)
    out = model(x.to(dtype))
    assert model.dtype == out.dtype == dtype
    assert -10 * torch.log10((out.float() - expected).square().mean()) > psnr
    torch.save(model.model.state_dict(), tmp_path / "half.pth")
    again = loader.load_from_file(tmp_path / "half.pth")
    assert again.model.config == model.model.config
    assert -10 * torch.log10((again(x) - expected).square().mean()) > psnr


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("stage", ["qat", "int8"])
def test_int8_grids_stay_in_float32(loader, stage, dtype):
    model = loader.load_from_state_dict(build({"stage": stage}).state_dict())
    with pytest.raises(spandrel.UnsupportedDtypeError):
        model.to(dtype)
    assert model.dtype == torch.float32


def test_packaged_weights_in_half_precision(loader):
    model = loader.load_from_file(pretrained.path("aether_tiny_x4"))
    x = picture(1, 3, 24, 31)
    expected = model(x)
    out = model.half()(x.half()).float()
    assert -10 * torch.log10((out - expected).square().mean()) > 65  # 72 dB on noise


def test_damage_is_named(loader):
    state_dict = build({}).state_dict()
    del state_dict["shallow.bias"]
    with pytest.raises(CheckpointError, match=r"the state dict is not whole: .* it lacks shallow\.bias"):
        loader.load_from_state_dict(state_dict)


def test_versions(loader, monkeypatch):
    """A later one is found to be ours and refused with the reason; an earlier one is brought up to date."""
    network = build({"stage": "fused"})
    state_dict = network.state_dict()
    fields = unpack_fields(state_dict[CONFIG_KEY])
    with pytest.raises(CheckpointError, match="arch_version 9, this release reads 1"):
        loader.load_from_state_dict({**state_dict, CONFIG_KEY: pack_fields({**fields, "arch_version": 9})})
    monkeypatch.setitem(migrations.MIGRATIONS, 0, lambda fields, tensors: (
        fields, {name.replace("first.", "shallow."): value for name, value in tensors.items()}))  # fmt: skip
    old = {name.replace("shallow.", "first."): value for name, value in state_dict.items()}
    old[CONFIG_KEY] = pack_fields({**fields, "arch_version": 0})
    x = picture(1, 3, 4, 4)
    assert torch.equal(loader.load_from_state_dict(old)(x), run(network, x).clamp(0, 1))


def test_loading_leaves_the_state_dict_alone(loader):
    state_dict = AetherNet(AetherConfig(width=8, depths=(1,), scale=2)).state_dict()
    before = {name: value.clone() for name, value in state_dict.items()}
    loader.load_from_state_dict(state_dict)
    assert state_dict.keys() == before.keys()
    assert all(torch.equal(state_dict[name], value) for name, value in before.items())


def test_the_licence_is_that_of_the_package():
    setup = (pretrained.FOLDER.parents[2] / "setup.py").read_text(encoding="utf-8")
    assert f'license="{AetherNetArch.license_name}"' in setup


def test_without_spandrel_the_command_is_told(monkeypatch):
    monkeypatch.delitem(sys.modules, "aethernet.integrations.spandrel")
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(MissingDependencyError, match="spandrel is missing: pip install spandrel"):
        import aethernet.integrations.spandrel  # noqa: F401


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module._orig_mod.", "model.", "ema_model.module."])
def test_weights_of_a_network_in_wrappers_load(tmp_path, prefix):
    network = randomise(aether_tiny(2))
    torch.save({f"{prefix}{name}": value for name, value in network.state_dict().items()}, tmp_path / "net.pth")
    registry = ArchRegistry()
    install(registry)
    model = ModelLoader(registry=registry).load_from_file(tmp_path / "net.pth")
    x = picture(1, 3, 9, 8)
    with torch.no_grad():
        # fused on the way in: sums in another order
        assert (model(x) - network.eval()(x).clamp(0, 1)).abs().max() < 1e-4
