"""`aethernet card`: both forms of a trained network and a model card that says what was measured and how it was made."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
import yaml
from helpers.networks import picture, randomise
from helpers.training import tiny_options, write_options

from aethernet import AetherConfig, AetherNet, calibrate, load_network, write_checkpoint
from aethernet.cli import main
from aethernet.data.pictures import write_png
from aethernet.errors import DataError
from aethernet.quality.scores import measure_quality
from aethernet.release import experiment as left
from aethernet.release import weights
from aethernet.release.experiment import read_training
from aethernet.release.origin import read_origin

NOTE = "Six synthetic pictures, for research and education."
LOG = """2026-11-23 23:59:01,000 INFO:
Version Information:
	BasicSR: 1.4.2
	PyTorch: 2.13.0+cpu
2026-11-23 23:59:01,000 INFO:
  name: tiny
  manual_seed: 77
2026-11-24 00:01:00,000 INFO: [tiny..][epoch:  0, iter:       6, lr:(1.000e-03,)] l_pix: 1.9e-02
"""


def network(**changes) -> AetherNet:
    torch.manual_seed(0)
    fields = {"width": 8, "depths": (1,), "kernel_size": 5, "scale": 2, "tail_channels": 4, "variant": "tiny"}
    return randomise(AetherNet(AetherConfig(**fields | changes))).eval()


@pytest.fixture
def experiment(tmp_path):
    """The folder that a finished training of 6 iterations leaves behind, as far as a card needs it."""
    folder = tmp_path / "experiments" / "tiny"
    (folder / "models").mkdir(parents=True)
    write_options(tiny_options(tmp_path, **{"train:grad_clip": 1.0}), folder / "a.yml")
    (folder / "train_tiny_20261123_235901.log").write_text(LOG + "2026-11-24 00:01:01,000 INFO: End of training. ...\n")
    weights = network().state_dict()
    torch.save({"params": {}, "params_ema": weights}, folder / "models" / "net_g_latest.pth")
    torch.save({"params": {}, "params_ema": weights}, folder / "models" / "net_g_4.pth")
    return folder


@pytest.fixture
def sets(tmp_path):
    generator = np.random.default_rng(0)
    for name in ("SetA", "SetB"):
        write_png(tmp_path / name / "noise.png", generator.integers(0, 256, (32, 34, 3), dtype=np.uint8))
    return [str(tmp_path / name) for name in ("SetA", "SetB")]


def card(experiment, sets, *arguments, weights="net_g_latest.pth") -> int:
    path = str(experiment / "models" / weights)
    return main(["card", path, "-o", str(experiment.parent / "out"), "--sets", *sets, "--data-note", NOTE, *arguments])


def test_both_forms_and_the_card_are_written(experiment, sets, capsys):
    assert card(experiment, sets, "--commit", "abc123") == 0
    printed = capsys.readouterr().out
    out = experiment.parent / "out"
    trained, fused, text = (out / f"aether_tiny_x2{end}" for end in (".safetensors", "_fused.safetensors", ".md"))
    assert sorted(out.iterdir()) == sorted([trained, fused, text])
    x = picture(1, 3, 9, 11)
    with torch.no_grad():
        expected = network()(x)
        assert torch.equal(load_network(trained)(x), expected)
        # 1e-5: float32 roundings in another order.
        assert torch.allclose(load_network(fused)(x), expected, atol=1e-5)
    assert (load_network(trained).config.stage, load_network(fused).config.stage) == ("train", "fused")
    with safetensors.safe_open(fused, "pt") as file:
        header = file.metadata()
    assert (header["data"], header["iterations"], header["seed"], header["commit"]) == (NOTE, "6", "0", "abc123")
    assert read_origin(fused).training["optimizer"] == "Adam, lr 0.001, weight_decay 0, betas [0.9, 0.99]"

    content = text.read_text()
    for path in (trained, fused):
        assert str(path) in printed
        assert f"{path.stat().st_size:,}" in content
        assert hashlib.sha256(path.read_bytes()).hexdigest() in content
    figures = re.search(r"\| SetA +\| +[\d.]+ / [\d.]+ \| +([\d.]+) / [\d.]+ \| +[-+][\d.]+ dB \|", content)
    assert figures
    assert figures[1] in printed
    for part in (NOTE, "iterations: 6\n", "seed: 0\n", "commit: `abc123`", "date: 2026-11-24", "PyTorch: 2.13.0+cpu",
                 "patches: 2 of 8x8 low-resolution pixels a GPU, flipped and turned", "pixel: L1Loss, loss_weight 1",
                 "optimizer: Adam, lr 0.001", "gradient clipping: norm 1.0", "started from: random weights",
                 'load_network("aether_tiny_x2_fused.safetensors")',
                 "`aethernet bench quality bicubic aether_tiny_x2.safetensors --sets SetA SetB`"):  # fmt: skip
        assert part in content
    assert str(experiment.parent) not in content


def test_an_int8_network_has_a_card_of_its_own_beside_its_float_network(experiment, sets):
    write_checkpoint(experiment / "float.safetensors", network())
    qat = calibrate(network(), [picture(1, 3, 16, 16)])
    torch.save({"params_ema": qat.state_dict()}, experiment / "models" / "net_g_6.pth")
    assert card(experiment, sets, "--against", str(experiment / "float.safetensors"), weights="net_g_6.pth") == 0
    out = experiment.parent / "out"
    assert sorted(path.name for path in out.iterdir()) == ["aether_tiny_x2_int8.md", "aether_tiny_x2_int8.safetensors"]
    loaded = load_network(out / "aether_tiny_x2_int8.safetensors")
    assert loaded.config.stage == "int8"
    x = picture(1, 3, 9, 11)
    with torch.no_grad():
        assert torch.equal(loaded(x), qat.convert_to_quantized()(x))
    content = (out / "aether_tiny_x2_int8.md").read_text()
    assert re.search(r"\| set +\| +bicubic \| +float.safetensors \| +aether_tiny_x2_int8 \| +over float \|", content)
    assert re.search(r"\| SetA +\|( +[\d.]+ / [\d.]+ \|){3} +[-+]0\.\d{3} dB \|", content)
    for part in (
        "8-bit integers, without fine-tuning,",
        "iterations: 6\n",
        'for target in ("ort", "openvino", "tensorrt")',
    ):
        assert part in content
    assert "training form" not in content
    shutil.copy(out / "aether_tiny_x2_int8.safetensors", experiment / "models" / "int8.safetensors")
    again = ("--against", str(experiment / "float.safetensors"), "--name", "again")
    assert card(experiment, sets, *again, weights="int8.safetensors") == 0, "weights in integers are measured again"
    names = ("aether_tiny_x2_int8", "again")
    figures = [re.search(r"\| SetA .*", (out / f"{name}.md").read_text())[0].split() for name in names]
    assert figures[0] == figures[1]
    assert torch.equal(load_network(out / "again.safetensors")(x), loaded(x))


def test_the_written_file_is_what_is_measured(experiment, sets, monkeypatch):
    measured = []

    def measure(models, *arguments, **named):
        measured.append(Path(models[1]).read_bytes())
        return measure_quality(models, *arguments, **named)

    monkeypatch.setattr(weights, "measure_quality", measure)
    assert card(experiment, sets) == 0
    assert measured == [(experiment.parent / "out" / "aether_tiny_x2.safetensors").read_bytes()]


def test_a_commit_that_is_only_todays_is_not_in_the_header(experiment, sets):
    assert card(experiment, sets) == 0
    with safetensors.safe_open(experiment.parent / "out" / "aether_tiny_x2.safetensors", "pt") as file:
        assert "commit" not in file.metadata()


def test_another_projects_repository_gives_no_commit(tmp_path, monkeypatch):
    """This package installed in a virtual environment that lies in a repository."""
    installed = tmp_path / "venv" / "aethernet" / "release" / "experiment.py"
    installed.parent.mkdir(parents=True)
    installed.touch()
    (tmp_path / "tracked").touch()
    identity = ["-c", "user.name=x", "-c", "user.email=x"]
    for command in (["init", "-q"], ["add", "tracked"], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    monkeypatch.setattr(left, "__file__", str(installed))
    assert left.source_commit() == ""
    monkeypatch.setattr(left, "__file__", str(tmp_path / "tracked"))
    assert re.fullmatch("[0-9a-f]{12}", left.source_commit())


def test_the_front_matter_is_what_hubs_read(experiment, sets):
    assert card(experiment, sets, "--license", "mit", "--datasets", "BSDS500", "T91", "--name", "mine") == 0
    _, front, body = (experiment.parent / "out" / "mine.md").read_text().split("---\n", 2)
    entries = yaml.safe_load(front)
    assert entries.pop("tags")[:2] == ["super-resolution", "image-upscaling"]
    (index,) = entries.pop("model-index")
    assert index["name"] == "mine"
    figures = re.findall(r"\| (Set.) +\|.*\| +([\d.]+) / ([\d.]+) \| +[-+]", body)
    assert [
        (
            each["dataset"]["name"],
            *(f"{metric['value']:.{decimals}f}" for metric, decimals in zip(each["metrics"], (2, 4), strict=True)),
        )
        for each in index["results"]
    ] == figures
    assert entries == {
        "license": "mit",
        "library_name": "aethernet",
        "pipeline_tag": "image-to-image",
        "datasets": ["BSDS500", "T91"],
        "metrics": ["psnr", "ssim"],
    }
    assert body.startswith("\n# mine\n")


def test_a_note_can_be_a_file(experiment, sets, tmp_path):
    note = tmp_path / "data.md"
    note.write_text("From a file.\n")
    assert card(experiment, sets, "--data-note", str(note)) == 0
    content = (experiment.parent / "out" / "aether_tiny_x2.md").read_text()
    assert "## Data and licence\n\nFrom a file.\n\n## Limits" in content
    assert "license: other\nlicense_name: research-use\n" in content
    assert "datasets:" not in content
    assert re.search("commit: (unknown|`.*`, as the sources were when these weights were first written out)\n", content)


def test_iterations_come_from_the_name_or_the_log(experiment):
    models = experiment / "models"
    numbered = read_training(models / "net_g_4.pth")
    assert (numbered.iterations, numbered.planned) == (4, 6)
    assert read_training(models / "net_g_latest.pth").iterations == 6
    (log,) = experiment.glob("*.log")
    log.write_text(LOG)  # interrupted
    assert read_training(models / "net_g_latest.pth").iterations == 4
    (models / "net_g_4.pth").unlink()
    with pytest.raises(DataError, match=r"nothing tells how many iterations .*net_g_latest\.pth has seen"):
        read_training(models / "net_g_latest.pth")


def test_iterations_are_those_that_ended_not_those_that_were_planned(experiment, tmp_path):
    latest = experiment / "models" / "net_g_latest.pth"
    write_options(tiny_options(tmp_path, **{"train:total_iter": 20_000}), experiment / "a.yml")
    (log,) = experiment.glob("*.log")
    ended = LOG.replace("      6", " 10,000") + "2026-11-24 00:01:01,000 INFO: End of training. ...\n"
    log.write_text(ended + "2026-11-24 00:02:00,000 INFO: [tiny..][epoch:  9, iter:  12,000, lr:(1.000e-03,)] ...\n")
    assert read_training(latest).iterations == 10_000
    log.write_text(ended)
    write_options(
        tiny_options(tmp_path, **{"train:total_iter": 10_050, "logger:print_freq": 100}), experiment / "a.yml"
    )
    assert read_training(latest).iterations == 10_050  # the next line would have come at 10 100


def test_what_the_command_line_changed_counts(experiment, tmp_path):
    options = tiny_options(tmp_path, manual_seed=None)
    write_options(options, experiment / "a.yml")
    assert read_training(experiment / "models" / "net_g_latest.pth").seed == 77
    note_command(experiment, "aethernet train -opt a.yml --force_yml train:total_iter=9 manual_seed=3")
    training = read_training(experiment / "models" / "net_g_4.pth")
    assert (training.planned, training.seed) == (9, 3)


def test_settings_in_the_recipe_read_as_words(experiment, tmp_path):
    options = tiny_options(tmp_path, **{"train:warmup_iter": 1, "network_g:quantization": {"last": "float"}})
    write_options(options, experiment / "a.yml")
    recipe = read_training(experiment / "models" / "net_g_latest.pth").recipe
    assert recipe["warm-up"] == "1 iteration"
    assert "quantization (last float)" in recipe["network"]


def test_a_command_line_is_noted_without_quotes(experiment):
    note_command(experiment, "train.py -opt bob's.yml --force_yml train:scheduler:milestones=[4, 5] train:total_iter=1e5 "
                 "train:optim_g:lr=2e-3 --auto_resume")  # fmt: skip
    training = read_training(experiment / "models" / "net_g_4.pth")
    assert training.planned == 100_000
    assert "milestones [4, 5]" in training.recipe["schedule"]
    assert "lr 0.002" in training.recipe["optimizer"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("trian:total_iter=9", r"a\.yml: its command has --force_yml trian:total_iter=9, which does not fit it"),
        ("name:total_iter:x=9", "which does not fit it"),
        ("train:total_iter=[4", "which does not fit it"),
        ("train:total_iter=many", r"a\.yml is not the option file of a training: .*many"),
        ("train:optim_g=~", r"a\.yml is not the option file of a training"),
    ],
)
def test_a_command_line_that_does_not_fit(experiment, entry, message):
    note_command(experiment, f"aethernet train -opt a.yml --force_yml {entry}")
    with pytest.raises(DataError, match=message):
        read_training(experiment / "models" / "net_g_4.pth")


def note_command(experiment, command: str) -> None:
    """As BasicSR writes it into its copy of the option file."""
    path = experiment / "a.yml"
    path.write_text(f"# GENERATE TIME: now\n# CMD:\n# {command}\n\n{path.read_text()}")


def test_another_folder_for_the_run(experiment, tmp_path):
    moved = tmp_path / "elsewhere" / "deep" / "net_g_6.pth"
    moved.parent.mkdir(parents=True)
    (experiment / "models" / "net_g_4.pth").rename(moved)
    with pytest.raises(DataError, match=r"holds no option file \(\.yml\): give the folder .* --experiment"):
        read_training(moved)
    assert read_training(moved, experiment).iterations == 6


def test_what_is_refused(experiment, sets, tmp_path, capsys):
    assert card(experiment, sets) == 0
    assert card(experiment, sets) == 1
    assert re.search(
        r"holds aether_tiny_x2\.safetensors, .*aether_tiny_x2\.md already: .*--force", capsys.readouterr().err
    )
    assert card(experiment, sets, "--force") == 0
    write_checkpoint(experiment / "models" / "fused.pth", network().fuse_model())
    assert card(experiment, sets, weights="fused.pth") == 1
    assert "is of stage 'fused': give the weights from before fusing" in capsys.readouterr().err
    assert card(experiment, sets, "--force", "--against", "aether_tiny_x2") == 1
    assert "leave out --against" in capsys.readouterr().err
    write_checkpoint(experiment / "models" / "qat.pth", calibrate(network(), [picture(1, 3, 16, 16)]))
    assert card(experiment, sets, weights="qat.pth") == 1
    assert "name it with --against" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert card(experiment, [str(tmp_path / "empty")], "--name", "other") == 1
    assert "no picture" in capsys.readouterr().err
    assert not list((experiment.parent / "out").glob("other*"))
