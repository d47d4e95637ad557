"""Weights that come with the package: what lies in the box is whole, and networks are found by name."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers.networks import picture, randomise

from aethernet import AetherConfig, AetherNet, aether_tiny, load_network, read_checkpoint, write_checkpoint
from aethernet.checkpoint import pretrained
from aethernet.data.embedded import embedded_pictures
from aethernet.data.pictures import write_png
from aethernet.errors import CheckpointError, StageError
from aethernet.quality.scores import measure_quality
from aethernet.release.origin import read_origin
from aethernet.runtimes.models import resolve_model

ROOT = Path(__file__).parents[1]
MOST_FLOAT_BYTES, MOST_BYTES = 21_000_000, 25_000_000
"""A package is installed by people who never use the weights. Half of it is small, a tenth of what torch takes is the limit."""

in_the_box = pytest.mark.parametrize("name", pretrained.available())
trained_in_the_box = pytest.mark.parametrize(
    "name", [name for name in pretrained.available() if not name.endswith((pretrained.FUSED, pretrained.INT8))]
)
int8_in_the_box = pytest.mark.parametrize(
    "name", [name for name in pretrained.available() if name.endswith(pretrained.INT8)]
)


@pytest.fixture
def box(tmp_path, monkeypatch):
    """A box with one small network, in both forms."""
    folder = tmp_path / "box"
    torch.manual_seed(0)
    network = randomise(AetherNet(AetherConfig(width=8, depths=(1,), kernel_size=5, scale=2, tail_channels=4))).eval()
    write_checkpoint(folder / "aether_tiny_x2.safetensors", network)
    write_checkpoint(folder / "aether_tiny_x2_fused.safetensors", network.fuse_model())
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    return folder


def test_the_box_is_not_empty():
    """Tests over what lies in the box pass when there is nothing."""
    assert {"aether_tiny_x4", "aether_tiny_x4_fused", "aether_tiny_x4_int8"} <= set(pretrained.available())


@in_the_box
def test_weights_load_strictly(name):
    network = load_network(name)
    assert not network.training
    suffixes = {"train": "", "fused": pretrained.FUSED, "int8": pretrained.INT8}
    assert name.replace(pretrained.PHOTO, "") == f"{network.config.name}{suffixes[network.config.stage]}"
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


@in_the_box
def test_the_card_tells_of_both_files(name):
    card = pretrained.path(name).with_name(f"{name.removesuffix(pretrained.FUSED)}.md").read_text(encoding="utf-8")
    assert pretrained.path(name).name in card
    assert f"{pretrained.path(name).stat().st_size:,}" in card
    for entry in ("license:", "pipeline_tag: image-to-image", "model-index:", "Set5", "Set14", "B100"):
        assert entry in card
    origin = read_origin(pretrained.path(name))  # the header knows what the card says
    assert f"\n## Data and licence\n\n{origin.data_note}\n" in card
    assert "".join(f"- {dataset}\n" for dataset in origin.datasets) in card
    training = card.partition("## Training\n\n")[2].partition("\n\n")[0]
    assert training.splitlines() == [f"- {title}: {fact}" for title, fact in origin.training.items()]
    assert {"iterations", "seed", "commit"} <= origin.training.keys()


@trained_in_the_box
def test_fused_equals_unfused(name):
    """1e-5: float32 roundings in another order, outputs of order 1."""
    x = picture(1, load_network(name).config.in_channels, 23, 37)
    with torch.no_grad():
        unfused, fused, both = load_network(name)(x), load_network(name, "fused")(x), load_network(f"{name}_fused")(x)
    assert torch.equal(fused, both)
    assert (fused - unfused).abs().max() < 1e-5


@int8_in_the_box
def test_the_int8_network_is_near_its_float_network(name, tmp_path):
    """0.1 dB is the default budget of `aethernet verify`; measured on these photographs: 0.06 (x2) and 0.04 dB (x4)."""
    for title, photograph in embedded_pictures("val").items():
        write_png(tmp_path / "set" / f"{title}.png", photograph[:200, :240])
    scores = measure_quality([name, name.removesuffix(pretrained.INT8)], [tmp_path / "set"]).scores
    assert scores[0].mean.psnr > scores[1].mean.psnr - 0.1
    assert scores[0].mean.psnr != scores[1].mean.psnr


@in_the_box
def test_a_flipped_bit_of_the_weights_is_noticed(name, tmp_path):
    content = bytearray(pretrained.path(name).read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    damaged = tmp_path / "damaged.safetensors"
    for place in np.random.default_rng(0).integers(header, len(content), 5):
        content[place] ^= 1 << 3
        damaged.write_bytes(content)
        with pytest.raises(CheckpointError, match="damaged"):
            read_checkpoint(damaged)
        content[place] ^= 1 << 3


def test_weights_without_a_checksum_are_told_of(tmp_path, caplog):
    caplog.set_level("INFO", "aethernet")
    write_checkpoint(tmp_path / "with.safetensors", aether_tiny(2))
    load_network(tmp_path / "with.safetensors")
    assert not caplog.messages
    safetensors.torch.save_file(aether_tiny(2).state_dict(), tmp_path / "without.safetensors")
    load_network(tmp_path / "without.safetensors")
    assert re.fullmatch(r".*without\.safetensors has no checksum in its header .*", caplog.messages[0])


def test_the_box_is_small():
    sizes = {path.name: path.stat().st_size for path in pretrained.FOLDER.glob("*")}
    assert sum(sizes.values()) <= MOST_BYTES
    assert sum(size for name, size in sizes.items() if pretrained.INT8 not in name) <= MOST_FLOAT_BYTES


def test_a_wheel_holds_the_weights(tmp_path):
    pytest.importorskip("setuptools")
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", tmp_path, "build", "--build-base", tmp_path,
               "bdist_wheel", "--dist-dir", tmp_path]  # fmt: skip
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert "aethernet/checkpoint/pretrained.py" in inside
    assert {f"aethernet/weights/{path.name}" for path in pretrained.FOLDER.glob("*")} <= inside


def test_networks_are_loaded_by_name(box):
    assert pretrained.available() == ["aether_tiny_x2", "aether_tiny_x2_fused"]
    trained, fused = load_network("aether_tiny_x2"), load_network("aether_tiny_x2_fused")
    assert (trained.config.stage, fused.config.stage) == ("train", "fused")
    assert load_network("aether_tiny_x2", stage="fused").config == fused.config
    assert read_checkpoint(Path("aether_tiny_x2")).path == box / "aether_tiny_x2.safetensors"
    with pytest.raises(StageError, match="cannot go back"):
        load_network("aether_tiny_x2_fused", stage="train")


def test_an_unknown_name_lists_what_is_there(box):
    with pytest.raises(
        CheckpointError, match=r"'aether_tiny_x4'; did you mean aether_tiny_x2 .*The package has aether_"
    ):
        load_network("aether_tiny_x4")
    with pytest.raises(CheckpointError, match=r"'something'; the package has aether_tiny_x2, aether_tiny_x2_fused"):
        load_network("something")
    for file in box.iterdir():
        file.unlink()
    with pytest.raises(CheckpointError, match=r"'aether_tiny_x2'; the package has none in this inst"):
        load_network("aether_tiny_x2")


def test_a_path_stays_a_path(box, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"aether_tiny_x2\.pth is not a file"):
        load_network("aether_tiny_x2.pth")
    with pytest.raises(CheckpointError, match="is not a file"):
        load_network("models/aether_tiny_x2")
    torch.save({"params": aether_tiny(2).state_dict()}, tmp_path / "net")
    assert load_network("net").config.variant == "tiny"


def test_the_benchmarks_take_the_name(box, tmp_path):
    subject = resolve_model("aether_tiny_x2")
    assert (subject.label, subject.trained, subject.network.config.stage) == ("aether_tiny_x2", True, "fused")
    assert not resolve_model("aether_tiny_x4").trained
    pixels = np.random.default_rng(0).integers(0, 256, (30, 34, 3), dtype=np.uint8)
    write_png(tmp_path / "set" / "noise.png", pixels)
    report = measure_quality(["aether_tiny_x2", "aether_tiny_x2_fused"], [tmp_path / "set"])
    first, second = report.scores
    assert re.fullmatch("aether_tiny_x2", first.model)
    assert first.mean.psnr == pytest.approx(second.mean.psnr, abs=1e-3)
