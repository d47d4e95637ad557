"""Folders of pictures: killed, interrupted and shared runs end in what one run makes, and nothing else is left behind."""

import errno
import functools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.memory import STATM, memory_of
from helpers.training import environment, run_aethernet, start_aethernet
from helpers.upscaling import contents, write_folder, write_network, write_picture_file
from PIL import Image

from aethernet.errors import OutputError, UsageError
from aethernet.files import atomic_path, temporaries
from aethernet.upscale import Upscaler, claims, pipeline, upscale_files
from aethernet.upscale.claims import Claims, claim_of
from aethernet.upscale.folders import find, plan_tasks
from aethernet.upscale.pipeline import upscale_tasks
from aethernet.upscale.processes import Process, this_process

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="starts many processes, which takes long elsewhere")
COUNT = 24


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model") / "net.safetensors")


@pytest.fixture
def upscaler(model):
    return Upscaler(model, "torch")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("pictures") / "in", COUNT)


@pytest.fixture(scope="module")
def whole(model, pictures, tmp_path_factory):
    """What an uninterrupted run makes."""
    folder = tmp_path_factory.mktemp("whole")
    assert all(result.outcome == "enlarged" for result in upscale_files(Upscaler(model, "torch"), [pictures], folder))
    assert len(contents(folder)) == COUNT
    return contents(folder)


def command(pictures, out, model):
    return "upscale", pictures, "-o", out, "--model", model, "--engine", "torch"


def start(pictures, out, model, rank=0, count=1):
    out.parent.mkdir(exist_ok=True)
    logs = out.with_name(f"logs{rank}")
    logs.mkdir(exist_ok=True)
    ranks = {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)} if count > 1 else {}
    prepare = functools.partial(set_environment, ranks)
    return start_aethernet(*command(pictures, out, model), cwd=out.parent, logs=logs, prepare=prepare)


def set_environment(changes: dict[str, str]) -> None:
    os.environ.update(changes)


def results(out: Path) -> list[str]:
    """The names that people see in a folder."""
    files = (path for path in out.rglob("*.png") if not path.name.startswith("."))
    return sorted(path.relative_to(out).as_posix() for path in files)


def wait_for_more(process, out: Path, than: int) -> None:
    while len(results(out)) <= than and process.exitcode is None:
        time.sleep(0.002)


# runs that are killed


def kill_again_and_again(kills, pictures, out, model, whole, seed) -> None:
    generator = random.Random(seed)
    for _ in range(kills):
        process = start(pictures, out, model)
        wait_for_more(process, out, len(results(out)))
        time.sleep(generator.random() * 0.1)
        process.kill()
        process.join()
        for name in results(out):
            assert (out / name).read_bytes() == whole[name], f"{name} is no whole result"


@needs_fork
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_after_kills_ends_like_one_that_was_not_killed(kills, pictures, model, whole, tmp_path):
    out = tmp_path / "out"
    kill_again_and_again(kills, pictures, out, model, whole, seed=kills)
    run_aethernet(*command(pictures, out, model), cwd=tmp_path)
    assert contents(out) == whole


@needs_fork
@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_one_of_two_processes_killed_costs_its_current_picture_alone(kills, pictures, model, whole, tmp_path):
    """The other one makes all the rest, without being started again."""
    generator = random.Random(kills)
    for number in range(kills):
        out = tmp_path / str(number) / "out"
        processes = [start(pictures, out, model, rank, 2) for rank in range(2)]
        victim = processes.pop(generator.randrange(2))
        wait_for_more(victim, out, generator.randrange(COUNT // 2))
        time.sleep(generator.random() * 0.05)
        victim.kill()
        victim.join()
        processes[0].join()
        assert processes[0].exitcode == 0
        assert contents(out) == whole


@needs_fork
def test_processes_share_a_folder(pictures, model, whole, tmp_path):
    out = tmp_path / "out"
    processes = [start(pictures, out, model, rank, 3) for rank in range(3)]
    for process in processes:
        process.join()
    said = [(tmp_path / f"logs{rank}" / "stderr").read_text() for rank in range(3)]
    assert [process.exitcode for process in processes] == [0, 0, 0], said
    assert contents(out) == whole
    assert all(
        text.splitlines()[-1].startswith(f"process {rank}: {COUNT} pictures: ") for rank, text in enumerate(said)
    )


@needs_fork
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_whole_results_and_nothing_else(how, pictures, model, whole, tmp_path):
    out = tmp_path / "out"
    process = start(pictures, out, model)
    wait_for_more(process, out, 0)
    os.kill(process.pid, how)
    process.join()
    assert process.exitcode == 130 or contents(out) == whole  # it may have been faster
    assert contents(out).items() <= whole.items()
    run_aethernet(*command(pictures, out, model), cwd=tmp_path)
    assert contents(out) == whole


@pytest.mark.slow
def test_torchrun_shares_a_folder(pictures, model, whole, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "aethernet"]
    words = [*launcher, *map(str, command(pictures, tmp_path / "out", model))]
    subprocess.run(words, cwd=tmp_path, env=environment(), check=True)
    assert contents(tmp_path / "out") == whole


# faults in the middle of a run


def test_a_full_disk_ends_a_run_that_goes_on_later(upscaler, pictures, whole, tmp_path, monkeypatch):
    write, calls = upscaler.save, []

    def full(result, opened, target, saving):
        calls.append(target)
        if len(calls) > 5:
            raise OutputError(f"{target} cannot be written") from OSError(errno.ENOSPC, "No space left on device")
        return write(result, opened, target, saving)

    monkeypatch.setattr(upscaler, "save", full)
    found = list(upscale_files(upscaler, [pictures], tmp_path))
    outcomes = [result.outcome for result in found]
    assert len(found) == COUNT and outcomes.count("enlarged") == 5 and 1 <= outcomes.count("failed") <= 3
    assert outcomes.count("left") == COUNT - 5 - outcomes.count("failed")
    assert contents(tmp_path).items() <= whole.items()
    monkeypatch.undo()
    list(upscale_files(upscaler, [pictures], tmp_path))
    assert contents(tmp_path) == whole


def test_errors_of_any_kind_stop_one_picture_alone(upscaler, pictures, whole, tmp_path, monkeypatch):
    enlarged, calls = upscaler.enlarged, []
    errors = {3: ZeroDivisionError("of some library"), 5: MemoryError()}

    def breaks(opened, progress=None):
        calls.append(opened)
        if len(calls) in errors:
            raise errors[len(calls)]
        return enlarged(opened, progress)

    monkeypatch.setattr(upscaler, "enlarged", breaks)
    found = list(upscale_files(upscaler, [pictures], tmp_path))
    problems = sorted(result.problem for result in found if result.outcome == "failed")
    assert problems == ["ZeroDivisionError: of some library", "memory does not suffice"]
    assert contents(tmp_path).items() <= whole.items() and len(contents(tmp_path)) == COUNT - 2


def test_results_are_given_up_in_the_middle(upscaler, pictures, whole, tmp_path):
    """Who breaks off gets what was computed, and no claims stay."""
    for result in upscale_files(upscaler, [pictures], tmp_path):
        assert result.outcome == "enlarged"
        break
    assert contents(tmp_path).items() <= whole.items()


@pytest.mark.parametrize("place", ["take", "enlarged", "save", "caller"])
def test_an_interrupted_run_holds_no_claim(upscaler, pictures, whole, tmp_path, monkeypatch, place):
    """Wherever Ctrl-C comes, even if the error keeps what was interrupted alive, as notebooks do."""

    def interrupts(*arguments, **options):
        raise KeyboardInterrupt

    owner = {"take": Claims, "enlarged": upscaler, "save": upscaler}.get(place)
    rest = upscale_tasks(upscaler, plan_tasks(find([pictures]), 2, tmp_path))
    next(rest)
    if owner is not None:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(owner, place, interrupts)
            list(rest)
        assert contents(tmp_path).items() <= whole.items()
    found = list(upscale_files(upscaler, [pictures], tmp_path))  # would wait for ever for a claim of this process
    assert {result.outcome for result in found} <= {"present", "enlarged", "elsewhere"}
    assert contents(tmp_path) == whole


def test_animations_keep_their_frames(upscaler, tmp_path):
    frames = [Image.open(write_picture_file(tmp_path / f"{number}.png", number)) for number in range(3)]
    (tmp_path / "in").mkdir()
    frames[0].save(tmp_path / "in/a.gif", save_all=True, append_images=frames[1:], duration=[50, 80, 110])
    write_picture_file(tmp_path / "in/b.png")
    found = list(upscale_files(upscaler, [tmp_path / "in"]))
    assert [result.problem for result in found] == ["", ""]
    image = Image.open(tmp_path / "in_x2/a.gif")
    assert image.n_frames == 3 and image.size == (38, 26)


@pytest.mark.parametrize("most", [1, 10_000])
def test_memory_for_pictures_that_wait_is_bounded(upscaler, pictures, whole, tmp_path, monkeypatch, most):
    """Even if a single picture is more than that, and the result is the same."""
    monkeypatch.setattr(pipeline, "MOST_BYTES", most)
    held = []
    written = pipeline.Pipeline._written

    def looks(self, room_for=0, until=None):
        yield from written(self, room_for, until)
        held.append(sum(self._writing.values()) if room_for else 0)
        assert len(self._reading) <= 2

    monkeypatch.setattr(pipeline.Pipeline, "_written", looks)
    assert all(result.outcome == "enlarged" for result in upscale_files(upscaler, [pictures], tmp_path))
    assert max(held) <= most and contents(tmp_path) == whole


PICTURES = """
    from aethernet.upscale import Upscaler, upscale_files

    for result in upscale_files(Upscaler(sys.argv[1], "torch"), [sys.argv[2]]):
        assert result.outcome == "enlarged", result.problem
        see()
"""


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="reads Linux's memory figures")
def test_memory_is_flat_over_500_pictures(model, tmp_path):
    write_folder(tmp_path / "in", 500, 50, 400)
    count, early, late = memory_of(PICTURES, model, tmp_path / "in", early=100)
    # The largest pictures may meet late only; a leak of every picture and its result would be 400 MB, and convolutions that
    # keep what they prepare for every size take 100 MB.
    assert count == 500 and late < early + 60


# claims


def test_a_claim_is_one_process_s_and_ends_with_it(tmp_path):
    target = tmp_path / "deep/a.png"
    with Claims() as mine, Claims() as other:
        assert mine.take(target) and not other.take(target)
        assert other.others_hold(target) and not mine.others_hold(target)
        mine.release(target)
        assert not other.others_hold(target) and other.take(target)
        mine.release(target)
        assert mine.others_hold(target), "one that is not its own"
    assert contents(tmp_path) == {}


def dead_claim(target: Path, **changes) -> Path:
    owner = {"machine": claims.machine(), "process": 2**22 + 1, "started": "1", "by": "x", **changes}
    target.parent.mkdir(exist_ok=True)
    claim_of(target).write_text(json.dumps(owner))
    return claim_of(target)


@pytest.mark.skipif(os.name != "posix", reason="no process is known to be dead elsewhere")
@pytest.mark.parametrize("owner", ["no such process", "another of its number"])
def test_what_a_dead_process_left_is_taken_over_at_once(tmp_path, owner):
    target = tmp_path / "a.png"
    dead_claim(target, **({} if owner == "no such process" else {"process": os.getpid(), "started": "0"}))
    left = tmp_path / ".a.0123456789ab.png"
    left.touch()
    others = [tmp_path / name for name in (".b.0123456789ab.png", ".a.0123456789ab.jpg", ".a.png")]
    for each in others:
        each.touch()
    with Claims() as mine:
        assert not mine.others_hold(target) and mine.take(target)
        assert not left.exists() and all(each.exists() for each in others)


def test_the_claim_of_another_machine_is_taken_over_when_nobody_touches_it(tmp_path, monkeypatch):
    target = tmp_path / "a.png"
    claim = dead_claim(target, machine="elsewhere")
    now = [0.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: now[0])
    with Claims(heartbeat=1e6) as mine:
        assert not mine.take(target)
        now[0] = claims.STALE - 1
        assert not mine.take(target) and mine.others_hold(target)
        os.utime(claim, (1e9 + time.time() // 1, time.time()))
        now[0] = claims.STALE + 1
        assert not mine.take(target), "it was touched"
        now[0] = 2 * claims.STALE + 2
        assert not mine.others_hold(target) and mine.take(target)
    claim = dead_claim(target, machine="elsewhere")
    os.utime(claim, (0, 0))
    with Claims() as mine:
        assert mine.take(target), "it is years old"


def test_a_claim_that_was_just_made_is_left_alone(tmp_path):
    """It is empty until its owner has written into it."""
    target = tmp_path / "a.png"
    claim_of(target).touch()
    with Claims() as mine:
        assert not mine.take(target) and mine.others_hold(target)


def test_claims_are_touched(tmp_path):
    target = tmp_path / "a.png"
    with Claims(heartbeat=0.001) as mine:
        mine.take(target)
        os.utime(claim_of(target), (0, 0))
        while claim_of(target).stat().st_mtime == 0:
            time.sleep(0.001)


@pytest.mark.skipif(os.name != "posix", reason="no process is known to be dead elsewhere")
def test_of_many_that_take_over_one_succeeds(tmp_path):
    target = tmp_path / "a.png"
    dead_claim(target)
    with Claims() as first, Claims() as second:
        content = first._read(claim_of(target))
        assert second.take(target)
        # What `first` read is no longer what lies there: it must not end up with the claim of `second`.
        reads = iter([content])
        read = first._read
        first._read = lambda claim: next(reads, None) or read(claim)
        assert not first._seize(claim_of(target), target)
        assert first.others_hold(target)
    assert contents(tmp_path) == {}


@pytest.mark.skipif(os.name != "posix", reason="no process is known to be dead elsewhere")
def test_a_run_begins_by_cleaning_up(upscaler, pictures, whole, tmp_path):
    list(upscale_files(upscaler, [pictures], tmp_path))
    done, deep = tmp_path / "001.png", tmp_path / "below/000.png"
    dead_claim(done)
    claim = dead_claim(deep)
    claim.rename(claim.with_name(f"{claim.name}.01234567"))  # killed while it took over
    for name in ("001.0123456789ab.png", "below/.000.0123456789ab.png"):
        (tmp_path / name).with_name("." + (tmp_path / name).name.removeprefix(".")).touch()
    old = tmp_path / ".002.0123456789ab.png"
    old.touch()
    os.utime(old, (0, 0))
    assert {result.outcome for result in upscale_files(upscaler, [pictures], tmp_path)} == {"present"}
    assert contents(tmp_path) == whole


def test_long_names_can_be_claimed_and_written(tmp_path):
    target = tmp_path / ("é" * 120 + ".png")
    with Claims() as mine:
        assert mine.take(target)
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"x")
            assert temporaries(tmp_path, [target.name, "other.png"]) == [temporary]
            assert temporaries(tmp_path, ["other.png"]) == []
    assert contents(tmp_path) == {target.name: b"x"}


def test_a_picture_that_others_make_is_waited_for(upscaler, pictures, whole, tmp_path, monkeypatch):
    """And made here where they give it up."""
    tasks = plan_tasks(find([pictures]), 2, tmp_path)
    with Claims() as other:
        held = {tasks[3].target: True, tasks[5].target: False}  # whether a result comes of it
        assert all(other.take(target) for target in held)

        def gives_back(_: float) -> None:
            for target, comes in held.items():
                if comes:
                    target.write_bytes(whole[target.relative_to(tmp_path).as_posix()])
                other.release(target)

        monkeypatch.setattr(pipeline.time, "sleep", gives_back)
        found = {result.task.target: result.outcome for result in upscale_tasks(upscaler, tasks)}
    assert found.pop(tasks[3].target) == "elsewhere"
    assert set(found.values()) == {"enlarged"} and contents(tmp_path) == whole


def test_results_older_than_the_run_are_made_again(upscaler, pictures, tmp_path):
    tasks = plan_tasks(find([pictures]), 2, tmp_path)
    for task in tasks[:2]:
        task.target.parent.mkdir(exist_ok=True)
        task.target.touch()
    os.utime(tasks[0].target, (0, 0))
    before = tasks[1].target.stat().st_mtime - 1
    found, rest = pipeline.settle(tasks, since=before)
    assert [result.task for result in found] == [tasks[1]] and rest == [tasks[0], *tasks[2:]]
    assert list(upscale_tasks(upscaler, rest, since=before)) and tasks[0].target.stat().st_size


# several processes


@pytest.mark.parametrize(
    ("environ", "process"),
    [
        ({}, Process()),
        ({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, Process(3, 8, 1, 2)),
        ({"SLURM_PROCID": "5", "SLURM_NTASKS": "6", "SLURM_LOCALID": "2"}, Process(5, 6, 2)),
        ({"SLURM_PROCID": "0"}, Process()),
    ],
)
def test_the_environment_says_which_process_this_is(environ, process):
    assert this_process(environ) == process


def test_an_environment_that_makes_no_sense_is_named():
    for rank, count in (("x", "2"), ("2", "2"), ("-1", "2")):
        with pytest.raises(UsageError, match=f"torchrun's environment says RANK={rank} and WORLD_SIZE=2"):
            this_process({"RANK": rank, "WORLD_SIZE": count})


def test_processes_begin_at_different_places():
    items = list(range(10))
    orders = [Process(rank, 3).in_order(items) for rank in range(3)]
    assert [order[0] for order in orders] == [0, 3, 6] and all(sorted(order) == items for order in orders)


def test_each_process_has_a_gpu_and_its_part_of_the_cores(monkeypatch):
    monkeypatch.setattr("aethernet.upscale.processes.cores", lambda: 8)
    assert [Process(rank, 4, rank % 2, 2).device(2) for rank in range(4)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert Process(1, 2, 1).device(1) == "cuda:0" and Process(1, 2, 1).device(0) == Process().device(2) == "auto"
    assert Process(0, 4, 0, 2).threads == 4 and Process(0, 99, 0, 99).threads == 1 and Process().threads is None


def test_the_machine_is_known_by_name():
    assert claims.machine().startswith(socket.gethostname())
