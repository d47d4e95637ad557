"""Networks side by side, with their trainings and times: what a plot needs of a benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from aethernet.arena.records import Latency, RunResult
from aethernet.conditions import Conditions
from aethernet.errors import DataError
from aethernet.wording import how_many

OWN_PREFIX = "aether_"
"""What the specs of this project's networks begin with."""
PREFERRED_ENGINE = "onnxruntime"
MOST_CHARACTERS = 420  # of a line of conditions in a caption
SAME_LENGTH = 1.15
"""Ratio up to which numbers of iterations count as the same."""


@dataclass(frozen=True, order=True)
class Setting:
    """Where a time was taken: only times of one setting can be compared."""

    engine: str
    threads: int
    size: str

    def __str__(self) -> str:
        return f"{self.engine}, {how_many(self.threads, 'thread')}, {self.size}"


@dataclass
class Network:
    """A network of the comparison, with its times and trainings; weights from elsewhere are a run of 0 iterations."""

    name: str
    spec: str
    params: int | None = None
    speed: dict[Setting, Latency] = field(default_factory=dict)
    runs: list[RunResult] = field(default_factory=list)

    @property
    def is_own(self) -> bool:
        return self.spec.startswith(OWN_PREFIX)

    @property
    def longest_runs(self) -> list[RunResult]:
        """The seeds of the longest training. Runs that were given the same seconds, not iterations, come out nearly
        alike and count as one length."""
        most = max((run.iterations for run in self.runs), default=0)
        return [run for run in self.runs if most <= SAME_LENGTH * run.iterations]


def mean_iterations(runs: Sequence[RunResult]) -> int:
    """Of the seeds of one length."""
    return round(sum(run.iterations for run in runs) / len(runs))


@dataclass
class Comparison:
    """Everything that the files hold about networks of one scale. `val` is the set of the curves."""

    name: str
    scale: int = 0
    val: str = ""
    networks: list[Network] = field(default_factory=list)
    conditions: list[Conditions] = field(default_factory=list)

    @property
    def sets(self) -> list[str]:
        """The sets that every longest run was measured on, in the order of the first."""
        runs = [run for network in self.networks for run in network.longest_runs]
        return [name for name in (runs[0].quality if runs else ()) if all(name in run.quality for run in runs)]

    @property
    def condition_lines(self) -> list[str]:
        """What the figures were measured on, each once, with commands that a caption has room for."""
        sentences = dict.fromkeys(each.sentence() for each in self.conditions)
        return [text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 2]}…`" for text in sentences]

    @property
    def is_timed(self) -> bool:
        return any(network.runs and network.speed for network in self.networks)

    @property
    def has_curves(self) -> bool:
        return any(run.curve for network in self.networks for run in network.longest_runs)

    def setting(self, *, engine: str | None = None, threads: int | None = None, size: str | None = None) -> Setting:
        """The setting that most networks were timed in, of those asked for; ONNX Runtime first.

        Raises:
            DataError: no network was timed so.
        """
        counts: dict[Setting, int] = {}
        for setting in (setting for network in self.networks if network.runs for setting in network.speed):
            counts[setting] = counts.get(setting, 0) + 1
        asked = {"engine": engine, "threads": threads, "size": size}
        fitting = [
            setting
            for setting in counts
            if all(value in (None, getattr(setting, name)) for name, value in asked.items())
        ]
        if not fitting:
            wanted = ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
            known = "; ".join(map(str, sorted(counts))) or "none of them was timed: give a file of `bench speed` too"
            raise DataError(f"no network with a PSNR was timed with {wanted or 'anything'}; there is: {known}")
        return max(fitting, key=lambda setting: (counts[setting], setting.engine == PREFERRED_ENGINE))
