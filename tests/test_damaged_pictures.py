"""Damaged pictures of a training set are named, left out and counted; too many end the training in words."""

import logging
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.training import tiny_options, write_options, write_pairs

from aethernet.data.calibration import CalibrationInputs
from aethernet.data.lmdb_folder import write_lmdb
from aethernet.data.pictures import write_png
from aethernet.errors import DataError
from aethernet.integrations.basicsr import compat
from aethernet.integrations.basicsr.data.damage import Damaged
from aethernet.integrations.basicsr.data.samples import SeededSamples

LOG = logging.getLogger("damaged")


def damage(path):
    content = bytearray(path.read_bytes())
    path.write_bytes(content[: len(content) // 2])


def sound_pixels(samples, batch):
    return any(torch.equal(batch["gt"], sample["gt"]) for sample in samples)


@needs_basicsr
@pytest.mark.parametrize("kind", ["cut", "empty", "html"])
@pytest.mark.parametrize("backend", ["disk", "lmdb"])
def test_a_damaged_picture_is_left_out_and_named(tmp_path, caplog, backend, kind):
    compat.apply()
    from basicsr.data import build_dataset

    write_pairs(tmp_path)
    options = {**tiny_options(tmp_path)["datasets"]["train"], "phase": "train", "scale": 2}
    if backend == "lmdb":
        damaged = {
            "cut": lambda content: content[: len(content) // 2],
            "empty": lambda _: b"",
            "html": lambda _: b"<html>",
        }
        for role in ("gt", "lq"):
            write_lmdb(tmp_path / role, tmp_path / f"{role}.lmdb")
            options[f"dataroot_{role}"] = str(tmp_path / f"{role}.lmdb")
        import lmdb

        with lmdb.open(str(tmp_path / "lq.lmdb")) as store, store.begin(write=True) as transaction:
            transaction.put(b"03", damaged[kind](transaction.get(b"03")))
        options["io_backend"] = {"type": "lmdb"}
    else:
        path = tmp_path / "lq" / "03.png"
        content = {"cut": path.read_bytes()[: path.stat().st_size // 2], "empty": b"", "html": b"<html>"}[kind]
        path.write_bytes(content)
    dataset = build_dataset(options)
    samples = SeededSamples(dataset, seed=0)
    expected = samples[4, 0, 3]["gt"]  # the next one, at the same place
    assert torch.equal(samples[3, 0, 3]["gt"], expected)
    assert torch.equal(samples[3, 0, 3]["gt"], expected)  # known by now
    with caplog.at_level("WARNING", "damaged"):
        samples.damaged.require_few(dataset, LOG)
        samples.damaged.require_few(dataset, LOG)
    (message,) = caplog.messages
    assert "03" in message
    assert message.endswith("and is left out of the training")
    strict = SeededSamples(dataset, 0, Damaged(len(dataset), 0))
    assert strict[3, 0, 3]
    with pytest.raises(
        DataError, match=r"^1 pictures of the training set are damaged, more than the 0 that max_damaged"
    ):
        strict.damaged.require_few(strict.dataset, LOG)


@needs_basicsr
def test_faults_that_are_not_of_a_picture_pass():
    class Broken:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            raise ValueError("a fault of the code")

    with pytest.raises(ValueError, match="a fault of the code"):
        SeededSamples(Broken(), seed=0)[0, 0, 0]


@needs_basicsr
@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_goes_on_without_a_damaged_picture_and_ends_in_words_with_too_many(tmp_path, workers):
    write_pairs(tmp_path)
    opt = tiny_options(tmp_path)
    opt["datasets"]["train"]["num_worker_per_gpu"] = workers
    write_pairs(tmp_path / "validation", count=2)
    for role in ("gt", "lq"):
        opt["datasets"]["val"][f"dataroot_{role}"] = str(tmp_path / "validation" / role)
    damage(tmp_path / "lq" / "03.png")
    for most, code in ((10, 0), (0, 1)):
        opt["datasets"]["train"]["max_damaged"] = most
        opt["name"] = f"most_{most}"
        # the check before a start opens headers only, which are sound
        file = write_options(opt, tmp_path / "opt.yml")
        command = [sys.executable, "-m", "aethernet", "train", "-opt", str(file)]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == code, run.stdout + run.stderr
        assert "03.png cannot be decoded" in run.stdout + run.stderr
        assert "Traceback" not in run.stderr


def test_a_set_in_memory_leaves_out_what_it_cannot_read(tmp_path, caplog):
    pytest.importorskip("basicsr")
    compat.apply()
    from aethernet.integrations.basicsr.data.memory_dataset import AetherMemoryDataset

    for number in range(4):
        write_png(tmp_path / "hr" / f"{number}.png", np.full((32, 32, 3), 10 * number, np.uint8))
    damage(tmp_path / "hr" / "2.png")
    options = {"dataroot_gt": str(tmp_path / "hr"), "phase": "train", "scale": 2, "gt_size": 16, "name": "photos"}
    with caplog.at_level("WARNING", "basicsr"):
        assert len(AetherMemoryDataset(options)) == 3
    assert "2.png" in caplog.text
    for strict in ({"max_damaged": 0}, {"phase": "val"}):
        with pytest.raises(DataError, match=r"2\.png"):
            AetherMemoryDataset({**options, **strict})


def test_calibration_leaves_out_what_it_cannot_read(tmp_path, caplog):
    for number in range(3):
        write_png(tmp_path / f"{number}.png", np.full((32, 32, 3), 10 * number, np.uint8))
    damage(tmp_path / "1.png")
    assert len(list(CalibrationInputs([tmp_path], 2, 3, 10))) == 2
    assert "1.png: " in caplog.text
    for path in tmp_path.iterdir():
        path.write_bytes(b"<html>")
    with pytest.raises(DataError, match="none of the 3 pictures for calibration can be read"):
        list(CalibrationInputs([tmp_path], 2, 3, 10))


def test_what_workers_find_is_known_to_all():
    damaged = Damaged(5, 1)
    assert damaged.flags.is_shared()
    assert pickle.loads(pickle.dumps(damaged)).most == 1
    assert cv2.imdecode(np.frombuffer(b"<html>", np.uint8), cv2.IMREAD_COLOR) is None
