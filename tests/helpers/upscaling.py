"""A small network in a file, the command that enlarges by it, folders of small pictures, and what a folder of results is, for the tests of upscaling."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aethernet import aether_custom, cli
from aethernet.checkpoint.checkpoint import write_checkpoint
from helpers.networks import randomise

SCALE = 2


def write_network(path: Path) -> Path:
    """A plain one that enlarges by `SCALE` and makes pictures that differ where their sources do."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = randomise(aether_custom(SCALE, width=8, depths=(1,), kernel_size=3, block="plain"))
    write_checkpoint(path, network.eval())
    return path


def upscale_command(folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`aethernet upscale ARGS` with a model in PyTorch, run in a folder by this process; gives the exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("aethernet.machine.keep_freed_memory", lambda: None)  # this process goes on with other tests
    return lambda *args: cli.main(["upscale", *map(str, args), "--model", str(model), "--engine", "torch"])


def write_picture_file(path: Path, seed: int = 0, size: tuple[int, int] = (19, 13), mode: str = "RGB") -> Path:
    """Noise of (width, height); its format is that of the ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], *channels), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def write_folder(folder: Path, count: int, least: int = 8, most: int = 40) -> Path:
    """PNG files of random sizes in a folder and one below it."""
    generator = np.random.default_rng(count)
    for number in range(count):
        size = tuple(int(side) for side in generator.integers(least, most + 1, 2))
        write_picture_file(folder / ("below" if number % 3 == 0 else "") / f"{number:03d}.png", number, size)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones, too; none that is gone again, as temporary ones of runs that go on."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with contextlib.suppress(FileNotFoundError):
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found
