"""Networks of others in BasicSR's pipeline: trained as their authors train them, measured as they are deployed."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
from helpers.extras import needs, needs_basicsr
from helpers.training import preflight_problems, run_aethernet, tiny_options, write_options, write_pairs

from aethernet.errors import CheckpointError, ConfigError
from aethernet.integrations.basicsr import compat
from aethernet.integrations.peers import build_trainable, build_with_weights
from aethernet.runtimes.models import resolve_model

pytestmark = needs_basicsr

if importlib.util.find_spec("basicsr") is not None:
    compat.apply()

needs_spandrel = needs("spandrel")

COMPACT = "basicsr.archs.srvgg_arch:SRVGGNetCompact(num_feat=8, num_conv=1, upscale=2)"
SPAN = "spandrel:SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2)"
OWN_MODULE = """
from __future__ import annotations

from pathlib import Path
from torch import nn

def enlarge(scale=2) -> nn.Upsample:
    return nn.Upsample(scale_factor=scale)

NUMBER = 3

def number() -> nn.Module:
    return 3

def touch(path="touched") -> None:
    Path(path).touch()

def unannotated(path="touched"):
    Path(path).touch()

def unresolved(path="touched") -> nn.Absent:
    Path(path).touch()

class NoNetwork:
    def __init__(self, path="touched"):
        Path(path).touch()
"""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "own_networks.py").write_text(OWN_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def random_weights(network: torch.nn.Module) -> None:
    """Weights unlike those that a constructor gives, so that a file can be told from a new network."""
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, -0.2, 0.2)


def peer_options(place: Path, network: object, **changes) -> dict:
    write_pairs(place)
    return tiny_options(place, network_g={"type": "aether_peer", "network": network}, **changes)


@needs_spandrel
def test_the_form_that_is_trained_has_its_branches_and_validates_rightly():
    from basicsr.archs import build_network

    import aether_arch  # noqa: F401  (registers)

    torch.manual_seed(0)
    network = build_network({"type": "aether_peer", "network": SPAN})
    random_weights(network)
    names = [name for name, _ in network.named_parameters()]
    assert any(".sk." in name for name in names)
    x = torch.rand(1, 3, 9, 7)
    with torch.no_grad():
        trained = network.train()(x)
        validated = network.eval()(x)
    # The same map by another order of float32 sums, through 19 layers whose input is scaled to 255.
    torch.testing.assert_close(validated, trained, rtol=1e-4, atol=1e-4 * trained.abs().max().item())


def test_weights_come_from_torchs_generator():
    torch.manual_seed(1)
    one = build_trainable(COMPACT)
    torch.manual_seed(1)
    other, third = build_trainable(COMPACT), build_trainable(COMPACT)
    assert torch.equal(one.body[0].weight, other.body[0].weight)
    assert not torch.equal(one.body[0].weight, third.body[0].weight)


def test_a_module_of_the_current_folder(place):
    model = resolve_model("own_networks:enlarge(scale=3)")
    assert (model.scale, model.trained) == (3, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Compact(num_feat=8)", "is not a model; the package has .* or give"),
        ("spandrel:Compact", "is not of the form 'spandrel:Compact"),
        ("spandrel:Compact(8)", "keyword arguments that are literals"),
        ("spandrel:Compact(num_feat=open('x'))", "keyword arguments that are literals"),
        ("spandrel:Compac(num_feat=8)", "it has: Compact"),
        ("absent_module.x:Class()", "absent_module.x cannot be imported .*install its package"),
        ("own_networks:enlarg()", "has no class or function 'enlarg'; did you mean enlarge"),
        ("own_networks:NUMBER()", "has no class or function 'NUMBER'"),
        ("own_networks:number()", "gives a int, not a network"),
        ("own_networks:enlarge(size=3)", "cannot be built .*enlarge takes: scale"),
    ],
)
def test_texts_that_name_no_network(place, text, message):
    if text.startswith("spandrel:"):
        pytest.importorskip("spandrel")
    with pytest.raises(ConfigError, match=message):
        resolve_model(text)


@pytest.mark.parametrize(
    "text",
    [
        "os:system(command='touch touched')",
        "own_networks:touch()",
        "own_networks:unannotated()",
        "own_networks:unresolved()",
        "own_networks:NoNetwork()",
    ],
)
def test_a_text_calls_nothing_but_networks(place, text):
    with pytest.raises(
        ConfigError, match=r"not called: allowed are subclasses of torch\.nn\.Module, and functions whose"
    ):
        build_trainable(text)
    assert not (place / "touched").exists()


@needs_spandrel
def test_a_checkpoint_of_basicsr_is_measured_as_deployed(tmp_path):
    last, average = build_trainable(SPAN), build_trainable(SPAN)
    random_weights(average)
    path = tmp_path / "net_g_latest.pth"
    torch.save({"params": last.state_dict(), "params_ema": average.state_dict()}, path)
    model = resolve_model(f"{SPAN}@{path}")
    assert (model.label, model.scale, model.trained) == ("net_g_latest.pth", 2, True)
    assert not any(".sk." in name for name, _ in model.network.named_parameters())
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(model.network(x), average.eval()(x))  # both merge the same branches in the same way


def test_checkpoints_that_do_not_fit(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"params": build_trainable(COMPACT.replace("num_feat=8", "num_feat=4")).state_dict()}, path)
    with pytest.raises(CheckpointError, match=r"other\.pth does not hold the weights of .*num_feat=8.*size mismatch"):
        resolve_model(f"{COMPACT}@{path}")
    with pytest.raises(CheckpointError, match=r"absent\.pth is not a file"):
        build_with_weights(COMPACT, tmp_path / "absent.pth")


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (COMPACT, ""),
        ("basicsr.archs.srvgg_arch:SRVGGNetCompac()", "network_g: network: .*did you mean SRVGGNetCompact"),
        ("basicsr.archs.srvgg_arch:SRVGGNetCompact(num_fea=8)", "network_g: network: .*takes: num_in_ch"),
        (COMPACT.replace("upscale=2", "upscale=4"), "enlarges by 4, which does not agree with the top-level scale: 2"),
        (3, "network_g: network: must be a text such as"),
    ],
)
def test_the_check_before_training(place, network, expected):
    found = preflight_problems(place, peer_options(place, network))
    assert re.search(expected, found) if expected else not found


def test_the_check_names_unknown_and_missing_arguments(place):
    opt = peer_options(place, COMPACT)
    opt["network_g"] = {"type": "aether_peer", "upscale": 2}
    found = preflight_problems(place, opt)
    assert "network_g: upscale: aether_peer has no such argument" in found
    assert "network_g: network: is missing" in found


def test_training_by_basicsr_with_a_weight_average_and_from_a_file(place):
    opt = peer_options(place, COMPACT, model_type="AetherModel")
    opt["val"]["val_freq"] = 3
    write_options(opt, place / "train.yml")
    run_aethernet("train", "-opt", "train.yml", cwd=place)
    weights = place / "experiments" / "tiny" / "models" / "net_g_latest.pth"
    average = torch.load(weights, weights_only=True)["params_ema"]
    network = build_trainable(COMPACT).eval()
    network.load_state_dict(average)
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(resolve_model(f"{COMPACT}@{weights}").network(x), network(x))
    opt |= {"name": "tuned", "path": {**opt["path"], "pretrain_network_g": str(weights), "param_key_g": "params_ema"}}
    write_options(opt, place / "tune.yml")
    run_aethernet("train", "-opt", "tune.yml", cwd=place)
