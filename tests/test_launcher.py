"""The launcher: BasicSR's pipelines below the current folder, refusals before anything is created, faults mended."""

import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.networks import randomise
from helpers.training import (
    PATIENCE,
    environment,
    run_aethernet,
    start_aethernet,
    tiny_options,
    write_options,
    write_pairs,
)
from PIL import Image

from aethernet import AetherConfig, AetherNet, cli, write_checkpoint
from aethernet.data.bicubic import bicubic_downsample
from aethernet.data.embedded import embedded_pictures
from aethernet.errors import MissingDependencyError, OptionError
from aethernet.integrations.basicsr import compat
from aethernet.integrations.basicsr.data.samples import SeededSamples
from aethernet.integrations.basicsr.pipeline import launcher, option_file
from aethernet.quality.scores import measure_quality

# Refusals, before BasicSR is imported

BROKEN = {
    "missing": (None, r"option file x\.yml does not exist: give a \.yml"),
    "not_yaml": ("name: a\ntrain: b: c\n", r"x\.yml, line 2, column 9: not plain YAML"),
    "key_twice": (
        "name: a\nval:\n  x: 1\nname: b\nval: 2\n",
        r"x\.yml, line 4, column 1: not plain YAML \('name' stands twice in one section, in lines 1 and 4: keep one of them",
    ),
    "inner_key_twice": (
        "train:\n  total_iter: 1\n  lr: 2\n  total_iter: 3\n",
        r"'total_iter' stands twice .* lines 2 and 4",
    ),
    "contains itself": ("name: &a\n  b: [{c: *a}]\n", r"not plain YAML \(a section contains itself, by an alias\)"),
    "tag": ("name: !!python/tuple [1]\n", r"line 1, column 7: not plain YAML \(could not determine a constructor"),
    "list": ("- name\n", r"x\.yml holds a list, not the sections of an option file"),
    "empty": ("", r"x\.yml holds nothing"),
    "binary": (b"\xff\xfe\x00", r"x\.yml is no text in UTF-8"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_option_file_is_refused(tmp_path, monkeypatch, capsys, content, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("x.yml").write_bytes(content.encode() if isinstance(content, str) else content)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OptionError, match=message):
        option_file.read("x.yml", is_train=True)
    assert cli.main(["train", "-opt", "x.yml"]) == 1
    assert "aethernet train: error: " in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, r"x\.yml: line 1: name: is missing at the top level; BasicSR cannot train without it"),
        ({"name": " "}, r"x\.yml: line 1: name: must be a text, not ' '"),
        ({"name": "a/b"}, r"line 1: name: must be the name of a folder, without / and other than . and .., not 'a/b'"),
        ({"manual_seed": "abc"}, r"manual_seed: must be a whole number from 0 to 4294967295, not 'abc'"),
        ({"manual_seed": 2**32}, r"manual_seed: must be a whole number from 0 to 4294967295, not 4294967296"),
        ({"num_gpu": "all"}, r"num_gpu: must be auto or a whole number of at least 0, not 'all'"),
        ({"path": None}, r"path: is missing at the top level"),
        (
            {"datasets:train:dataroot_gt": 5},
            r"line 9: datasets: train: dataroot_gt: must be a path, or ~ for none, not 5",
        ),
        ({"path:pretrain_network_g": 5}, r"path: pretrain_network_g: must be a path, or ~ for none, not 5"),
        ({"path:resume_state": [1]}, r"path: resume_state: must be a path, or ~ for none, not \[1\]"),
        ({"datasets:train": None}, r"datasets: train: must be a section"),
        ({"datasets": {}}, r"datasets: train: is missing; BasicSR needs exactly one training set"),
    ],
)
def test_sections_that_basicsr_needs_to_read_the_rest(tmp_path, changes, message):
    file = write_options(tiny_options(tmp_path, **changes), tmp_path / "x.yml")
    with pytest.raises(OptionError, match=message):
        option_file.read(file, is_train=True)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("train:totl_iter=5", r"no entry train:totl_iter; did you mean train:total_iter\?"),
        ("total_iter=5", r"no entry total_iter; did you mean train:total_iter\?"),
        ("trian:total_iter=5", r"no entry trian; did you mean train"),
        ("train:new=5", r"no entry train:new; an entry that is new must be written into the file"),
        ("name:first=5", r"no entry name:first"),
        ("train: total_iter=5", r"gives .*total_iter' twice, as .*=4' and"),
        ("train:total_iter", r"must read section:key=value"),
        ("name=a=b", r"must read section:key=value, with one '='"),
        ("network_g:depths=[1, exit()]", r"no list of plain values"),
        ('name"]=1;print(opt["name=5', r"must read section:key=value|no entry"),
    ],
)
def test_overrides_name_entries_that_exist(tmp_path, entry, message):
    with pytest.raises(OptionError, match=message):
        option_file.check_overrides(tiny_options(tmp_path), ["train:total_iter=4", entry])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("manual_seed=abc", r"--force_yml: manual_seed: must be a whole number from 0 to 4294967295, not 'abc'"),
        ("manual_seed=-1", r"--force_yml: manual_seed: must be a whole number from 0"),
        ("num_gpu=abc", r"--force_yml: num_gpu: must be auto or a whole number"),
        ("name=5", r"--force_yml: name: must be a text, not 5"),
        ("datasets=5", r"--force_yml: datasets: must be a section"),
        ("train=~", r"--force_yml: train: is missing at the top level"),
        ("datasets:train:dataroot_lq=5", r"--force_yml: datasets: train: dataroot_lq: must be a path"),
        ("train:ema_decay=!!floatx", r"--force_yml 'train:ema_decay=!!floatx': '!!floatx' cannot be read"),
        ("train:total_iter=\N{SUPERSCRIPT TWO}", r"cannot be read .*; give a plain value"),
        ("val=~", r"val: is ~, and BasicSR writes into it in a run for debugging"),
    ],
)
@needs_basicsr
def test_overridden_values_are_checked_before_basicsr_reads_them(tmp_path, entry, message):
    compat.apply()
    from basicsr.utils import options

    opt, parse = tiny_options(tmp_path), option_file.with_numbers(options._postprocess_yml_value)
    opt["manual_seed"] = 3
    option_file.check_overridden(opt, ["manual_seed=5"], parse, is_train=True, debug=True)
    assert opt["manual_seed"] == 3
    with pytest.raises(OptionError, match=message):
        option_file.check_overridden(opt, [entry], parse, is_train=True, debug=True)


def test_problems_are_told_with_their_lines(tmp_path):
    file = write_options(tiny_options(tmp_path), tmp_path / "x.yml")
    lines = file.read_text().splitlines()
    places = option_file.Places(file, ["logger: print_freq=0", "val:metrics=~"])
    for problem, key in (
        ("datasets: train: use_hflip: must be true or false, not 5", "use_hflip:"),
        ("datasets: train: gt_sizes: nobody reads this key", "train:"),
        ("network_g: kernel_size must be odd, not 4", "kernel_size:"),
        ("network_g leaves its scale at the default 4", "network_g:"),
        ("train: optim_g: lr: is missing", "lr:"),
    ):
        told = places(problem)
        assert lines[int(told.removeprefix("line ").removesuffix(": ")) - 1].split()[0] == key, problem
    assert places("logger: print_freq: must be a whole number") == "--force_yml: "
    assert places("val: metrics: psnr: crop_border: must be") == "--force_yml: "
    assert places("nothing of the file") == ""


@needs_basicsr
def test_wrong_values_are_told_at_once_with_their_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path)
    changes = {"dist_params": {"port": "abc"}, "datasets:train:use_hflip": "abc", "train:ema_deacy": 0.9}
    file = write_options(tiny_options(tmp_path, **changes), tmp_path / "x.yml")
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["train", "-opt", "x.yml", "--force_yml", "train:optim_g:lr=much"]) == 1
    told, lines = capsys.readouterr().err, file.read_text().splitlines()
    for place, text in (
        ("dist_params: port", "must be a whole number from 1 to 65535, not 'abc'"),
        ("datasets: train: use_hflip", "must be true or false, not 'abc'"),
        ("train: ema_deacy", "nobody reads this key"),
    ):
        key = place.rpartition(" ")[2]
        number = next(number for number, line in enumerate(lines, start=1) if line.strip().startswith(f"{key}:"))
        assert f"line {number}: {place}: {text}" in told
    assert "--force_yml: train: optim_g: lr: must be a number of at least 0, not 'much'" in told
    assert sorted(tmp_path.rglob("*")) == before


@needs_basicsr
def test_an_overriding_seed_seeds(tmp_path):
    """BasicSR seeds by the file's seed alone: the override would have changed the log and nothing else."""
    write_pairs(tmp_path)
    changes = {"train:total_iter": 1, "val": None, "datasets": {"train": tiny_options(tmp_path)["datasets"]["train"]}}
    weights = []
    for name, seed, extra in (("file", 5, []), ("override", 0, ["--force_yml", "manual_seed=5"])):
        write_options(tiny_options(tmp_path, name=name, manual_seed=seed, **changes), tmp_path / f"{name}.yml")
        run_aethernet("train", "-opt", f"{name}.yml", *extra, cwd=tmp_path)
        saved = torch.load(tmp_path / "experiments" / name / "models/net_g_latest.pth", weights_only=True)
        weights.append(saved["params"])
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_overrides_take_every_number():
    parse = option_file.with_numbers(lambda text: text)
    values = [parse(text) for text in ("-1", "+2", "1e-4", "-.5E+1", "1.", "1-2", "e5", "x4", "")]
    assert values == [-1, 2, 1e-4, -5.0, 1.0, "1-2", "e5", "x4", ""]
    assert [type(value) for value in values[:3]] == [int, int, float]


def test_flags_reach_basicsr_as_it_parses_them():
    flags = launcher.Flags("x.yml", launcher="pytorch", auto_resume=True, debug=True, local_rank=1, force_yml=["a=1"])
    expected = "-opt x.yml --launcher pytorch --auto_resume --debug --local_rank 1 --force_yml a=1"
    assert flags.arguments() == expected.split()
    assert launcher.Flags("x.yml").arguments() == ["-opt", "x.yml"]


def test_what_is_replaced_comes_back(monkeypatch):
    with pytest.raises(ZeroDivisionError), launcher.replaced(sys, "argv", ["x"]):
        assert sys.argv == ["x"]
        _ = 1 / 0
    assert sys.argv != ["x"]


def without(monkeypatch, package: str, reason: str) -> None:
    original = launcher.importlib.import_module

    def import_module(name: str):
        if name.partition(".")[0] == package:
            raise ImportError(reason)
        return original(name)

    monkeypatch.setattr(launcher.importlib, "import_module", import_module)


def test_without_opencv_the_headless_build_is_named(monkeypatch):
    without(monkeypatch, "cv2", "libGL.so.1: cannot open shared object file")
    with pytest.raises(
        MissingDependencyError, match=r"BasicSR needs OpenCV.*libGL.*pip install opencv-python-headless$"
    ):
        launcher.load_basicsr(True)


def test_without_basicsr_the_doctor_is_named(monkeypatch):
    without(monkeypatch, "basicsr", "No module named 'basicsr.train'")
    with pytest.raises(MissingDependencyError, match=r"No module named 'basicsr.train'.*aethernet doctor"):
        launcher.load_basicsr(is_train=True)


# Runs


@needs_basicsr
def test_training_and_testing_stay_below_the_current_folder(tmp_path):
    """The whole command line in new processes, as users type it."""
    write_pairs(tmp_path)
    changes = {"train:total_iter": 2, "num_gpu": "auto", "val:pbar": True}
    write_options(tiny_options(tmp_path, **changes), tmp_path / "tiny.yml")
    home = tmp_path / "home"
    home.mkdir()
    overrides = ["--force_yml", "train:optim_g:lr=1e-4", "logger:save_checkpoint_freq=2"]
    result = run_aethernet("train", "-opt", "../tiny.yml", *overrides, cwd=home, env=environment())
    assert "\r" not in result.stderr, "a bar in a log"
    experiment = home / "experiments/tiny"
    command = (experiment / "tiny.yml").read_text().splitlines()[2]
    assert command == f"# aethernet train -opt ../tiny.yml {' '.join(overrides)}"
    state = torch.load(experiment / "training_states/2.state", weights_only=True)
    assert state["optimizers"][0]["param_groups"][0]["lr"] == 1e-4

    opt = tiny_options(tmp_path, **{"val:save_img": True, "val:suffix": None})
    opt["path"]["pretrain_network_g"] = "experiments/tiny/models/net_g_latest.pth"
    opt["datasets"] = {"test_1": opt["datasets"]["val"]}
    write_options(opt, tmp_path / "test.yml")
    result = run_aethernet("test", "-opt", "../test.yml", cwd=home)
    assert "Testing val..." in result.stderr
    assert len(list((home / "results/tiny/visualization/val").glob("*.png"))) == 6
    assert {path.name for path in home.iterdir()} == {"experiments", "results"}

    before = sorted(home.rglob("*"))
    result = run_aethernet("train", "-opt", "../tiny.yml", cwd=home, check=False)
    assert result.returncode == 1, "a second run of this name would move the first one away"
    assert "aethernet train: error: " in result.stderr
    assert sorted(home.rglob("*")) == before


@needs_basicsr
def test_turned_pictures_measure_alike_in_testing_and_in_bench(tmp_path):
    """Square pictures stored lying on their side: who does not turn them measures another picture of the same size."""
    config = AetherConfig(scale=2, width=8, depths=(1, 1), kernel_size=5, norm_freeze_iter=20)
    write_checkpoint(tmp_path / "net.pth", randomise(AetherNet(config)))
    upright = embedded_pictures("val")["chelsea"][:96, 100:196]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    opt = tiny_options(tmp_path, name="turned", **{"path:pretrain_network_g": str(tmp_path / "net.pth")})
    plain, opt["datasets"] = opt["datasets"]["val"], {}
    sets = {"upright.png": {}, "lying.png": {"exif": exif}, "lying.webp": {"exif": exif, "lossless": True}}
    if int(cv2.__version__.split(".")[0]) < 5:
        del sets["lying.webp"]  # which earlier ones do not turn
    for number, (name, how) in enumerate(sets.items(), start=1):
        folders = tmp_path / name / "HR", tmp_path / name / "LR"
        for folder, img in zip(folders, (upright, bicubic_downsample(upright, 2)), strict=True):
            folder.mkdir(parents=True)
            stored = np.rot90(img) if "exif" in how else img
            Image.fromarray(np.ascontiguousarray(stored)).save(folder / f"a{Path(name).suffix}", **how)
        roots = {"dataroot_gt": str(folders[0]), "dataroot_lq": str(folders[1])}
        opt["datasets"][f"test_{number}"] = {**plain, **roots, "name": Path(name).stem + str(number)}
    run_aethernet("test", "-opt", write_options(opt, tmp_path / "turned.yml"), cwd=tmp_path)
    (log,) = tmp_path.glob("results/turned/*.log")
    tested = [float(found) for found in re.findall(r"# psnr: ([\d.]+)", log.read_text())]

    hr, lr = ([tmp_path / name / kind for name in sets] for kind in ("HR", "LR"))
    measured = [score.mean.psnr for score in measure_quality([str(tmp_path / "net.pth")], hr, lr=lr).scores]
    assert len(tested) == len(sets) and len(set(tested)) == 1
    assert measured == pytest.approx(tested, abs=1e-3)  # BasicSR prints four places, of Y in float32


@needs_basicsr
def test_all_iterations_are_trained_whatever_the_epochs(tmp_path):
    """Three pictures are one batch of two an epoch, where BasicSR counts two; then the set grows between two runs."""
    write_pairs(tmp_path, count=3)
    changes = {"train:total_iter": 12, "logger:save_checkpoint_freq": 12}
    file = write_options(tiny_options(tmp_path, **changes), tmp_path / "x.yml")
    run_aethernet("train", "-opt", file, cwd=tmp_path)
    assert iterations(tmp_path) == 12
    grown = ["--force_yml", "datasets:train:dataset_enlarge_ratio=20", "train:total_iter=15"]
    run_aethernet("train", "-opt", file, "--auto_resume", *grown, cwd=tmp_path)
    assert iterations(tmp_path) == 15


@needs_basicsr
def test_the_time_to_go_is_never_below_zero(monkeypatch):
    launcher.load_basicsr(is_train=True)
    from basicsr.utils import logger as basicsr_logger

    from aethernet.integrations.basicsr.pipeline import run_state

    opt = {"name": "x", "logger": {"print_freq": 1, "use_tb_logger": False}, "train": {"total_iter": 8}}
    log = run_state.message_logger(basicsr_logger.MessageLogger)(opt, 4)
    said: list[str] = []
    monkeypatch.setattr(log, "logger", SimpleNamespace(info=said.append))
    log.start_time -= 40
    for iteration in (7, 8):
        log({"epoch": 0, "iter": iteration, "lrs": [0.1], "time": 10.0, "data_time": 0.0})
    assert "eta: 0:00:10" in said[0]
    assert "eta: 0:00:00" in said[1]


def iterations(root: Path) -> int:
    weights = torch.load(root / "experiments/tiny/models/net_g_latest.pth", weights_only=True)
    return int(weights["params"]["fusion.norm.iterations"])


@needs_basicsr
def test_interrupted_training_says_how_to_go_on(tmp_path):
    write_pairs(tmp_path)
    changes = {"train:total_iter": 100_000, "logger:save_checkpoint_freq": 1, "logger:print_freq": 1000}
    file = write_options(tiny_options(tmp_path, **changes), tmp_path / "x.yml")
    process = start_aethernet("train", "-opt", file, cwd=tmp_path, logs=tmp_path)
    while process.is_alive() and not (tmp_path / "experiments/tiny/training_states/3.state").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    process.join(PATIENCE)
    text = (tmp_path / "stderr").read_text()
    assert process.exitcode == 130, text
    assert text.endswith("interrupted; the same command with --auto_resume goes on from the newest checkpoint\n")
    assert "Traceback" not in text


# Samples


class Noise(torch.utils.data.Dataset):
    """Items that show what the generators give."""

    opt = "reached"

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple:
        return index, random.random(), np.random.random(), torch.rand(1).item()


def test_a_sample_depends_on_its_place_alone():
    samples = SeededSamples(Noise(), seed=5)
    first = samples[2, 0, 7]
    random.seed(99)
    assert samples[2, 0, 7] == first
    others = [samples[2, 0, 8], samples[2, 1, 7], SeededSamples(Noise(), seed=6)[2, 0, 7]]
    for other in others:
        assert not set(first[1:]) & set(other[1:])
    assert samples[2][0] == 2
    assert (len(samples), samples.opt) == (4, "reached")


def test_a_sample_leaves_the_generators_alone():
    for generator in (random.random, np.random.random, lambda: torch.rand(1).item()):
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        alone = [generator(), generator()]
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        interrupted = [generator(), SeededSamples(Noise(), seed=5)[0, 0, 0] and generator()]
        assert alone == interrupted


@needs_basicsr
@pytest.mark.slow
def test_a_worker_that_starts_afresh_makes_the_repairs_first(tmp_path):
    """As on Windows and macOS: what is unpickled there imports BasicSR, which does not import by itself."""
    compat.apply()
    from basicsr.data import build_dataset

    write_pairs(tmp_path)
    options = {**tiny_options(tmp_path)["datasets"]["train"], "phase": "train", "scale": 2}
    samples = SeededSamples(build_dataset(options), seed=0)
    (tmp_path / "samples").write_bytes(pickle.dumps(samples))
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))[3, 0, 0]['gt'].sum().item())"
    command = [sys.executable, "-c", code, str(tmp_path / "samples")]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) == samples[3, 0, 0]["gt"].sum().item()
