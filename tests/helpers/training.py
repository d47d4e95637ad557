"""A data set of a few synthetic pictures, an option file for it, and the trainer in a process of its own."""

import copy
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.multiprocessing
import yaml

import aethernet
from aethernet import cli
from aethernet.errors import OptionError

ARCHS = Path(aethernet.__file__).parents[1]


def write_pairs(directory: Path, count: int = 6, size: int = 32, scale: int = 2) -> None:
    """Writes `count` colour pictures to `directory/gt` and their reductions by `scale` to `directory/lq`."""
    generator = np.random.default_rng(0)
    for name in ("gt", "lq"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        coarse = generator.uniform(0, 255, (size // 4, size // 4, 3)).astype(np.float32)
        gt = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 255)
        lq = cv2.resize(gt, (size // scale, size // scale), interpolation=cv2.INTER_AREA)
        for name, picture in (("gt", gt), ("lq", lq)):
            cv2.imwrite(str(directory / name / f"{index:02d}.png"), picture.round().astype(np.uint8))


def tiny_options(directory: Path, **changes) -> dict:
    """Options for BasicSR's SRModel and a tiny network on the CPU, with data from `write_pairs(directory)`.

    `changes` name an entry by its path: `tiny_options(directory, **{"train:total_iter": 4, "name": "other"})`.
    """
    pairs = {
        "type": "PairedImageDataset",
        "dataroot_gt": str(directory / "gt"),
        "dataroot_lq": str(directory / "lq"),
        "io_backend": {"type": "disk"},
    }
    opt = {
        "name": "tiny",
        "model_type": "SRModel",
        "scale": 2,
        "num_gpu": 0,
        "manual_seed": 0,
        "datasets": {
            "train": {
                **pairs,
                "name": "train",
                "gt_size": 16,
                "use_hflip": True,
                "use_rot": True,
                "num_worker_per_gpu": 0,
                "batch_size_per_gpu": 2,
                "dataset_enlarge_ratio": 1,
                "prefetch_mode": None,
            },
            "val": {**pairs, "name": "val"},
        },
        "network_g": {
            "type": "aether_custom",
            "scale": 2,
            "width": 8,
            "depths": [1, 1],
            "kernel_size": 5,
            "norm_freeze_iter": 20,
        },
        "path": {"pretrain_network_g": None, "strict_load_g": True, "resume_state": None},
        "train": {
            "ema_decay": 0.999,
            "optim_g": {"type": "Adam", "lr": 1e-3, "weight_decay": 0, "betas": [0.9, 0.99]},
            "scheduler": {"type": "MultiStepLR", "milestones": [5, 40], "gamma": 0.5},
            "total_iter": 6,
            "warmup_iter": -1,
            "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"},
        },
        "val": {
            "val_freq": 1000,
            "save_img": False,
            "metrics": {"psnr": {"type": "calculate_psnr", "crop_border": 2, "test_y_channel": True}},
        },
        "logger": {"print_freq": 1, "save_checkpoint_freq": 1000, "use_tb_logger": False, "wandb": None},
    }
    opt = copy.deepcopy(opt)  # YAML would write aliases for what the two data sets share
    for entry, value in changes.items():
        *sections, key = entry.split(":")
        section = opt
        for name in sections:
            section = section[name]
        section[key] = value
    return opt


def preflight_problems(place: Path, opt: dict) -> str:
    """What the check before a training says of options, with what BasicSR's parser would enter; nothing for sound ones."""
    from aethernet.integrations.basicsr import preflight

    for name, section in opt["datasets"].items():
        section |= {"phase": name, "scale": opt["scale"]}
    opt = {**opt, "auto_resume": False, "dist": False, "rank": 0, "world_size": 1, "is_train": True}
    opt["path"] = {**opt["path"], "experiments_root": str(place / "experiments" / "tiny"), "training_states": "x"}
    try:
        preflight.check(opt, place, is_train=True)
    except OptionError as error:
        return str(error)
    return ""


def write_options(opt: dict, path: Path) -> Path:
    """Writes an option file as users do, and returns its path."""
    path.write_text(yaml.safe_dump(opt, sort_keys=False), encoding="utf-8")
    return path


PATIENCE = 900.0
"""Seconds after which a process hangs: none takes a hundredth of it on an idle machine."""


def environment(**changes: str) -> dict[str, str]:
    """The environment for a child process: this checkout's sources first, one thread."""
    paths = [str(ARCHS), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(entry for entry in paths if entry)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **changes}


def run_aethernet(
    *args: object, cwd: Path, check: bool = True, env: dict[str, str] | None = None, timeout: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Runs `aethernet ARGS` in a process of its own; with `check`, a failure fails the test with its output.

    With an environment `env`, the process is a new `python -m aethernet`; else it is forked from a server that has
    imported everything, which spares seconds.
    """
    command = [sys.executable, "-m", "aethernet", *map(str, args)]
    if env is not None or not hasattr(os, "fork"):
        result = subprocess.run(
            command, cwd=cwd, env=env or environment(), capture_output=True, text=True, timeout=timeout, check=False
        )
    else:
        with tempfile.TemporaryDirectory() as folder:
            process = start_aethernet(*args, cwd=cwd, logs=Path(folder))
            process.join(timeout)
            if process.exitcode is None:
                process.kill()
                raise subprocess.TimeoutExpired(command, timeout)
            texts = [(Path(folder) / name).read_text() for name in ("stdout", "stderr")]
        result = subprocess.CompletedProcess(command, process.exitcode, *texts)
    if check:
        assert result.returncode == 0, f"exit {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result


PRELOADED = ["aether_arch", "torch._dynamo", "helpers.training"]
"""What the server of forks imports; torch's compiler is what every optimiser imports."""


def start_aethernet(*args: object, cwd: Path, logs: Path, prepare: Callable[[], None] | None = None) -> BaseProcess:
    """Starts `aethernet ARGS` behind a call of `prepare`; it writes `stdout` and `stderr` in the folder `logs`."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    process = server.Process(target=_main, args=([*map(str, args)], cwd, logs, prepare))
    process.start()
    return process


def start_ranks(work: Callable[[int, str], None], folder: Path) -> None:
    """Runs `work(rank, folder)` in two processes and waits for both; a failure of one is raised here."""
    if hasattr(os, "fork"):
        multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    method = "forkserver" if hasattr(os, "fork") else "spawn"
    torch.multiprocessing.start_processes(work, args=(str(folder),), nprocs=2, start_method=method)


def _main(args: list[str], cwd: Path, logs: Path, prepare: Callable[[], None] | None) -> None:
    """The process itself, made to look like one that was started from a terminal."""
    for stream, name in ((sys.stdout, "stdout"), (sys.stderr, "stderr")):
        stream.flush()
        os.dup2(os.open(logs / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
    multiprocessing.set_start_method(None, force=True)
    torch.set_num_threads(1)
    os.chdir(cwd)
    sys.argv = ["aethernet", *args]
    if prepare is not None:
        prepare()
    sys.exit(cli.main(args))
