"""Resuming: an interrupted training ends in the same weights as a straight one, whatever interrupts it."""

import functools
import json
import math
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.training import (
    PATIENCE,
    run_aethernet,
    start_aethernet,
    tiny_options,
    write_options,
    write_pairs,
)

pytestmark = needs_basicsr

ITERATIONS, INTERRUPTION = 120, 26
IN_MEMORY = {"datasets:train:type": "AetherMemoryDataset", "datasets:train:crops": 2}


def options(directory: Path, name: str = "tiny", **changes) -> Path:
    """Training with everything that could go wrong: an interruption within an epoch that drops samples, random
    numbers in the network, a validation at the moment of saving, a weight average, norms that freeze after it.
    """
    opt = tiny_options(
        directory,
        **{
            "name": name,
            "datasets:train:dataset_enlarge_ratio": 3,  # 21 samples, 10 batches of 2 in an epoch
            "network_g:drop_path": 0.3,
            "network_g:norm_freeze_iter": 45,
            "train:total_iter": ITERATIONS,
            "train:scheduler:milestones": [20, 40],
            "val:val_freq": INTERRUPTION,
            "logger:save_checkpoint_freq": INTERRUPTION,
            **changes,
        },
    )
    return write_options(opt, directory / f"{name}.yml")


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """A folder with data and the experiment `tiny`, trained in one go."""
    root = tmp_path_factory.mktemp("straight")
    write_pairs(root, count=7)
    run_aethernet("train", "-opt", options(root), cwd=root)
    return root


def experiment(root: Path, name: str = "tiny") -> Path:
    return root / "experiments" / name


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def assert_same(first: object, second: object, at: str = "") -> None:
    """Bit for bit, through all containers."""
    assert type(first) is type(second), at
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), at
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), at
        for key in first:
            assert_same(first[key], second[key], f"{at}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), at
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{at}/{index}")
    else:
        assert first == second, at


@pytest.mark.parametrize(
    ("kind", "workers"),
    [("tiny", 0), ("tiny", 2), ("our_model", 0), ("in_memory", 1)],
    ids=["no_workers", "two_workers", "our_model", "pictures_in_memory"],
)
def test_a_resumed_training_equals_a_straight_one(straight, kind, workers):
    """The straight one has no workers: their number does not matter either."""
    name = f"resumed_{kind}_{workers}"
    changes: dict = {"our_model": {"model_type": "AetherModel"}, "in_memory": IN_MEMORY}.get(kind, {})
    if changes:
        run_aethernet("train", "-opt", options(straight, kind, **changes), cwd=straight)
    whole, resumed = experiment(straight, kind), experiment(straight, name)
    for folder, file in (("training_states", "26.state"), ("models", "net_g_26.pth")):
        (resumed / folder).mkdir(parents=True)
        shutil.copy(whole / folder / file, resumed / folder)
    changes = {**changes, "datasets:train:num_worker_per_gpu": workers}
    result = run_aethernet("train", "-opt", options(straight, name, **changes), "--auto_resume", cwd=straight)
    assert "Resuming training from epoch: 2, iter: 26" in result.stderr

    for file in ("models/net_g_52.pth", "training_states/52.state", "models/net_g_latest.pth"):
        assert_same(load(whole / file), load(resumed / file), file)
    before, after = (load(whole / f"models/net_g_{iteration}.pth") for iteration in (26, 52))
    assert set(after) == {"params", "params_ema"}
    assert not torch.equal(before["params"]["shallow.weight"], after["params"]["shallow.weight"])


def test_every_generator_goes_on_where_it_was(tmp_path, monkeypatch):
    """Python's, NumPy's and torch's, through a file that holds no code; a normal number is left over in NumPy's. A GPU
    is played by another generator of the CPU's kind."""
    gpu = torch.Generator().manual_seed(1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", gpu.get_state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", gpu.set_state)
    from aethernet.integrations.basicsr import compat

    compat.apply()
    from aethernet.integrations.basicsr.pipeline.run_state import capture, restore

    def draw() -> tuple:
        return (
            random.gauss(0, 1),
            np.random.standard_normal(),
            torch.rand(()).item(),
            torch.rand(3, generator=gpu).tolist(),
        )

    draw()
    torch.save(capture(), tmp_path / "states")
    following = [draw() for _ in range(3)]
    restore(load(tmp_path / "states"))
    assert [draw() for _ in range(3)] == following


def test_an_epoch_leaves_out_what_was_taken_before_and_nothing_else():
    from aethernet.integrations.basicsr import compat

    compat.apply()
    from aethernet.integrations.basicsr.pipeline.run_state import PlacedSampler, RunState

    state = RunState()
    state.start_epoch, state.skip = 3, 4
    sampler = PlacedSampler(state, range(5), 1, 0, 2)
    for epoch, first in ((0, 0), (3, 4), (4, 0)):
        sampler.set_epoch(epoch)
        assert [(number, place) for _, number, place in sampler] == [(epoch, place) for place in range(first, 10)]


def copied(straight: Path, name: str) -> Path:
    """A new experiment that stands where `tiny` stood at the interruption."""
    whole, resumed = experiment(straight), experiment(straight, name)
    for folder, file in (("training_states", "26.state"), ("models", "net_g_26.pth")):
        (resumed / folder).mkdir(parents=True)
        shutil.copy(whole / folder / file, resumed / folder)
    return resumed


def test_another_schedule_takes_effect_as_if_it_had_been_there_from_the_beginning(straight):
    """Both schedules agree until the interruption."""
    changes: dict = {"train:scheduler:milestones": [20, 30], "train:scheduler:gamma": 0.5, "train:total_iter": 52}
    run_aethernet("train", "-opt", options(straight, "other", **changes), cwd=straight)
    resumed = copied(straight, "other_resumed")
    result = run_aethernet(
        "train", "-opt", options(straight, "other_resumed", **changes), "--auto_resume", cwd=straight
    )
    assert "train: scheduler: milestones: [20, 30] from iteration 27 on; it was [20, 40]" in result.stderr
    assert "train: total_iter: 52 from iteration 27 on; it was 120" in result.stderr
    for file in ("models/net_g_52.pth", "training_states/52.state"):
        assert_same(load(experiment(straight, "other") / file), load(resumed / file), file)


def test_another_kind_of_schedule_and_rate_take_effect(straight):
    resumed = copied(straight, "cosine")
    cosine = {"type": "CosineAnnealingRestartLR", "periods": [52], "restart_weights": [1], "eta_min": 1e-5}
    changes: dict = {"train:scheduler": cosine, "train:optim_g:lr": 5e-4, "train:total_iter": 52}
    run_aethernet("train", "-opt", options(straight, "cosine", **changes), "--auto_resume", cwd=straight)
    state = load(resumed / "training_states" / "52.state")
    (group,) = state["optimizers"][0]["param_groups"]
    # BasicSR takes the first step of a schedule before the second iteration
    assert group["lr"] == pytest.approx(1e-5 + (5e-4 - 1e-5) * (1 + math.cos(math.pi * 51 / 52)) / 2)
    assert state["schedulers"][0]["periods"] == [52]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train:optim_g": {"type": "SGD", "lr": 1e-3}}, "train: optim_g: type: SGD here, Adam there"),
        ({"network_g:depths": [1, 2]}, "network_g: depths: [1, 2] here, [1, 1] there"),
        ({"train:optim_g:weight_decay": 0.01}, ""),
    ],
)
def test_what_a_run_cannot_go_on_with_is_refused_by_name(straight, changes, message):
    name = f"refused_{len(message)}"
    copied(straight, name)
    changes = {**changes, "model_type": "AetherModel"} if "SGD" in str(changes) else changes
    result = run_aethernet(
        "train", "-opt", options(straight, name, **changes), "--auto_resume", cwd=straight, check=False
    )
    if message:
        assert result.returncode == 1
        assert message in result.stderr
        assert "Traceback" not in result.stderr
        assert [path.name for path in experiment(straight, name).iterdir()] == ["training_states", "models"]
    else:  # of Adam as BasicSR builds it: one group either way
        assert result.returncode == 0
        state = load(experiment(straight, name) / "training_states" / "52.state")
        assert state["optimizers"][0]["param_groups"][0]["weight_decay"] == 0.01


def test_the_best_metric_survives_and_the_last_validation_has_the_last_iteration(straight):
    resumed = copied(straight, "best")
    best = {"val": {"psnr": {"better": "higher", "val": 99.0, "iter": 20}}}
    (resumed / "best_metrics.json").write_text(json.dumps(best))
    changes = {"train:total_iter": 52, "val:save_img": True}
    result = run_aethernet("train", "-opt", options(straight, "best", **changes), "--auto_resume", cwd=straight)
    assert "Best: 99.0000 @ 20 iter" in result.stderr
    written = json.loads((resumed / "best_metrics.json").read_text())
    assert written.pop("(measured)")["val"]["damaged"] == [] and written == best
    names = {path.name for path in (resumed / "visualization").rglob("*.png")}
    assert "00_52.png" in names
    assert not [name for name in names if "_53" in name]


def test_fewer_iterations_than_the_saved_run_has_are_refused(straight):
    copied(straight, "fewer")
    opt = options(straight, "fewer", **{"train:total_iter": 20})
    result = run_aethernet("train", "-opt", opt, "--auto_resume", cwd=straight, check=False)
    assert result.returncode == 1 and "train: total_iter: 20 is less than the " in result.stderr


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killing_the_trainer_changes_nothing(straight, kills, tmp_path):
    """Every newest checkpoint loads, and the weights after all the kills are those of an undisturbed training."""
    moments = random.Random(kills)
    name, undisturbed = f"killed_{kills}", "tiny"
    changes = {"train:total_iter": ITERATIONS, "logger:print_freq": 1000}
    if kills > 3:
        changes["train:total_iter"] = 50 * kills
        undisturbed = "long"
        run_aethernet("train", "-opt", options(straight, undisturbed, **changes), cwd=straight)
    file = options(straight, name, **changes, **{"logger:save_checkpoint_freq": 2})
    states = experiment(straight, name) / "training_states"
    for _ in range(kills):
        before = newest(states)
        end = functools.partial(end_after, moments.randint(1, 80))
        process = start_aethernet("train", "-opt", file, "--auto_resume", cwd=straight, logs=tmp_path, prepare=end)
        process.join(PATIENCE)
        assert process.exitcode == -signal.SIGKILL, (tmp_path / "stderr").read_text()
        iteration = newest(states)
        assert iteration > before, (tmp_path / "stderr").read_text()
        assert load(states / f"{iteration}.state")["iter"] == iteration
        assert load(states.parent / "models" / f"net_g_{iteration}.pth").keys() == {"params", "params_ema"}
    run_aethernet("train", "-opt", file, "--auto_resume", cwd=straight)
    latest = "models/net_g_latest.pth"
    assert_same(load(experiment(straight, undisturbed) / latest), load(experiment(straight, name) / latest))
    assert not list((straight / "experiments").glob("*archived*"))
    assert not list(states.parent.rglob(".*")), "left-overs of killed writers"


def end_after(steps: int) -> None:
    """Ends this process, as a loss of power would, some steps after it has written its next training state: at the
    opening, renaming or removal of a file, of which there are about 27 from state to state."""
    left: int | None = None

    def count(event: str, arguments: tuple) -> None:
        nonlocal left
        if left is None:
            if event == "os.rename" and str(arguments[1]).endswith(".state"):
                left = steps
        elif event != "builtins.id":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def newest(states: Path) -> int:
    return max((int(path.stem) for path in states.glob("[0-9]*.state")), default=0)


# Choosing the state, without a training


@pytest.fixture
def opt(tmp_path) -> dict:
    """An experiment with states 2, 4 and 10 (not in the order of their names), as BasicSR describes it."""
    from aethernet.integrations.basicsr import compat

    compat.apply()
    models, states = tmp_path / "models", tmp_path / "training_states"
    for folder in (models, states):
        folder.mkdir()
    for iteration in (2, 4, 10):
        torch.save({"params": {"weight": torch.ones(1000)}}, models / f"net_g_{iteration}.pth")
        state = {"epoch": 0, "iter": iteration, "optimizers": [], "schedulers": []}
        torch.save(state, states / f"{iteration}.state")
    path = {"models": str(models), "training_states": str(states), "resume_state": None, "param_key_g": "params_ema"}
    return {"auto_resume": True, "network_g": {}, "path": path}


def resume(opt: dict) -> dict | None:
    from aethernet.integrations.basicsr.pipeline.resume import load_resume_state

    return load_resume_state(opt)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_the_newest_state_is_taken_from_the_experiment_wherever_that_is(opt, tmp_path):
    assert resume(opt)["iter"] == 10
    assert opt["path"]["resume_state"] == str(tmp_path / "training_states/10.state")
    assert opt["path"]["pretrain_network_g"] == str(tmp_path / "models/net_g_10.pth")
    assert opt["path"]["param_key_g"] == "params"


@pytest.mark.parametrize("broken", ["training_states/10.state", "models/net_g_10.pth"])
@pytest.mark.parametrize("damage", [cut_short, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(opt, tmp_path, caplog, broken, damage):
    damage(tmp_path / broken)
    assert resume(opt)["iter"] == 4
    if "10.state" not in broken or (tmp_path / broken).exists():
        assert "leaves out 10.state" in caplog.text


def test_if_no_state_can_be_used_the_run_does_not_start_anew(opt, tmp_path):
    from aethernet.errors import CheckpointError

    for path in (tmp_path / "models").iterdir():
        cut_short(path)
    with pytest.raises(CheckpointError, match=r"none of the 3 training states .*net_g_10.pth cannot be read"):
        resume(opt)


def test_without_states_the_run_starts(opt, tmp_path):
    shutil.rmtree(tmp_path / "training_states")
    assert resume(opt) is None


def test_a_named_state_must_be_whole(opt, tmp_path):
    from aethernet.errors import CheckpointError

    opt["auto_resume"] = False
    assert resume(opt) is None
    opt["path"]["resume_state"] = str(tmp_path / "training_states/4.state")
    assert resume(opt)["iter"] == 4
    (tmp_path / "models/net_g_4.pth").unlink()
    with pytest.raises(CheckpointError, match=r"net_g_4.pth does not exist"):
        resume(opt)
    opt["path"]["ignore_resume_networks"] = ["network_g"]
    assert resume(opt)["iter"] == 4
    opt["path"]["resume_state"] = str(tmp_path / "models/net_g_10.pth")
    with pytest.raises(CheckpointError, match="is no training state: it has no epoch, iter"):
        resume(opt)


def test_left_overs_of_a_killed_writer_are_removed_and_nothing_else(opt, tmp_path):
    from aethernet.files import atomic_path

    mine = tmp_path / "models" / ".mine.pth"
    mine.touch()
    for name in ("training_states/12.state", "models/net_g_12.pth"):
        with atomic_path(tmp_path / name) as temporary:
            pass
        (tmp_path / name).rename(temporary)  # as if it had been killed before its last step
    assert len(list(tmp_path.rglob(".*"))) == 3
    assert resume(opt)["iter"] == 10
    assert list(tmp_path.rglob(".*")) == [mine]


def test_code_in_a_state_is_not_run(opt, tmp_path):
    from aethernet.errors import CheckpointError

    opt["auto_resume"], opt["path"]["resume_state"] = False, str(tmp_path / "evil.state")
    torch.save({"epoch": 0, "iter": 2, "optimizers": [Path("x")], "schedulers": []}, tmp_path / "evil.state")
    with pytest.raises(CheckpointError, match="cannot be read"):
        resume(opt)
