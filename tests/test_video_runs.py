"""Videos under stress: kills at any moment, several processes, damaged files, long films in flat memory."""

import functools
import itertools
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.memory import STATM, memory_of
from helpers.training import environment, run_aethernet, start_aethernet
from helpers.upscaling import contents, write_network

av = pytest.importorskip("av")
films = pytest.importorskip("helpers.films")

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="starts many processes, which takes long elsewhere")
COUNT = 900
"""Frames: more than a second of work, in parts of 120."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model") / "net.safetensors")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "in.mkv"
    films.write_film(
        path, COUNT, (16, 16), steps=(3600, 2970, 7200), audio=1, subtitles=("subrip",), options={"bf": "3", "g": "50"}
    )
    return path


@pytest.fixture(scope="module")
def whole(model, film, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out.mkv"
    run_aethernet(*command(film, out, model), cwd=out.parent)
    return films.read_film(out)


def command(film, out, model):
    """Without loss: x264 does not give the same bytes in each run for pictures as small as these."""
    return "upscale", film, "-o", out, "--model", model, "--engine", "torch", "--codec", "ffv1"


def start(film, out, model, rank=0, count=1):
    logs = out.with_name(f"logs{rank}")
    logs.mkdir(exist_ok=True)
    ranks = {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)} if count > 1 else {}
    prepare = functools.partial(set_environment, ranks)
    return start_aethernet(*command(film, out, model), cwd=out.parent, logs=logs, prepare=prepare)


def set_environment(changes: dict[str, str]) -> None:
    os.environ.update(changes)


def check(out: Path, whole) -> None:
    found = films.read_film(out)
    for key in ("times", "packets", "chapters", "metadata", "streams", "tags"):
        assert found[key] == whole[key], key
    for mine, its in zip(found["frames"], whole["frames"], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, its, strict=True))
    assert {path.name for path in out.parent.iterdir()} <= {"out.mkv", "logs0", "logs1"}


@needs_fork
@pytest.mark.slow
def test_twenty_kills(film, model, whole, tmp_path):
    out, generator = tmp_path / "out.mkv", random.Random(0)
    kills, parts = 0, tmp_path / ".out.mkv.parts"
    while kills < 20:
        process = start(film, out, model)
        before = len(list(parts.glob("[0-9]*.mkv")))
        if kills % 3 == 0:  # somewhere at the beginning; else when it has done a part
            time.sleep(generator.random() * 4)
        else:
            while len(list(parts.glob("[0-9]*.mkv"))) <= before and process.exitcode is None and not out.exists():
                time.sleep(0.002)
            time.sleep(generator.random() * 0.2)
        process.kill() if generator.random() < 0.7 else process.terminate()
        process.join()
        kills += 1
        if out.exists():
            assert len(films.read_film(out)["times"]) == COUNT, "a result that is not whole has its name"
            out.unlink()
    run_aethernet(*command(film, out, model), cwd=tmp_path)
    check(out, whole)


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("kill", [False, True])
def test_processes_share_a_film(kill, film, model, whole, tmp_path):
    out = tmp_path / "out.mkv"
    processes = [start(film, out, model, rank, 2) for rank in range(2)]
    if kill:
        while not list((tmp_path / ".out.mkv.parts").glob("[0-9]*.mkv")) and processes[0].exitcode is None:
            time.sleep(0.002)
        processes.pop(0).kill()
    for process in processes:
        process.join()
    said = [(tmp_path / f"logs{rank}" / "stderr").read_text() for rank in range(2)]
    assert all(process.exitcode == 0 for process in processes), said
    check(out, whole)


HOSTILE = """
import json, sys, time
from pathlib import Path
from aethernet.errors import AetherError
from aethernet.upscale import Upscaler
from aethernet.upscale.video import upscale_film

upscaler = Upscaler(sys.argv[1], "torch")
for name in sys.argv[2:]:
    start = time.time()
    try:
        outcome = upscale_film(upscaler, name, Path(name).with_name(f"out_{Path(name).stem}.mkv"), force=True).outcome
    except AetherError as error:
        outcome = str(error)
    print(json.dumps([Path(name).name, outcome, time.time() - start]), flush=True)
"""


def write_hostile(folder: Path, count: int) -> list[Path]:
    """Files that are cut off, with bytes changed, zeroed, doubled or swapped, of many containers and codecs; and whole ones of
    absurd kinds."""
    kinds = [
        (".mkv", {"audio": 1, "subtitles": ("subrip",), "chapters": True}), (".mp4", {"audio": 1, "chapters": True}),
        (".ts", {"audio": 1}), (".avi", {"codec": "mpeg4"}), (".mov", {"codec": "mpeg4"}), (".webm", {"codec": "libvpx-vp9"}),
        (".mkv", {"codec": "ffv1"}), (".mkv", {"codec": "libx265"}), (".y4m", {"codec": "rawvideo"}), (".mpg", {"codec": "mpeg2video"}),
    ]  # fmt: skip
    made, generator = [], random.Random(0)
    for number, (ending, options) in enumerate(kinds):
        path = folder / f"whole{number}{ending}"
        if ending == ".y4m":
            frames = films.noise((32, 24), "yuv420p", 8)
            body = b"".join(b"FRAME\n" + b"".join(plane.tobytes() for plane in frame) for frame in frames)
            path.write_bytes(b"YUV4MPEG2 W32 H24 F25:1 Ip C420\n" + body)
        else:
            films.write_film(path, 8, **options)
        made.append(path)
    paths = list(made)
    while len(paths) < count:
        source = generator.choice(made)
        data = bytearray(source.read_bytes())
        how = generator.choice(["cut", "flip", "flip header", "zero", "double", "swap", "tail"])
        if how == "cut":
            data = data[: generator.randrange(len(data))]
        elif how.startswith("flip"):
            reach = min(len(data), 600) if "header" in how else len(data)
            for _ in range(generator.choice([1, 5, 50])):
                data[generator.randrange(reach)] = generator.randrange(256)
        elif how == "zero":
            place = generator.randrange(len(data))
            data[place : place + 500] = bytes(min(500, len(data) - place))
        elif how == "double":
            data = data + data
        elif how == "swap":
            half = len(data) // 2
            data = data[half:] + data[:half]
        else:
            data = data[generator.randrange(len(data)) :]
        path = folder / f"bad{len(paths):03d}{source.suffix}"
        path.write_bytes(data)
        paths.append(path)
    return paths


@pytest.mark.parametrize("count", [12, pytest.param(110, marks=pytest.mark.slow)])
def test_damaged_videos_are_enlarged_or_refused_in_one_line(count, model, tmp_path):
    """No crash, no hang, no other error, no half file."""
    paths = write_hostile(tmp_path, count)[-count if count > 12 else -2 :]
    words = [sys.executable, "-c", HOSTILE, str(model), *map(str, paths)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=600)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(records) == len(paths), done.stderr[-2000:] + done.stdout[-500:]
    for name, outcome, seconds in records:
        assert "\n" not in outcome and seconds < 60, (name, outcome, seconds)
        out = tmp_path / f"out_{Path(name).stem}.mkv"
        assert out.exists() == (outcome == "enlarged"), (name, outcome)
        if out.exists():
            assert films.read_film(out)["times"]
    if count > 12:
        outcomes = [outcome for name, outcome, _ in records if name.startswith("whole")]
        assert outcomes.count("enlarged") >= 9, outcomes


FILM = """
    from aethernet.upscale import Upscaler
    from aethernet.upscale.video import Coding, upscale_film

    upscale_film(Upscaler(sys.argv[1], "torch"), sys.argv[2], sys.argv[3], coding=Coding(preset="ultrafast"),
                 progress=lambda done, total, tally: see())
"""


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="reads Linux's memory figures")
def test_memory_is_flat_over_5000_frames(model, tmp_path):
    frames = films.noise((64, 48), "yuv420p", 7)
    films.write_film(tmp_path / "in.mkv", frames=list(itertools.islice(itertools.cycle(frames), 5000)), codec="mpeg4")
    count, early, late = memory_of(FILM, model, tmp_path / "in.mkv", tmp_path / "out.mkv", early=500)
    # A leak of every frame and its result would be 5000 x (64 x 48 + 128 x 96) x 3 x 4 bytes = 880 MB.
    assert count == 5000 and late < early + 40
    assert set(contents(tmp_path)) == {"in.mkv", "out.mkv"}
