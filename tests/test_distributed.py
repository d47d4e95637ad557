"""Several processes on the CPU: one experiment, equal statistics, equal weights, and nobody left waiting."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.networks import picture
from helpers.real import real_run
from helpers.training import PATIENCE, environment, start_ranks, tiny_options, write_options, write_pairs
from torch import nn

from aethernet import aether_custom
from aethernet.errors import EnvironmentProblem, OptionError
from aethernet.integrations.basicsr import compat
from aethernet.network.norms import DeploymentNorm

pytestmark = needs_basicsr

STEPS = 5


def torchrun(file: Path, *flags: str, timeout: float = PATIENCE) -> str:
    """Trains in two processes and returns what they wrote to the terminal."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "aethernet", "train", "-opt", str(file), "--launcher", "pytorch", *flags]
    result = subprocess.run(
        command, cwd=file.parent, env=environment(), capture_output=True, text=True, timeout=timeout, check=False
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stderr


@pytest.mark.slow
def test_two_processes_train_one_experiment(tmp_path):
    """Without a weight average, rank 0 validates the wrapped network alone while rank 1 waits for the next step."""
    write_pairs(tmp_path, count=8)
    changes = {"train:ema_decay": 0, "train:total_iter": 5, "num_gpu": "auto", "val:val_freq": 3}
    torchrun(write_options(tiny_options(tmp_path, **changes), tmp_path / "tiny.yml"))
    (experiment,) = (tmp_path / "experiments").iterdir()
    (log,) = experiment.glob("*.log")
    text = log.read_text()
    assert "Network: DistributedDataParallel - AetherNet" in text
    assert "World size (gpu number): 2" in text
    assert text.count("Validation val") == 2  # in iteration 3 and at the end
    assert [path.name for path in (experiment / "models").iterdir()] == ["net_g_latest.pth"]
    weights = torch.load(experiment / "models/net_g_latest.pth", weights_only=True)["params"]
    assert weights["fusion.norm.iterations"] == 5


@pytest.mark.slow
def test_each_process_has_its_pool_of_degraded_pairs_back(tmp_path):
    """And the resumed run ends as the straight one: the pools, too."""
    write_pairs(tmp_path, count=8, size=96)
    changes = {"num_gpu": "auto", "train:total_iter": 8, "logger:save_checkpoint_freq": 5}
    opt = real_run(tmp_path, **changes, **{"datasets:train:dataset_enlarge_ratio": 3})
    torchrun(write_options(opt, tmp_path / "tiny.yml"))
    states = tmp_path / "experiments/tiny/training_states"
    first, second = torch.load(states / "5.state", weights_only=True)["pools"]
    assert first["queue_ptr"] == second["queue_ptr"] == len(first["queue_lr"]) == 6
    assert not torch.equal(first["queue_gt"], second["queue_gt"])
    whole = torch.load(states.parent / "models/net_g_latest.pth", weights_only=True)
    opt["train"]["total_iter"] = 10  # a file newer than 5 would be taken
    torchrun(write_options(opt, tmp_path / "tiny.yml"), "--auto_resume")
    opt |= {"name": "straight"}
    torchrun(write_options(opt, tmp_path / "straight.yml"))
    ends = [tmp_path / f"experiments/{name}/training_states/10.state" for name in ("tiny", "straight")]
    pools = [torch.load(end, weights_only=True)["pools"] for end in ends]
    assert all(torch.equal(a[key], b[key]) for a, b in zip(*pools, strict=True) for key in ("queue_lr", "queue_gt"))
    weights = [torch.load(end.parents[1] / "models/net_g_10.pth", weights_only=True) for end in ends]
    assert all(torch.equal(value, weights[1]["params"][name]) for name, value in weights[0]["params"].items())
    assert not torch.equal(whole["params"]["shallow.weight"], weights[0]["params"]["shallow.weight"])


@pytest.mark.slow
def test_a_resumed_training_of_two_processes_equals_a_straight_one(tmp_path):
    write_pairs(tmp_path, count=7)
    changes = {
        "datasets:train:dataset_enlarge_ratio": 3,  # 11 samples a rank, 5 batches of 2 in an epoch
        "network_g:drop_path": 0.3,
        "train:total_iter": 24,
        "logger:save_checkpoint_freq": 12,
    }
    file = write_options(tiny_options(tmp_path, **changes), tmp_path / "tiny.yml")
    torchrun(file)
    experiment = tmp_path / "experiments/tiny"
    straight = torch.load(experiment / "models/net_g_latest.pth", weights_only=True)
    for path in ("models/net_g_latest.pth", "models/net_g_24.pth", "training_states/24.state"):
        (experiment / path).unlink()
    assert "Resuming training from epoch: 2, iter: 12" in torchrun(file, "--auto_resume")
    resumed = torch.load(experiment / "models/net_g_latest.pth", weights_only=True)
    for key, weights in straight.items():
        for name, value in weights.items():
            assert torch.equal(value, resumed[key][name]), f"{key}/{name}"


def train_network(network: nn.Module, batches: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """A few steps towards black; returns all weights and statistics."""
    optimizer = torch.optim.SGD([each for each in network.parameters() if each.requires_grad], lr=0.01)
    for batch in batches:
        optimizer.zero_grad()
        network(batch).square().mean().backward()
        optimizer.step()
    return getattr(network, "module", network).state_dict()


def tiny_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return aether_custom(2, width=8, depths=[1, 1], kernel_size=5, norm_freeze_iter=STEPS - 1)


def pictures() -> list[torch.Tensor]:
    """Batches whose halves have different statistics, one half for each rank."""
    spread = torch.tensor([1.0, 1.0, 0.1, 0.1]).view(4, 1, 1, 1)
    return [picture(4, 3, 8, 8, seed=step) * spread + 0.3 * (1 - spread) for step in range(STEPS)]


def work(rank: int, folder: str) -> None:
    """One of two processes; it leaves its results in files."""
    torch.set_num_threads(1)
    compat.apply()
    from aethernet.integrations.basicsr.pipeline import distributed

    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    network = nn.parallel.DistributedDataParallel(tiny_network(seed=rank))
    weights = train_network(network, [batch.chunk(2)[rank] for batch in pictures()])

    def fails_on_rank_1() -> None:
        if rank == 1:
            raise OptionError("rank 1 does not like it")

    try:
        distributed.all_or_none(fails_on_rank_1)
        message = ""
    except OptionError as error:
        message = str(error)
    torch.save({"weights": weights, "message": message, "ranks": distributed.gather(rank)}, f"{folder}/{rank}.pth")
    distributed.leave(in_order=True)
    assert not torch.distributed.is_initialized()


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("ranks")
    start_ranks(work, folder)
    return [torch.load(folder / f"{rank}.pth", weights_only=True) for rank in range(2)]


def test_both_ranks_hold_the_same_weights_and_statistics(results):
    first, second = (result["weights"] for result in results)
    norms = [name for name, module in tiny_network().named_modules() if isinstance(module, DeploymentNorm)]
    assert {f"{norm}.running_var" for norm in norms} < set(first)
    assert all(first[f"{norm}.iterations"] == STEPS - 1 for norm in norms)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_two_ranks_are_one_process_over_the_union_batch(results):
    alone = train_network(tiny_network(), pictures())
    for name, value in results[0]["weights"].items():
        # float32 sums in another order, through five steps
        torch.testing.assert_close(value, alone[name], rtol=1e-4, atol=1e-6, msg=lambda text, name=name: name + text)


def test_a_check_that_fails_on_one_rank_fails_on_all(results):
    assert [result["message"] for result in results] == ["rank 1 does not like it"] * 2
    assert [result["ranks"] for result in results] == [[0, 1]] * 2


@pytest.fixture
def started(monkeypatch) -> dict:
    """Receives what the process group would be started with, in an environment without a launcher."""
    compat.apply()
    arguments: dict = {}

    def init_process_group(backend: str, timeout: datetime.timedelta) -> None:
        arguments.update(backend=backend, timeout=timeout)

    monkeypatch.setattr(torch.distributed, "init_process_group", init_process_group)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in list(os.environ):
        if name.startswith("SLURM_") or name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.delenv(name)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")  # so that what the code sets is undone after the test
        del os.environ[name]
    return arguments


def start(launcher: str, **arguments) -> None:
    from aethernet.integrations.basicsr.pipeline.distributed import starter

    starter(on_cpu=True)(launcher, **arguments)


def test_a_process_started_by_hand_is_told_about_torchrun(started):
    with pytest.raises(EnvironmentProblem, match=r"RANK, WORLD_SIZE.*torchrun --nproc_per_node"):
        start("pytorch")
    with pytest.raises(EnvironmentProblem, match=r"SLURM_PROCID.*srun"):
        start("slurm")


def test_slurm_tasks_find_each_other(started, monkeypatch, tmp_path):
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho node7\necho node8\n")
    (tmp_path / "scontrol").chmod(0o755)
    variables = {"PROCID": "5", "NTASKS": "8", "NODELIST": "node[7-8]", "LOCALID": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    start("slurm", backend="nccl", port=29501)
    found = [os.environ[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")]
    assert found == ["5", "8", "1", "node7", "29501"]
    assert started["backend"] == "gloo"
    assert started["timeout"] >= datetime.timedelta(hours=1)

    monkeypatch.setenv("PATH", "")
    with pytest.raises(EnvironmentProblem, match=r"cannot ask scontrol"):
        start("slurm")
