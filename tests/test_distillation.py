"""Distillation: what a teacher adds to the loss, that it stays as it is, and which teachers are refused."""

import re
from pathlib import Path

import pytest
import torch
from helpers.models import PICTURES, build_model, copy_of, gan_options, options, train
from helpers.networks import randomise
from helpers.training import preflight_problems, run_aethernet, tiny_options, write_options, write_pairs
from test_real import real_options, steps
from torch.nn import functional as F

from aethernet import AetherNet, aether_custom, calibrate, load_network, write_checkpoint
from aethernet.errors import OptionError
from aethernet.integrations.basicsr.training.distillation import load_teacher
from aethernet.integrations.peers import build_trainable
from aethernet.training.recipes import options as recipe

COMPACT = "spandrel:Compact(num_feat=8, num_conv=1, upscale=2)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Teachers: `teacher.safetensors` (x2), `x3.pth`, `grey.pth`, `qat.pth` and spandrel's `compact.pth`."""
    folder = tmp_path_factory.mktemp("teachers")
    torch.manual_seed(1)
    fields = {"width": 8, "depths": [1, 1], "kernel_size": 5}
    write_checkpoint(folder / "teacher.safetensors", randomise(aether_custom(2, **fields)))
    write_checkpoint(folder / "x3.pth", aether_custom(3, **fields))
    write_checkpoint(folder / "grey.pth", aether_custom(2, in_channels=1, **fields))
    student = AetherNet.from_state_dict(build_model(options()).net_g.state_dict()).eval()
    write_checkpoint(folder / "qat.pth", calibrate(student, [lq for lq, _ in PICTURES.val]))
    torch.save({"params": build_trainable(COMPACT).state_dict()}, folder / "compact.pth")
    write_pairs(folder, count=7)
    return folder


def distill(teacher: object, **changes: object) -> dict:
    return {"distill_opt": {"teacher": str(teacher), "weight": 0.5, "loss": "L1Loss", **changes}}


def trained(last: int = 4, model_type: str = "AetherModel", **changes):
    torch.manual_seed(0)
    model = build_model(options(model_type, ema_decay=0.9, network={"drop_path": 0.3}, **changes))
    train(model, 1, last)
    return model


def test_a_teacher_of_weight_0_changes_nothing(folder):
    """Bit for bit, with random numbers in the network: neither its building nor its outputs disturb anything."""
    plain, taught = trained(), trained(**distill(folder / "teacher.safetensors", weight=0))
    assert taught.get_current_log()["l_distill"] == 0
    for first, second in ((plain.net_g, taught.net_g), (plain.net_g_ema, taught.net_g_ema)):
        for name, value in copy_of(first).items():
            assert torch.equal(value, second.state_dict()[name]), name
    weighty = trained(**distill(folder / "teacher.safetensors", weight=1e-3))
    assert not torch.equal(plain.net_g.state_dict()["shallow.weight"], weighty.net_g.state_dict()["shallow.weight"])


@pytest.mark.parametrize("amp", [None, "bf16"])
@pytest.mark.parametrize(
    ("loss", "norm"), [("L1Loss", F.l1_loss), ({"type": "MSELoss", "loss_weight": 2.0}, F.mse_loss)]
)
def test_the_loss_is_the_difference_to_the_teachers_outputs(folder, amp, loss, norm):
    model = trained(1, amp=amp, **distill(folder / "teacher.safetensors", loss=loss))
    with torch.no_grad():
        taught = load_network(folder / "teacher.safetensors", "fused")(model.lq)
    weight = 0.5 * (1.0 if loss == "L1Loss" else 2.0)
    # the teacher computes in float32 on a CPU, whatever `amp` is
    assert model.get_current_log()["l_distill"] == pytest.approx(weight * norm(model.output, taught).item(), rel=1e-6)


def test_the_student_comes_nearer_to_its_teacher(folder):
    teacher = load_network(folder / "teacher.safetensors")
    distances = {}
    for weight in (0, 10.0):
        student = trained(30, **distill(folder / "teacher.safetensors", weight=weight)).net_g.eval()
        with torch.no_grad():
            distances[weight] = sum(F.l1_loss(student(lq), teacher(lq)).item() for lq, _ in PICTURES.val)
    assert distances[10.0] < 0.8 * distances[0]


def test_the_teacher_stays_as_it_is_and_is_not_saved(folder, tmp_path):
    path = {"models": str(tmp_path / "models"), "training_states": str(tmp_path / "states")}
    contents = []
    for changes in ({}, distill(folder / "teacher.safetensors")):
        model = trained(path=path, **changes)
        model.save(epoch=0, current_iter=4)
        files = {file.name: torch.load(file, weights_only=True) for file in tmp_path.rglob("*.*")}
        contents.append(
            {
                name: {key: list(value) for key, value in file.items() if isinstance(value, dict)}
                for name, file in files.items()
            }
        )
    assert contents[0] == contents[1] and set(contents[0]) == {"net_g_4.pth", "4.state"}
    network = model.distillation.teacher.network
    assert not network.training and network.config.stage == "fused"
    assert all(not value.requires_grad and value.grad is None for value in network.parameters())
    for name, value in load_network(folder / "teacher.safetensors", "fused").state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


def test_qat_learns_from_a_float_teacher(folder):
    network = {"stage": "qat"}
    opt = options(
        path={"pretrain_network_g": str(folder / "qat.pth")}, network=network, **distill(folder / "teacher.safetensors")
    )
    model = build_model(opt)
    before = copy_of(model.net_g)
    train(model, 1, 2)
    assert model.get_current_log()["l_distill"] > 0
    assert not torch.equal(model.net_g.state_dict()["shallow.weight"], before["shallow.weight"])


def test_a_gan_learns_from_a_teacher(folder):
    model = build_model(gan_options(**distill(folder / "teacher.safetensors")))
    train(model, 1, 1)
    assert model.get_current_log()["l_g_distill"] > 0


@pytest.mark.parametrize(
    ("model_type", "entry"), [("AetherRealModel", "l_distill"), ("AetherRealGANModel", "l_g_distill")]
)
def test_degraded_inputs_are_taught_as_well(folder, model_type, entry):
    opt = real_options(model_type)
    opt["train"] |= distill(folder / "teacher.safetensors")
    model = build_model(opt)
    steps(model, 1, 1)
    taught = load_network(folder / "teacher.safetensors", "fused")
    with torch.no_grad():
        expected = 0.5 * F.l1_loss(model.output, taught(model.lq))
    assert model.get_current_log()[entry] == pytest.approx(expected.item(), rel=1e-6)


def test_packaged_weights_teach_by_name():
    assert trained(1, **distill("aether_tiny_x2")).get_current_log()["l_distill"] > 0


def test_networks_of_others_teach(folder):
    model = trained(1, **distill(f"spandrel:{folder / 'compact.pth'}"))
    other = build_trainable(COMPACT).eval()
    other.load_state_dict(torch.load(folder / "compact.pth", weights_only=True)["params"])
    with torch.no_grad():
        taught = other(model.lq).clamp(0, 1)  # as spandrel gives it
    assert model.get_current_log()["l_distill"] == pytest.approx(0.5 * F.l1_loss(model.output, taught).item(), rel=1e-6)
    assert not any(value.requires_grad for value in model.distillation.teacher.network.parameters())


def test_int8_grids_are_never_computed_in_half_precision(folder):
    halves = {name: load_teacher(str(folder / name)).half for name in ("teacher.safetensors", "qat.pth")}
    assert halves == {"teacher.safetensors": torch.float16, "qat.pth": None}


def test_what_leaves_the_range_of_half_precision_is_computed_in_float32(folder, monkeypatch):
    """On a GPU; here one is played, whose autocast gives infinities."""
    teacher = load_teacher(str(folder / "teacher.safetensors"))
    autocast, seen = torch.autocast, []

    def call(x: torch.Tensor) -> torch.Tensor:
        seen.append(True)
        return x * (torch.inf if len(seen) == 1 else 1.0)

    class Cuda(torch.Tensor):
        is_cuda = True

    monkeypatch.setattr(torch, "autocast", lambda device, **settings: autocast("cpu", enabled=False))
    played = type(teacher)(**{**vars(teacher), "call": call})
    lq = torch.rand(1, 3, 4, 4)
    assert torch.equal(played(lq.as_subclass(Cuda)), lq) and len(seen) == 2
    assert torch.equal(played(lq), lq) and len(seen) == 3  # on a CPU at once


def test_a_batch_of_other_colours_is_refused(folder):
    """As BasicSR's own model classes and unmodified trees find out, whose options nobody checks."""
    with pytest.raises(OptionError, match=r"grey\.pth takes grey \(1 channel\), and network_g RGB \(3 channels\)"):
        trained(1, **distill(folder / "grey.pth"))
    stock = options(**distill(folder / "grey.pth"))
    stock["network_g"] = {"type": "SRVGGNetCompact", "num_feat": 8, "num_conv": 1, "upscale": 2}
    model = build_model(stock)
    with pytest.raises(OptionError, match="takes grey"):
        train(model, 1, 1)


# Before a training


def told(place: Path, section: object, **changes: object) -> str:
    write_pairs(place)
    return preflight_problems(
        place, tiny_options(place, **{"model_type": "AetherModel", "train:distill_opt": section, **changes})
    )


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("x3.pth", r"^train: distill_opt: teacher: .*x3\.pth enlarges by 3, and this training is for scale 2: give"),
        (
            "grey.pth",
            r"grey\.pth takes grey \(1 channel\), and network_g RGB \(3 channels\): give a teacher of the same",
        ),
        ("none.pth", r"^train: distill_opt: teacher: .*none\.pth is not a file"),
        ("compact.pth", r"holds no AetherNet weights.*A network of others is given as spandrel:.*compact\.pth"),
        ("cut.safetensors", r"cut\.safetensors is not a readable safetensors file"),
    ],
)
def test_files_that_cannot_teach_are_told(folder, tmp_path, teacher, message):
    content = (folder / "teacher.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(content[: len(content) // 2])
    assert re.search(message, told(tmp_path, {"teacher": str(folder / teacher)}), re.DOTALL)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"teacher": "aether_small_x2"}, r"there are no packaged weights 'aether_small_x2'; .*did you mean"),
        ({"teacher": "aether_small_x4"}, "aether_small_x4 enlarges by 4, and this training is for scale 2"),
        ({"teacher": COMPACT}, "is a network with random weights, which teaches nothing: give spandrel:FILE"),
        ({"teacher": "spandrel:none.pth"}, r"none\.pth is not a file: give spandrel:FILE"),
        ({"weight": 1.0}, r"distill_opt: teacher must be a file of weights.*not None"),
        ("aether_tiny_x2", "distill_opt: must be a section"),
        ({"teacher": "aether_tiny_x2", "weigth": 1.0}, "distill_opt: weigth: there is no such entry; it has: teacher"),
        ({"teacher": "aether_tiny_x2", "weight": -1}, "weight must be a number of at least 0, not -1"),
        ({"teacher": "aether_tiny_x2", "weight": "much"}, "distill_opt: weight must be a number such as"),
        (
            {"teacher": "aether_tiny_x2", "loss": "L3Loss"},
            r"distill_opt: loss: type: no loss of the name 'L3Loss'.*did you",
        ),
        (
            {"teacher": "aether_tiny_x2", "loss": {"type": "L1Loss", "wait": 1}},
            "distill_opt: loss: wait: L1Loss has no such",
        ),
        ({"teacher": "aether_tiny_x2", "loss": 5}, "loss must be the type of a loss, such as L1Loss, or a section"),
        ({"teacher": "aether_tiny_x2", "loss": "GANLoss"}, "GANLoss does not compare two pictures: use L1Loss"),
        (
            {
                "teacher": "aether_tiny_x2",
                "loss": {"type": "AetherPerceptualLoss", "weights": "x.pth", "layer_weights": {"conv1_1": 1}},
            },
            r"distill_opt: loss: the weights of VGG19 are not at .*x\.pth",
        ),
    ],
)
def test_what_cannot_be_meant_is_told(section, message, tmp_path):
    assert re.search(message, told(tmp_path, section), re.DOTALL)


@pytest.mark.parametrize(
    "section",
    [
        None,
        {"teacher": "aether_tiny_x2"},
        {"teacher": "aether_tiny_x2_int8", "weight": "1e-1", "loss": {"type": "MSELoss"}},
    ],
)
def test_sound_sections_pass(section, tmp_path):
    assert told(tmp_path, section) == ""


def test_models_that_know_no_teacher_are_named(tmp_path):
    message = told(tmp_path, {"teacher": "aether_tiny_x2"}, model_type="SRModel")
    assert re.search(r"train: distill_opt: nobody reads this key .*model_type: AetherModel or AetherGANModel", message)


def test_a_grey_network_wants_a_grey_teacher(folder, tmp_path):
    changes = {"network_g:in_channels": 1, "datasets:train:color": "y", "datasets:val:color": "y"}
    assert told(tmp_path, {"teacher": str(folder / "grey.pth")}, **changes) == ""
    assert "takes RGB (3 channels), and network_g grey" in told(tmp_path, {"teacher": "aether_tiny_x2"}, **changes)


# In the launcher


@pytest.mark.slow
def test_a_resumed_training_equals_a_straight_one(folder):
    own = {
        "network_g:drop_path": 0.3,
        "train:total_iter": 12,
        "logger:save_checkpoint_freq": 5,
        "model_type": "AetherModel",
    }
    own["train:distill_opt"] = {"teacher": str(folder / "teacher.safetensors")}
    results = []
    for name in ("straight", "resumed"):
        file = write_options(tiny_options(folder, name=name, **own), folder / f"{name}.yml")
        run_aethernet("train", "-opt", file, cwd=folder)
        models, states = (folder / "experiments" / name / each for each in ("models", "training_states"))
        if name == "resumed":  # as if it had been stopped after the first checkpoint
            for left in (models / "net_g_10.pth", models / "net_g_latest.pth", states / "10.state"):
                left.unlink()
            run_aethernet("train", "-opt", file, "--auto_resume", cwd=folder)
        results.append(torch.load(models / "net_g_latest.pth", weights_only=True))
    assert results[0].keys() == results[1].keys() == {"params", "params_ema"}
    for key, first in results[0].items():
        for entry, value in first.items():
            assert torch.equal(value, results[1][key][entry]), (key, entry)
    (log, *_) = (folder / "experiments/straight").glob("train_*.log")
    assert "l_distill" in log.read_text() and "The teacher is" in log.read_text()


# The recipe


def test_the_recipe_is_that_of_fidelity_with_a_teacher():
    plain, taught = recipe("tiny", 4, "train"), recipe("tiny", 4, "distill")
    assert taught["train"].pop("distill_opt") == {"teacher": "aether_small_x4", "weight": 1.0, "loss": "L1Loss"}
    assert (plain.pop("name"), taught.pop("name")) == ("train_aether_tiny_x4", "distill_aether_tiny_x4")
    assert taught == plain
    later = recipe("tiny", 2, "distill")["train"]["distill_opt"]["teacher"]
    assert later == f"experiments/{recipe('small', 2, 'train')['name']}/models/net_g_latest.pth"
    assert (
        recipe("medium", 4, "distill", teacher="spandrel:x.pth")["train"]["distill_opt"]["teacher"] == "spandrel:x.pth"
    )
    with pytest.raises(OptionError, match="large is the largest variant: name who teaches it, as teacher=FILE"):
        recipe("large", 4, "distill")
    with pytest.raises(OptionError, match="has no field 'teacher'"):
        recipe("tiny", 4, "train", teacher="x")
