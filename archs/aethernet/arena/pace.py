"""How many iterations a network gets: the recipe's number, or what it does in the recipe's time."""

import json
import shutil
from pathlib import Path

from aethernet.arena.curves import read_curve
from aethernet.arena.networks import Network
from aethernet.arena.options import EXPERIMENT, file_text, training_options
from aethernet.arena.recipe import ArenaRecipe
from aethernet.arena.trainer import OPTION_FILE, train_in
from aethernet.files import write_text
from aethernet.progress import Progress

MEASURED = "pace.json"
ITERATIONS, WARMUP = 60, 20
"""Length of the training that tells a network's speed; its first iterations do not count."""


def iterations_of(network: Network, recipe: ArenaRecipe, folder: Path, progress: Progress | None = None) -> int:
    """The iterations of a network's training.

    Args:
        folder: of the short training that measures the speed where the recipe gives seconds; it is kept, so that a
            second call gives the same number.
    """
    training = network.training
    if training.iterations is not None:
        return training.iterations
    assert training.seconds is not None  # `Training` has one of the two
    return max(1, round(training.seconds / seconds_per_iteration(network, recipe, folder, progress)))


def seconds_per_iteration(network: Network, recipe: ArenaRecipe, folder: Path, progress: Progress | None) -> float:
    text, measured = _option_text(network, recipe), folder / MEASURED
    if not measured.is_file() or (folder / OPTION_FILE).read_text(encoding="utf-8") != text:
        shutil.rmtree(folder, ignore_errors=True)
        train_in(folder, text, ITERATIONS, recipe.threads, progress)
        passed = read_curve(folder / "experiments" / EXPERIMENT, ITERATIONS).passed
        seconds = (passed[ITERATIONS] - passed[WARMUP]) / (ITERATIONS - WARMUP)
        write_text(measured, json.dumps({"seconds_per_iteration": seconds}) + "\n")
    return json.loads(measured.read_text(encoding="utf-8"))["seconds_per_iteration"]


def _option_text(network: Network, recipe: ArenaRecipe) -> str:
    """The training itself, but short, and without validation and checkpoints on the way."""
    opt = training_options(recipe, network, 0, ITERATIONS)
    del opt["datasets"]["val"], opt["val"]
    opt["train"]["warmup_iter"] = -1
    opt["logger"] |= {"print_freq": 1, "save_checkpoint_freq": ITERATIONS + 1}
    return file_text(opt, network, recipe.threads)
