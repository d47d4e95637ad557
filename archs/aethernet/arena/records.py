"""What an arena found, as records, as JSON and as a Markdown table."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aethernet.conditions import Conditions
from aethernet.tables import markdown_table, short_count
from aethernet.wording import how_many


@dataclass(frozen=True)
class Quality:
    """Means over the pictures of a set: Y-PSNR in dB, and SSIM."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class Latency:
    """One forward pass of the deployed form; `size` is HEIGHTxWIDTH of the low-resolution input."""

    engine: str
    threads: int
    size: str
    median_ms: float
    p10_ms: float
    p90_ms: float

    def __post_init__(self) -> None:
        if not 0 < self.p10_ms <= self.median_ms <= self.p90_ms:
            raise ValueError(f"times must be positive and ordered: {self.p10_ms}, {self.median_ms}, {self.p90_ms} ms")


@dataclass(frozen=True)
class Point:
    """One validation: after how many iterations and seconds of training, and the PSNR (dB)."""

    iteration: int
    seconds: float
    psnr: float


@dataclass(frozen=True)
class RunResult:
    """One training: its length in iterations and seconds, its curve, the quality of its weights (a path below --out)."""

    seed: int
    iterations: int
    seconds: float
    curve: list[Point]
    quality: dict[str, Quality]
    weights: str

    def mean_psnr(self, sets: Sequence[str]) -> float:
        """The mean over sets, each weighing the same."""
        return statistics.fmean(self.quality[name].psnr for name in sets)


@dataclass(frozen=True)
class NetworkResult:
    """A network with all its runs. `params` and `macs` are those of the deployed form; `training` is its recipe."""

    name: str
    spec: str
    training: dict[str, Any]
    params: int
    macs: int | None
    trained_params: int
    speed: list[Latency]
    runs: list[RunResult]


@dataclass(frozen=True)
class ArenaReport:
    """A whole arena, as far as it is finished; `failures` name the trainings that broke off.

    `threads` are those of training and quality, which may have been done earlier than the times; the
    conditions are those of the times.
    """

    name: str
    scale: int
    sets: list[str]
    val: str
    threads: int
    recipe: dict[str, Any]
    networks: list[NetworkResult]
    conditions: Conditions
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def arena_markdown(report: ArenaReport) -> str:
    """A row for each network: what it costs, how long it trained, its quality on each set and in the mean."""
    engines = list(dict.fromkeys(latency.engine for network in report.networks for latency in network.speed))
    header = ["network", "params", "MACs", *(f"{engine} ms" for engine in engines), "training s", "iterations",
              *report.sets, "mean PSNR"]  # fmt: skip
    rows = [_row(network, engines, report.sets) for network in report.networks]
    sizes = sorted({latency.size for network in report.networks for latency in network.speed})
    notes = [
        f"x{report.scale}, Y-PSNR in dB / SSIM, mean over pictures; the last column is the mean over sets",
        *(["seeds: mean ± spread (sample standard deviation)"] if _has_seeds(report) else []),
        f"training and quality: {how_many(report.threads, 'thread')}",
        *([f"ms: median for an input of {', '.join(sizes)}"] if sizes else []),
        *report.notes,
        *report.failures,
        report.conditions.sentence(),
    ]
    return "\n\n".join([markdown_table(header, rows), "\n".join(f"- {note}" for note in notes)])


def _row(network: NetworkResult, engines: Sequence[str], sets: Sequence[str]) -> list[str]:
    by_engine = {latency.engine: f"{latency.median_ms:.2f}" for latency in network.speed}
    quality = []
    for name in sets:
        psnr = _spread([run.quality[name].psnr for run in network.runs], 2)
        ssim = _spread([run.quality[name].ssim for run in network.runs], 4)
        quality.append(f"{psnr} / {ssim}")
    return [
        network.name,
        short_count(network.params),
        short_count(network.macs),
        *(by_engine.get(engine, "-") for engine in engines),
        _spread([run.seconds for run in network.runs], 0),
        " ".join(dict.fromkeys(str(run.iterations) for run in network.runs)),
        *quality,
        _spread([run.mean_psnr(sets) for run in network.runs], 2),
    ]


def _spread(numbers: Sequence[float], digits: int) -> str:
    mean = statistics.fmean(numbers)
    if len(numbers) < 2 or not all(math.isfinite(number) for number in numbers):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {statistics.stdev(numbers):.{digits}f}"


def _has_seeds(report: ArenaReport) -> bool:
    return any(len(network.runs) > 1 for network in report.networks)
