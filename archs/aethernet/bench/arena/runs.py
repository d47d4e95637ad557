"""One training of an arena: a process in a folder of its own, resumed where it stopped, kept when it is finished."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from aethernet.bench import Progress
from aethernet.bench.arena import values
from aethernet.bench.arena.curves import ITERATION, PSNR, Curve, read_curve
from aethernet.bench.arena.options import EXPERIMENT, file_text, training_options
from aethernet.bench.arena.recipe import ArenaRecipe, Entry
from aethernet.errors import OptionError
from aethernet.files import atomic_path
from aethernet.integrations.basicsr.process import run_command

OPTION_FILE, FINISHED, LOG, PROBE = "train.yml", "finished.json", "log.txt", "probe"
PROBE_ITERATIONS, PROBE_WARMUP = 60, 20
"""Iterations that tell a network's speed in training, the first of them not counted."""


@dataclass(frozen=True)
class Run:
    """One network with one seed, and the folder of its training."""

    entry: Entry
    seed: int
    folder: Path
    weights: Path

    @property
    def title(self) -> str:
        return f"{self.entry.name}, seed {self.seed}"


def plan(recipe: ArenaRecipe, out: Path) -> list[Run]:
    """All runs of a recipe: every network with the first seed, then with the next."""
    return [
        Run(entry, seed, out / "runs" / f"{entry.name}_seed{seed}", out / "weights" / f"{entry.name}_seed{seed}.pth")
        for seed in recipe.seeds
        for entry in recipe.networks
    ]


def check(run: Run, recipe: ArenaRecipe, iterations: int) -> None:
    """A folder that holds a training by other options is refused: neither kept nor written over.

    Raises:
        OptionError: naming the first line that differs.
    """
    path = run.folder / OPTION_FILE
    if not path.is_file():
        return
    former, now = path.read_text(encoding="utf-8"), _option_text(run, recipe, iterations)
    if former == now:
        return
    before, after = next(
        (pair for pair in zip(former.splitlines(), now.splitlines(), strict=False) if pair[0] != pair[1]),
        ("", "another length"),
    )
    raise OptionError(
        f"{run.folder} holds a training of {run.title} by other options ({before.strip()!r}, now {after.strip()!r}): "
        "remove that folder to train anew, or give another --out"
    )


def iterations_of(run: Run, recipe: ArenaRecipe, progress: Progress | None = None) -> int:
    """How many iterations this network gets: the recipe's, or what fits into the recipe's seconds, measured once."""
    training = run.entry.training
    if training.iterations is not None:
        return training.iterations
    assert training.seconds is not None
    return max(1, round(training.seconds / _seconds_per_iteration(run, recipe, progress)))


def train(run: Run, recipe: ArenaRecipe, iterations: int, progress: Progress | None = None) -> Curve:
    """Trains, unless that is done; the averaged and last weights then stand in `run.weights`.

    Intermediate checkpoints, from which an interrupted training resumes, are removed at its end.

    Raises:
        EnvironmentProblem: the training failed; the message holds the last lines of its log.
    """
    experiment = run.folder / "experiments" / EXPERIMENT
    if not is_finished(run):
        with atomic_path(run.folder / OPTION_FILE) as temporary:
            temporary.write_text(_option_text(run, recipe, iterations), encoding="utf-8")
        train_in(run.folder, iterations, recipe.threads, progress)
        with atomic_path(run.weights) as temporary:
            shutil.copyfile(experiment / "models" / "net_g_latest.pth", temporary)
        with atomic_path(run.folder / FINISHED) as temporary:
            temporary.write_text(json.dumps({"iterations": iterations}) + "\n", encoding="utf-8")
        shutil.rmtree(experiment / "training_states", ignore_errors=True)
        shutil.rmtree(experiment / "models", ignore_errors=True)
    return read_curve(experiment, iterations)


def is_finished(run: Run) -> bool:
    return (run.folder / FINISHED).is_file() and run.weights.is_file()


def train_in(folder: Path, iterations: int, threads: int, progress: Progress | None = None) -> None:
    """Runs `aethernet train` on the option file in `folder`; its output goes to a log there."""
    psnr = ""

    def watch(line: str) -> None:
        nonlocal psnr
        if found := PSNR.search(line):
            psnr = f"{float(found[1]):.2f} dB"
        if (found := ITERATION.search(line)) and progress is not None:
            progress(min(iterations, int(found[1].replace(",", ""))), iterations, psnr)

    run_command(
        "train", "-opt", OPTION_FILE, "--auto_resume",
        folder=folder, log=folder / LOG, environment=_environment(threads), watch=watch,
    )  # fmt: skip


def _option_text(run: Run, recipe: ArenaRecipe, iterations: int) -> str:
    return file_text(training_options(recipe, run.entry, run.seed, iterations), run.entry, recipe.threads)


def _seconds_per_iteration(run: Run, recipe: ArenaRecipe, progress: Progress | None) -> float:
    """Measured over a short training beside the real one, and kept: a second call gives the same figure."""
    folder = run.folder.parent.parent / PROBE / run.entry.name
    opt = training_options(recipe, run.entry, recipe.seeds[0], PROBE_ITERATIONS)
    opt = values.merged(opt, {"datasets": {"val": None}, "val": None, "logger": {"print_freq": 1}})
    del opt["datasets"]["val"]
    opt["logger"]["save_checkpoint_freq"] = PROBE_ITERATIONS + 1
    text, result = file_text(opt, run.entry, recipe.threads), folder / FINISHED
    if not result.is_file() or (folder / OPTION_FILE).read_text(encoding="utf-8") != text:
        shutil.rmtree(folder, ignore_errors=True)
        with atomic_path(folder / OPTION_FILE) as temporary:
            temporary.write_text(text, encoding="utf-8")
        train_in(folder, PROBE_ITERATIONS, recipe.threads, progress)
        passed = read_curve(folder / "experiments" / EXPERIMENT, PROBE_ITERATIONS).passed
        seconds = (passed[PROBE_ITERATIONS] - passed[PROBE_WARMUP]) / (PROBE_ITERATIONS - PROBE_WARMUP)
        with atomic_path(result) as temporary:
            temporary.write_text(json.dumps({"seconds_per_iteration": seconds}) + "\n", encoding="utf-8")
        shutil.rmtree(folder / "experiments" / EXPERIMENT / "models", ignore_errors=True)
    return json.loads(result.read_text(encoding="utf-8"))["seconds_per_iteration"]


def _environment(threads: int) -> dict[str, str]:
    """Threads of torch, and the current folder's modules, among which a network may be."""
    paths = [os.getcwd(), os.environ.get("PYTHONPATH", "")]
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }
