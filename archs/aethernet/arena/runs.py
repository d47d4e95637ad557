"""One training of an arena: a folder of its own, resumed where it stopped, kept when it is finished."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from aethernet.arena.curves import Curve, read_curve
from aethernet.arena.networks import Network
from aethernet.arena.options import EXPERIMENT, file_text, training_options
from aethernet.arena.pace import iterations_of
from aethernet.arena.recipe import ArenaRecipe
from aethernet.arena.trainer import OPTION_FILE, train_in
from aethernet.errors import OutputError
from aethernet.files import atomic_path
from aethernet.progress import Progress


@dataclass(frozen=True)
class Run:
    """One network with one seed; `out` is the folder of the whole arena."""

    network: Network
    seed: int
    recipe: ArenaRecipe
    out: Path

    @property
    def title(self) -> str:
        return f"{self.network.name}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        return self.out / "runs" / f"{self.network.name}_seed{self.seed}"

    @property
    def weights(self) -> Path:
        """The averaged and the last weights; they stand there when the training is finished."""
        return self.out / "weights" / f"{self.network.name}_seed{self.seed}.pth"

    @property
    def experiment(self) -> Path:
        return self.folder / "experiments" / EXPERIMENT

    @property
    def is_finished(self) -> bool:
        return self.weights.is_file() and (self.folder / OPTION_FILE).is_file()

    def iterations(self, progress: Progress | None = None) -> int:
        return iterations_of(self.network, self.recipe, self.out / "pace" / self.network.name, progress)

    def change(self) -> str | None:
        """What differs between the recipe and the training in the folder; None if nothing does or it saved nothing."""
        path = self.folder / OPTION_FILE
        if not path.is_file() or not (self.is_finished or any((self.experiment / "models").glob("*.pth"))):
            return None
        former, now = path.read_text(encoding="utf-8").splitlines(), self._option_text().splitlines()
        if former == now:
            return None
        pairs = zip([*former, ""], [*now, ""], strict=False)
        before, after = next(pair for pair in pairs if pair[0] != pair[1])
        return f"{before.strip()!r}, now {after.strip()!r}"

    def check(self) -> None:
        """A folder that holds a training by other options is refused: neither kept nor written over.

        Raises:
            OutputError: with the first line that differs.
        """
        if change := self.change():
            raise OutputError(
                f"{self.folder} holds a training of {self.title} by other options ({change}): remove that folder to "
                "train anew, or give another --out"
            )

    def train(self, progress: Progress | None = None) -> Curve:
        """Trains, unless that is done, and returns the curve.

        Checkpoints, from which an interrupted training resumes, are removed at its end.

        Raises:
            ProcessError: the training failed; the message holds the last lines of its log.
        """
        iterations = self.iterations()
        if not self.is_finished:
            train_in(self.folder, self._option_text(), iterations, self.recipe.threads, progress)
            with atomic_path(self.weights) as temporary:
                shutil.copyfile(self.experiment / "models" / "net_g_latest.pth", temporary)
            for name in ("training_states", "models"):
                shutil.rmtree(self.experiment / name, ignore_errors=True)
        return read_curve(self.experiment, iterations)

    def _option_text(self) -> str:
        opt = training_options(self.recipe, self.network, self.seed, self.iterations())
        return file_text(opt, self.network, self.recipe.threads)


def plan(recipe: ArenaRecipe, out: Path) -> list[Run]:
    """All runs of a recipe: every network with the first seed, then with the next."""
    return [Run(network, seed, recipe, out) for seed in recipe.seeds for network in recipe.networks]
