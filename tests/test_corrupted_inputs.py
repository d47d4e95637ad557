"""Files that are no sound weights: one line each, which says what the file is and what to do, and exit code 1."""

import pickle
import random
import re
import zipfile

import pytest
import torch
from helpers.networks import randomise
from safetensors.torch import save_file

from aethernet import AetherConfig, AetherNet, load_network, read_checkpoint, write_checkpoint
from aethernet.cli import main
from aethernet.data.pictures import write_png
from aethernet.errors import AetherError, CheckpointError, ForeignWeightsError

CONFIG = AetherConfig(width=8, depths=(1, 1), scale=2, kernel_size=5, tail_channels=6)
PAGE = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def network(stage: str = "train") -> AetherNet:
    torch.manual_seed(0)
    net = randomise(AetherNet(CONFIG)).eval()
    if stage in ("qat", "int8"):
        net.prepare_qat().eval()
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if name.endswith(".range"):
                    parameter.fill_(4.0)
        return net if stage == "qat" else net.convert_to_quantized()
    return net.fuse_model() if stage == "fused" else net


class Foreign:
    """A class that a pickle of somebody else's program would name."""


def foreign(protocol):
    return lambda path: path.write_bytes(pickle.dumps(Foreign(), protocol))


def foreign_network(path):
    torch.save(torch.nn.Conv2d(1, 1, 1), path)


def cut(path):
    write_checkpoint(path, network())
    path.write_bytes(path.read_bytes()[:-2000])


def cut_in_the_header(path):
    write_checkpoint(path, network())
    path.write_bytes(path.read_bytes()[:500])


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def flipped_weight(path):
    """One bit of one weight: torch.load and safetensors give it back without a word."""
    write_checkpoint(path, network())
    data, weights = path.read_bytes(), network().state_dict()["shallow.weight"].numpy().tobytes()
    flip(path, data.index(weights) + 40)


def flipped_header(path):
    write_checkpoint(path, network())
    flip(path, path.read_bytes().index(b"data_offsets") + 2)


def flipped_pickle(path):
    write_checkpoint(path, network())
    flip(path, path.read_bytes().index(b"_rebuild_tensor") + 2)


def changed(change):
    def make(path):
        state = network().state_dict()
        change(state)
        if path.suffix == ".pth":
            torch.save({"params": state}, path)
        else:
            save_file(state, path)

    return make


def poisoned(state):
    state["fusion.weight"][0, 0] = torch.nan


def stranger(path):
    torch.save({"params": torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)).state_dict()}, path)


def renamed_safetensors(path):
    write_checkpoint(path.with_suffix(".safetensors"), network())
    path.with_suffix(".safetensors").rename(path)


def renamed_pth(path):
    write_checkpoint(path.with_suffix(".pth"), network())
    path.with_suffix(".pth").rename(path)


def without_version(state):
    state["config"] = torch.zeros(4)


CASES = {
    "absent.pth": (lambda path: None, "is not a file: give the .pth or .safetensors that training wrote"),
    "folder.pth": (lambda path: path.mkdir(), "is not a file but a folder: give the .pth or .safetensors in it"),
    "empty.pth": (lambda path: path.touch(), "it is empty or nothing but zeros, from a copy or"),
    "empty.safetensors": (lambda path: path.touch(), "not a readable safetensors file: it is empty"),
    "zeros.pth": (lambda path: path.write_bytes(bytes(9999)), "it is empty"),
    "page.pth": (lambda path: path.write_text(PAGE), "plain tensors: it is a web page saved under this name: download"),
    "page.safetensors": (lambda path: path.write_text(PAGE), "safetensors file: it is a web page"),
    "pointer.pth": (lambda path: path.write_text(POINTER), "it is a git-LFS pointer, .*run `git lfs pull`"),
    "pointer.safetensors": (lambda path: path.write_text(POINTER), "it is a git-LFS pointer"),
    "text.pth": (lambda path: path.write_text("Entry not found\n"), r"it is a text \('Entry not found'\), perhaps"),
    "noise.pth": (lambda path: path.write_bytes(random.Random(0).randbytes(999)), r"plain tensors: it is damaged, or of"),
    "noise.safetensors": (lambda path: path.write_bytes(random.Random(0).randbytes(999)), "damaged or cut off"),
    "cut.pth": (cut, r"is damaged or cut off \(File is not a zip file\): copy or download it again"),
    "cut.safetensors": (cut, "not a readable safetensors file but damaged or cut off"),
    "header.safetensors": (cut_in_the_header, "damaged or cut off"),
    "bit.pth": (flipped_weight, r"is damaged: the checksum of its entry \S+/data/\d+ does not fit: copy or download"),
    "bit.safetensors": (flipped_weight, "its tensors are not those of the checksum in its header"),
    "bit_in_header.safetensors": (flipped_header, "damaged or cut off"),
    "bit_in_pickle.pth": (flipped_pickle, r"is damaged: the checksum of its entry \S+/data.pkl"),
    "foreign.pth": (foreign(2), r"it holds Python objects \(\S+\.Foreign\) or is damaged\. Objects are not loaded"),
    "newer.pth": (foreign(4), r"it holds Python objects or is damaged\. Objects are not loaded"),
    "module.pth": (foreign_network, r"it holds Python objects \(torch\.nn\.modules\.conv\.Conv2d\)\. "),
    "list.pth": (lambda path: torch.save([1], path), "holds a list, not a dictionary of weights: give what training wrote"),
    "state.pth": (lambda path: torch.save({"iter": 5, "optimizers": []}, path), "no weights: expected one of params_ema"),
    "numbers.pth": (lambda path: torch.save({"params": {"a": 1}}, path), "holds no weights in 'params': expected one of"),
    "nothing.pth": (lambda path: torch.save({}, path), "holds no weights: .*found nothing"),
    "other.pth": (stranger, r"holds no AetherNet weights: no entry 'config' beside 0\.weight, 0\.bias, \.\.\.; it is anoth"),
    "config.pth": (changed(without_version), r"config\.pth \(params\): the entry 'config' does not hold an AetherNet conf"),
    "missing.pth": (changed(lambda state: state.pop("shallow.bias")), r"is not whole: .* lacks shallow\.bias"),
    "extra.safetensors": (
        changed(lambda state: state.update(more=torch.zeros(1))), "is not whole: .* has unknown more"),
    "shape.pth": (
        changed(lambda state: state.update({"shallow.bias": torch.zeros(9)})),
        r"has in another shape shallow\.bias \(9,\) instead of \(8,\)"),
    "nan.pth": (changed(poisoned), r"numbers that are NaN or infinite, in fusion\.weight \(1 of 64\)"),
    "nan.safetensors": (changed(poisoned), r"numbers that are NaN or infinite, in fusion\.weight \(1 of 64\)"),
    "renamed.pth": (renamed_safetensors, "is a safetensors file: rename it to renamed.safetensors"),
    "renamed.safetensors": (renamed_pth, r"it is a \.pth under this ending: rename it"),
}  # fmt: skip
"""File name: what makes it, and what the message must say."""
THEIRS = {"other.pth", "state.pth", "numbers.pth", "nothing.pth"}


@pytest.fixture
def pictures(tmp_path):
    write_png(tmp_path / "pictures" / "grey.png", torch.full((32, 32, 3), 128, dtype=torch.uint8).numpy())
    return tmp_path / "pictures"


@pytest.mark.parametrize("name", CASES)
def test_a_network_is_not_made_of_it(tmp_path, name):
    """Sound files of others are told from damaged ones: a benchmark asks spandrel about the former, and stops at the latter."""
    make, message = CASES[name]
    make(tmp_path / name)
    with pytest.raises(CheckpointError, match=message) as error:
        load_network(tmp_path / name)
    assert isinstance(error.value, ForeignWeightsError) == (name in THEIRS)
    text = str(error.value)
    assert text.startswith(str(tmp_path / name)), "a message starts with the file's name"
    assert "\n" not in text
    assert len(text) < 500
    assert "weights_only" not in text, "torch's advice would run whatever the file says"


@pytest.mark.parametrize("name", CASES)
def test_commands_refuse_it_with_one_line(tmp_path, capsys, pictures, name):
    make, message = CASES[name]
    make(tmp_path / name)
    out = tmp_path / "out.safetensors"
    for command in (["fuse", str(tmp_path / name)], ["calibrate", str(tmp_path / name), "--data", str(pictures)]):
        assert main([*command, "-o", str(out)]) == 1
        streams = capsys.readouterr()
        assert streams.out == ""
        assert re.fullmatch(rf"aethernet {command[0]}: error: .*{message}.*\n", streams.err), streams.err
        assert not out.exists()


@pytest.mark.parametrize(
    ("command", "stage", "message"),
    [
        ("fuse", "fused", "is of stage 'fused' already: nothing to fuse"),
        ("fuse", "int8", "is of stage 'int8' already"),
        ("calibrate", "int8", "an int8 network cannot be trained: call"),
    ],
)
def test_commands_refuse_a_wrong_stage(tmp_path, capsys, pictures, command, stage, message):
    write_checkpoint(tmp_path / "net.safetensors", network(stage))
    data = ["--data", str(pictures)] if command == "calibrate" else []
    assert main([command, str(tmp_path / "net.safetensors"), *data, "-o", str(tmp_path / "out.pth")]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.pth").exists()


def test_a_network_does_not_go_back_a_stage(tmp_path):
    write_checkpoint(tmp_path / "net.pth", network("fused"))
    with pytest.raises(AetherError, match="weights of stage 'fused' cannot go back into a network of stage 'train'"):
        load_network(tmp_path / "net.pth", stage="train")
    with pytest.raises(AetherError, match="have no ranges of activations, which stage int8 needs"):
        load_network(tmp_path / "net.pth", stage="int8")


def flips(size: int, count: int, seed: int) -> list[int]:
    """Places all over a file and many in its first and last 2000 bytes, where names and offsets stand."""
    rng = random.Random(seed)
    ends = [rng.randrange(min(2000, size)) for _ in range(count)]
    return [rng.randrange(size) for _ in range(count)] + ends + [size - 1 - place for place in ends]


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_no_flipped_bit_goes_unnoticed(tmp_path, name):
    """The weights come back as they were (the bit stood where nothing is read), or an error of ours; never others."""
    path = tmp_path / name
    original = network()
    write_checkpoint(path, original)
    data, expected = path.read_bytes(), original.state_dict()
    refused = 0
    for index, place in enumerate(flips(len(data), 60, seed=1)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << index % 8
        path.write_bytes(damaged)
        try:
            found = read_checkpoint(path).state_dict
        except CheckpointError as error:
            assert "\n" not in str(error)
            refused += 1
            continue
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert refused > 60


def test_no_cut_goes_unnoticed(tmp_path):
    for name in ("net.pth", "net.safetensors"):
        write_checkpoint(tmp_path / name, network())
        data = (tmp_path / name).read_bytes()
        for length in (1, 7, 8, 9, 30, 300, len(data) // 2, len(data) - 1):
            (tmp_path / name).write_bytes(data[:length])
            with pytest.raises(CheckpointError, match=r"damaged|text|empty"):
                read_checkpoint(tmp_path / name)


def test_the_format_without_checksums_raises_what_we_name(tmp_path):
    """torch's format from before 2020: a flipped weight cannot be seen, but no bit makes another error than ours."""
    path = tmp_path / "net.pth"
    torch.save({"params": network().state_dict()}, path, _use_new_zipfile_serialization=False)
    assert read_checkpoint(path).config == CONFIG
    data = path.read_bytes()
    for index, place in enumerate(flips(len(data), 60, seed=2)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << index % 8
        path.write_bytes(damaged)
        try:
            read_checkpoint(path).network()
        except AetherError as error:
            assert "\n" not in str(error)


def test_checksums_that_were_switched_off_are_not_asked_for(tmp_path):
    """torch writes 0 for each of them then."""
    compute = torch.serialization.get_crc32_options()
    try:
        torch.serialization.set_crc32_options(False)
        write_checkpoint(tmp_path / "net.pth", network())
    finally:
        torch.serialization.set_crc32_options(compute)
    with zipfile.ZipFile(tmp_path / "net.pth") as archive:
        assert {entry.CRC for entry in archive.infolist()} == {0}
    assert load_network(tmp_path / "net.pth").config == CONFIG


def test_a_file_without_our_digest_is_taken_as_it_is(tmp_path):
    """As other trainers and converters write it."""
    state = network().state_dict()
    save_file(state, tmp_path / "net.safetensors", {"format": "pt", "author": "somebody"})
    found = read_checkpoint(tmp_path / "net.safetensors").state_dict
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_no_sound_file_is_taken_for_another(tmp_path):
    """A safetensors file begins with a length, whose bytes may be those that another kind begins with."""
    beginnings = set()
    for padding in range(0, 256, 8):
        header = {"note": "x" * padding}
        write_checkpoint(tmp_path / "net.safetensors", network(), header)
        beginnings.add((tmp_path / "net.safetensors").read_bytes()[0])
        assert load_network(tmp_path / "net.safetensors").config == CONFIG
    assert {0x80, ord("P")} <= beginnings
