"""Damaged pictures of a training set are named, left out and counted; too many end the training in words."""

import logging
import pickle
import re
import subprocess
import sys
import threading
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.networks import randomise
from helpers.training import run_aethernet, tiny_options, write_options, write_pairs

import aethernet
from aethernet.cli import main
from aethernet.data.calibration import CalibrationInputs
from aethernet.data.lmdb_folder import write_lmdb
from aethernet.data.pictures import write_png
from aethernet.errors import DataError
from aethernet.integrations.basicsr import compat
from aethernet.integrations.basicsr.data.damage import SharedDamage, SoundBatches, SoundPictures, most_damaged
from aethernet.integrations.basicsr.data.samples import SeededSamples
from aethernet.integrations.basicsr.pipeline import launcher
from aethernet.network.config import AetherConfig

CONFIG = AetherConfig(scale=2, width=8, depths=(1, 1), kernel_size=5, norm_freeze_iter=20)


@pytest.fixture
def log(caplog):
    """BasicSR's log, which keeps its messages to itself once it is set up."""
    logger = logging.getLogger("basicsr")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def damage(path):
    content = bytearray(path.read_bytes())
    path.write_bytes(content[: len(content) // 2])


def sound_pixels(samples, batch):
    return any(torch.equal(batch["gt"], sample["gt"]) for sample in samples)


@needs_basicsr
@pytest.mark.parametrize("kind", ["cut", "empty", "html"])
@pytest.mark.parametrize("backend", ["disk", "lmdb"])
def test_a_damaged_picture_is_left_out_and_named(tmp_path, log, backend, kind):
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
    samples.damaged.require_few(dataset)
    samples.damaged.require_few(dataset)
    (message,) = [each for each in log.messages if "damaged" in each or "left out" in each]
    assert "03" in message
    assert message.endswith("; it is left out of the training")
    strict = SeededSamples(dataset, 0, SharedDamage(len(dataset), 0))
    assert strict[3, 0, 3]
    with pytest.raises(
        DataError, match=r"^1 picture is damaged, and none may be left out of the training \(max_damaged in"
    ):
        strict.damaged.require_few(strict.dataset)


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
        assert "03.png: cannot be decoded" in run.stdout + run.stderr
        assert "Traceback" not in run.stderr


def test_a_set_in_memory_leaves_out_what_it_cannot_read(tmp_path, log):
    pytest.importorskip("basicsr")
    compat.apply()
    from aethernet.integrations.basicsr.data.memory_dataset import AetherMemoryDataset

    for number in range(4):
        write_png(tmp_path / "hr" / f"{number}.png", np.full((32, 32, 3), 10 * number, np.uint8))
    damage(tmp_path / "hr" / "2.png")
    options = {"dataroot_gt": str(tmp_path / "hr"), "phase": "train", "scale": 2, "gt_size": 16, "name": "photos"}
    assert len(AetherMemoryDataset(options)) == 3
    assert "2.png" in log.text
    with pytest.raises(DataError, match=r"1 picture is damaged, and none may be .*2\.png"):
        AetherMemoryDataset({**options, "max_damaged": 0})
    assert len(AetherMemoryDataset({**options, "phase": "val"})) == 3
    for path in (tmp_path / "hr").iterdir():
        path.write_bytes(b"<html>")
    with pytest.raises(DataError, match="photos: every picture is damaged"):
        AetherMemoryDataset(options)


def options_of_a_test(place, **changes):
    """Options for a test of two sets of six pictures with a network of random weights; the first has two damaged ones."""
    opt = tiny_options(place, name="test")
    aethernet.write_checkpoint(place / "net.pth", randomise(aethernet.AetherNet(CONFIG)))
    opt["path"]["pretrain_network_g"] = str(place / "net.pth")
    for name in ("first", "second"):
        write_pairs(place / name)
    damage(place / "first" / "lq" / "03.png")
    damage(place / "first" / "gt" / "05.png")
    section = {**opt["datasets"]["val"], **changes}
    opt["datasets"] = {
        f"test_{number}": {
            **section, "name": name, "dataroot_gt": str(place / name / "gt"), "dataroot_lq": str(place / name / "lq"),
        }
        for number, name in enumerate(("first", "second"), start=1)
    }  # fmt: skip
    return write_options(opt, place / "test.yml")


@needs_basicsr
def test_a_test_leaves_out_damaged_pictures_and_says_so_at_its_figures_and_at_the_end(tmp_path):
    done = run_aethernet("test", "-opt", options_of_a_test(tmp_path), cwd=tmp_path)
    assert "datasets: test_1: " in done.stderr and "it is left out of the figures" in done.stderr
    (log,) = tmp_path.glob("results/test/*.log")
    text = log.read_text()
    first, second, end = re.search(
        r"Validation first\s+# psnr: ([\d.]+).*first: the figures are of 4 of 6 pictures; damaged and left out: .*lq/03.png "
        r"cannot be decoded; .*gt/05.png.*Validation second\s+# psnr: ([\d.]+)(.*)",
        text, re.S,
    ).groups()  # fmt: skip
    assert "damaged pictures that are no part of the figures above: first 2" in end and "second: the figures" not in end
    for place in (tmp_path / "first", tmp_path / "second"):
        for kind in ("gt", "lq"):
            for name in ("03.png", "05.png"):
                (place / kind / name).unlink()
    run_aethernet("test", "-opt", tmp_path / "test.yml", cwd=tmp_path)
    again = re.findall(r"# psnr: ([\d.]+)", max(tmp_path.glob("results/test/*.log")).read_text())
    assert again == [first, first] and second != first, "the figures are those of the sound pictures"


@needs_basicsr
@pytest.mark.parametrize(("most", "said"), [(1, "max_damaged: 1 is less than that"), (0, "max_damaged: 0 allows none")])
def test_a_test_with_too_many_damaged_pictures_is_refused_before_it_starts(tmp_path, most, said):
    done = run_aethernet("test", "-opt", options_of_a_test(tmp_path, max_damaged=most), cwd=tmp_path, check=False)
    assert done.returncode == 1 and said in done.stderr and "03.png cannot be decoded, and 1 more" in done.stderr
    assert not (tmp_path / "results").exists()


@needs_basicsr
def test_another_error_in_the_prefetching_thread_ends_the_run(tmp_path, monkeypatch):
    """Lack of memory, say, which is no damage; BasicSR's own thread would end, and who waits for it wait for ever."""
    compat.apply()
    from basicsr.data import build_dataloader, build_dataset

    pipeline = launcher.load_basicsr(is_train=False)
    for owner, name, value in launcher.repairs(pipeline, launcher.Session(tmp_path, is_train=False), on_cpu=True):
        monkeypatch.setattr(owner, name, value)
    write_pairs(tmp_path)
    options = {**tiny_options(tmp_path)["datasets"]["val"], "phase": "val", "scale": 2, "prefetch_mode": "cpu"}
    pictures = SoundPictures(build_dataset(options), {})
    loader = SoundBatches(build_dataloader(pictures, options))
    monkeypatch.setattr(type(pictures.dataset), "__getitem__", lacking(pictures, 3))
    said = []

    def take() -> None:
        try:
            said.extend(loader)
        except MemoryError as error:
            said.append(error)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(60)
    assert len(said) == 4 and isinstance(said[-1], MemoryError)
    assert not pictures.damaged.found


def lacking(pictures, last):
    """As the set, with too little memory from an index on, also for looking whether the picture is damaged."""
    sound = type(pictures.dataset).__getitem__

    def get(dataset, index):
        item = sound(dataset, index)
        if index == last:
            dataset.file_client = SimpleNamespace(get=fail)
            raise MemoryError
        return item

    def fail(*_):
        raise MemoryError

    return get


@needs_basicsr
@pytest.mark.parametrize("prefetch", [None, "cpu"])
def test_pictures_that_are_damaged_while_a_test_runs_are_left_out_from_then_on(tmp_path, log, prefetch):
    compat.apply()
    from basicsr.data import build_dataloader, build_dataset

    write_pairs(tmp_path)
    options = {**tiny_options(tmp_path)["datasets"]["val"], "phase": "val", "scale": 2, "prefetch_mode": prefetch}
    pictures = SoundPictures(build_dataset(options), {"max_damaged": 2})
    loader = SoundBatches(build_dataloader(pictures, options))
    names = lambda: sorted(batch["lq_path"][0][-6:-4] for batch in loader)  # noqa: E731
    assert len(loader) == 6 and names() == ["00", "01", "02", "03", "04", "05"] and not pictures.statement()
    (tmp_path / "lq" / "01.png").write_bytes(b"")
    (tmp_path / "gt" / "04.png").unlink()
    for _ in range(2):
        assert names() == ["00", "02", "03", "05"] and len(loader) == 4
    assert pictures.statement().startswith("val: the figures are of 4 of 6 pictures; damaged and left out: ")
    assert sum("left out" in message for message in log.messages) == 2
    damage(tmp_path / "lq" / "05.png")
    with pytest.raises(DataError, match="3 pictures are damaged, and at most 2 may be left out of the figures of val"):
        names()
    everything = SoundPictures(pictures.dataset, {"max_damaged": 9})
    for path in (tmp_path / "lq").iterdir():
        path.write_bytes(b"<html>")
    with pytest.raises(DataError, match="val: every picture is damaged"):
        list(SoundBatches(build_dataloader(everything, options)))


PSNR, SSIM = ({"type": f"calculate_{name}", "crop_border": 2} for name in ("psnr", "ssim"))


def best_of(place, start, metrics, folder="set"):
    """What a run that goes on from `start` knows of the best, and its model, on which BasicSR keeps them."""
    from aethernet.integrations.basicsr.pipeline.best_metrics import BestMetrics

    section = {"name": "set", "phase": "val", "dataroot_gt": folder, "scale": 2}
    opt = {"path": {"experiments_root": str(place)}, "val": {"metrics": metrics}, "datasets": {"val": section}}
    best, model = BestMetrics(), SimpleNamespace()
    best.restore(model, opt, start)
    return best, model


def validated(best, model, iteration, *damaged, **values):
    """The best after a validation with these figures, as BasicSR and then `BestMetrics` keep them."""
    known = model.__dict__.setdefault("best_metric_results", {})
    records = known.setdefault("set", {name: {"better": "higher", "val": float("-inf"), "iter": -1} for name in values})
    for name, value in values.items():
        if value >= records[name]["val"]:
            records[name].update(val=value, iter=iteration)
    model.metric_results = values
    pictures = SimpleNamespace(found=dict.fromkeys(damaged, "is cut off"))
    best.note(model, SimpleNamespace(opt={"name": "set"}, damaged=pictures), iteration)
    return {name: (record["val"], record["iter"]) for name, record in records.items()}


@needs_basicsr
def test_the_best_figures_begin_anew_when_other_pictures_are_damaged(tmp_path, log):
    compat.apply()
    run = best_of(tmp_path, 0, {"psnr": PSNR})
    assert validated(*run, 5, psnr=31) == validated(*run, 10, psnr=30) == {"psnr": (31, 5)}
    assert not log.text
    assert validated(*run, 15, "a/03.png", psnr=30) == {"psnr": (30, 15)}
    assert "other pictures are damaged than before: the best psnr begins anew" in log.text
    resumed = best_of(tmp_path, 15, {"psnr": PSNR})
    assert validated(*resumed, 20, "b/03.png", psnr=29) == {"psnr": (30, 15)}, "the same picture, elsewhere"
    assert validated(*resumed, 25, psnr=29) == {"psnr": (29, 25)}, "it was mended"


@needs_basicsr
def test_a_resumed_run_keeps_the_best_of_the_same_pictures_and_the_same_metric_alone(tmp_path, log):
    compat.apply()
    assert validated(*best_of(tmp_path, 0, {"psnr": PSNR}), 5, psnr=31)
    kept = best_of(tmp_path, 5, {"psnr": PSNR, "ssim": SSIM})
    assert validated(*kept, 10, psnr=30, ssim=0.9) == {"psnr": (31, 5), "ssim": (0.9, 10)}, "one metric more"
    assert "anew" not in log.text
    other = best_of(tmp_path, 10, {"psnr": {**PSNR, "crop_border": 0}, "ssim": SSIM})
    assert "set: other settings of a metric than before: the best psnr begins anew" in log.text
    assert validated(*other, 15, psnr=25, ssim=0.8) == {"psnr": (25, 15), "ssim": (0.9, 10)}
    moved = best_of(tmp_path, 15, {"psnr": {**PSNR, "crop_border": 0}}, "other")
    assert "set: other pictures than before: the best psnr begins anew" in log.text
    assert validated(*moved, 20, psnr=20) == {"psnr": (20, 20)}
    again = best_of(tmp_path, 10, {"psnr": {**PSNR, "crop_border": 0}}, "other")
    assert validated(*again, 15, psnr=19) == {"psnr": (19, 15)}, "iteration 20 comes again"


@needs_basicsr
def test_ranges_of_a_training_are_set_without_damaged_pictures(tmp_path, log):
    compat.apply()
    from aethernet.integrations.basicsr.training import calibration

    write_pairs(tmp_path)
    opt = tiny_options(tmp_path)
    opt["datasets"]["train"] |= {"phase": "train", "scale": 2}
    damage(tmp_path / "gt" / "02.png")
    assert len(list(calibration.training_inputs(opt, lambda sample: sample["lq"][None]))) == 6
    assert "02.png: cannot be decoded; it is left out of the training" in log.text
    opt["datasets"]["train"]["max_damaged"] = 0
    with pytest.raises(DataError, match="none may be left out of the training"):
        list(calibration.training_inputs(opt, lambda sample: sample["lq"][None]))


def test_a_release_refuses_damaged_pictures_before_it_starts(tmp_path, capsys):
    write_png(tmp_path / "set" / "a.png", np.zeros((32, 32, 3), np.uint8))
    (tmp_path / "set" / "b.png").write_bytes(b"<html>")
    assert main(["release", "aether_tiny_x4", "--data", str(tmp_path / "set"), "-o", str(tmp_path / "out")]) == 1
    assert "1 picture is damaged, and none may be left out of the figures: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_calibration_leaves_out_what_it_cannot_read(tmp_path, caplog):
    for number in range(3):
        write_png(tmp_path / f"{number}.png", np.full((32, 32, 3), 10 * number, np.uint8))
    damage(tmp_path / "1.png")
    inputs = CalibrationInputs([tmp_path], 2, 3, 10)
    assert [len(list(inputs)) for _ in range(2)] == [2, 2] and len(inputs) == 2
    assert inputs.damaged.note() == " (1 more is damaged)" and caplog.text.count("1.png: ") == 1
    with pytest.raises(DataError, match=r"1 picture is damaged, and none may be .* calibration \(--max-damaged\): "):
        list(CalibrationInputs([tmp_path], 2, 3, 10, max_damaged=0))
    assert "1.png: " in caplog.text
    for path in tmp_path.iterdir():
        path.write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"none of the pictures for calibration can be read \(3 in all\)"):
        list(CalibrationInputs([tmp_path], 2, 3, 10))


@needs_basicsr
def test_no_number_is_the_default():
    assert [most_damaged(section) for section in ({}, {"max_damaged": None}, {"max_damaged": 0})] == [10, 10, 0]


def test_what_workers_find_is_known_to_all():
    damaged = SharedDamage(5, 1)
    assert damaged.flags.is_shared()
    assert pickle.loads(pickle.dumps(damaged)).most == 1
    assert cv2.imdecode(np.frombuffer(b"<html>", np.uint8), cv2.IMREAD_COLOR) is None
