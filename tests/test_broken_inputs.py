"""1,000 broken files of every kind that commands read: success or one line that says what is wrong; never a traceback, never
a hang. All in one process, through the function that the command calls."""

import faulthandler
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import picture_files as make
from helpers.extras import needs_basicsr
from helpers.networks import randomise
from helpers.training import tiny_options, write_options, write_pairs
from PIL import Image

from aethernet import aether_custom, write_checkpoint
from aethernet.cli import main

PATIENCE = 900.0
"""Seconds after which one command hangs: none takes a hundredth of it on an idle machine."""
SEED = 0
FIELDS = {"width": 4, "depths": [1], "kernel_size": 3, "tail_channels": 4, "block": "plain", "norm_type": "none"}
COUNTS = {"weights": 240, "onnx": 150, "pictures": 360, "options": 150, "recipes": 50, "lmdb": 50}


def enlarge_by(file: str) -> list[str]:
    return ["upscale", "small.png", "--model", file, "-o", "out.png", "--force"]


def weights(folder: Path) -> Iterator[list[str]]:
    """Checkpoints of every kind and stage."""
    torch.manual_seed(0)
    sound = []
    for stage in ("train", "fused"):
        for suffix in (".pth", ".safetensors"):
            write_checkpoint(folder / f"net{suffix}", randomise(aether_custom(2, **FIELDS, stage=stage)).eval())
            sound.append((suffix, (folder / f"net{suffix}").read_bytes()))
    yield from attempts(folder, sound, enlarge_by)


def onnx(folder: Path) -> Iterator[list[str]]:
    pytest.importorskip("onnx", reason="ONNX export is an extra")
    from aether_arch import export_onnx

    network = randomise(aether_custom(2, **FIELDS)).eval()
    sound = [(".onnx", export_onnx(network, 2, path=folder / "net.onnx").read_bytes())]
    yield from attempts(folder, sound, enlarge_by)


def pictures(folder: Path) -> Iterator[list[str]]:
    img = np.random.default_rng(SEED).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    image, sound = Image.fromarray(img), []
    for kind, how in (("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}), ("TIFF", {})):
        sound.append((f".{kind.lower()}", make.encoded(image, kind, **how)))
    sound.append((".tiff", make.tiff(img.astype(np.uint16) * 257, compression="zlib")))
    write_checkpoint(folder / "sound.safetensors", randomise(aether_custom(2, **FIELDS)).eval())

    def command(file: str) -> list[str]:
        (folder / "alone").mkdir(exist_ok=True)
        for former in (folder / "alone").iterdir():
            former.unlink()
        alone = os.fspath(Path(file).rename(folder / "alone" / Path(file).name))
        return [
            ["upscale", alone, "--model", "sound.safetensors", "-o", "out.png", "--force"],
            ["bench", "quality", "sound.safetensors", "--sets", "alone"],
            ["data", "prepare", "alone", f"prepared{Path(file).stem}", "--scales=2", "--workers=1", "--min-size=4"],
        ][int(Path(file).stem) // 6 % 3]

    yield from attempts(folder, sound, command)


def options(folder: Path) -> Iterator[list[str]]:
    """Option files that name a folder which does not exist, so that none of them trains."""
    file = write_options(tiny_options(folder, **{"datasets:train:dataroot_gt": "absent"}), folder / "x.yml")
    yield from attempts(folder, [(".yml", file.read_bytes())], lambda file: ["train", "-opt", file])


def recipes(folder: Path) -> Iterator[list[str]]:
    recipe = (Path(__file__).parents[1] / "docs/arena/first_x4.yml").read_bytes()
    yield from attempts(folder, [(".yml", recipe)], lambda file: ["bench", "arena", file, "--out", "arena"])


def lmdb(folder: Path) -> Iterator[list[str]]:
    """The text file and the database of a set that is tested on."""
    pytest.importorskip("lmdb", reason="LMDB is an extra")
    from aethernet.data.lmdb_folder import write_lmdb

    for role in ("gt", "lq"):
        write_lmdb(folder / role, folder / f"{role}.lmdb")
    write_checkpoint(folder / "net.pth", randomise(aether_custom(2, **FIELDS)).eval())
    opt = tiny_options(
        folder, **{"path:pretrain_network_g": "net.pth", "network_g": {"type": "aether_custom", "scale": 2, **FIELDS}}
    )
    sections = {f"dataroot_{role}": str(folder / f"{role}.lmdb") for role in ("gt", "lq")}
    opt["datasets"] = {"test": {**opt["datasets"]["val"], **sections, "io_backend": {"type": "lmdb"}}}
    file = write_options({key: opt[key] for key in opt if key not in ("train", "logger")}, folder / "test.yml")
    sound = [(name, (folder / "lq.lmdb" / name).read_bytes()) for name in ("meta_info.txt", "data.mdb")]

    def command(broken: str) -> list[str]:
        for name, content in sound:
            (folder / "lq.lmdb" / name).write_bytes(content)
        Path(broken).rename(folder / "lq.lmdb" / Path(broken).name.partition("_")[2])
        return ["test", "-opt", str(file)]

    yield from attempts(folder, [(f"_{name}", content) for name, content in sound], command)


def attempts(folder: Path, sound: list[tuple[str, bytes]], command) -> Iterator[list[str]]:
    """Command lines, each with a broken file of its own, which is made when it is asked for."""
    contents = [content for _, content in sound]
    number = 0
    while True:
        file = folder / f"{number}{sound[number % len(sound)][0]}"
        is_text = file.suffix in (".yml", ".txt") and number % 4
        file.write_bytes((disordered if is_text else make.damaged)(number + SEED * 100_000, contents))
        yield command(str(file))
        file.unlink(missing_ok=True)
        number += 1


def disordered(seed: int, sound: list[bytes]) -> bytes:
    """A text of which lines were lost, doubled, exchanged, indented, or have other values: most are good YAML still."""
    generator = np.random.default_rng(seed)
    lines = sound[seed % len(sound)].decode().splitlines()
    for _ in range(int(generator.integers(1, 4))):
        if not lines:
            break
        place, other = generator.integers(0, len(lines), 2)
        name, _, value = lines[place].partition(":")
        junk = [
            "", " ~", " []", " {}", " -1", " .nan", " !!float x", " 1e400", " 'text'", " [1, {a: b}]", " &a *a",
            " 2024-01-01", value * 50,
        ]  # fmt: skip
        match generator.integers(0, 5):
            case 0:
                del lines[place]
            case 1:
                lines.insert(other, lines[place])
            case 2:
                lines[place], lines[other] = lines[other], lines[place]
            case 3:
                lines[place] = "  " + lines[place]
            case _:
                lines[place] = f"{name}:{junk[generator.integers(0, len(junk))]}"
    return "\n".join(lines).encode()


def complaint(arguments: list[str], capsys) -> str:
    """What is wrong with how a command ends; empty if nothing is."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True, file=sys.__stderr__)
    try:
        code = main(arguments)
    except BaseException as error:  # SystemExit and whatever a library throws
        return f"{type(error).__name__}: {error}"
    finally:
        faulthandler.cancel_dump_traceback_later()
    error = capsys.readouterr().err
    if code not in (0, 1):
        return f"exit code {code}"
    if "Traceback" in error:
        return error
    said = [line for line in error.splitlines() if line.startswith("aethernet ") and ": error: " in line]
    if code == 1 and arguments[0] != "upscale" and len(said) != 1:
        return f"{len(said)} lines of error: {error}"
    if code == 1 and arguments[0] == "upscale" and "aethernet upscale: " not in error:
        return f"no error: {error}"
    return ""


@needs_basicsr
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [weights, onnx, pictures, options, recipes, lmdb], ids=lambda kind: kind.__name__)
def test_broken_inputs(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path, count=2)
    make_small(tmp_path / "small.png")
    found = []
    for number, arguments in zip(
        range(int(os.environ.get("BROKEN", COUNTS[kind.__name__]))), kind(tmp_path), strict=False
    ):
        if wrong := complaint(arguments, capsys):
            found.append(f"{number}: {' '.join(arguments)}: {wrong}")
    assert not found, "\n".join(found)


def make_small(path: Path) -> None:
    Image.fromarray(np.random.default_rng(SEED).integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(path)
