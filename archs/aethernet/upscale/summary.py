"""What became of many pictures: for people in a sentence, for programs as records."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aethernet.upscale.pipeline import Outcome, Result
from aethernet.upscale.upscaler import Upscaler
from aethernet.wording import how_many

WORDS: dict[Outcome, str] = {
    "enlarged": "enlarged", "present": "there already", "elsewhere": "made by other processes", "failed": "failed",
    "left": "left for the next run",
}  # fmt: skip


@dataclass(frozen=True)
class NetworkRecord:
    """One network and where it ran, and why there."""

    model: str
    engine: str
    device: str
    precision: str
    reason: str
    halo: int
    exact: bool


@dataclass(frozen=True)
class PictureRecord:
    """One picture; `model` is None where this run did not enlarge it. `seconds` are those of computing, without reading and writing; sizes are in pixels."""

    source: str
    target: str
    model: str | None
    outcome: Outcome
    problem: str
    notes: list[str]
    size: tuple[int, int] | None
    frames: int
    seconds: float
    window: tuple[int, int] | None
    windows: int
    cost: float | None
    passes: int
    change: float | None


@dataclass(frozen=True)
class Summary:
    """All pictures of one run; no `networks` where nothing had to be computed.

    `megapixels` are those of the sources that were enlarged, `seconds` those of the whole, reading and writing included.
    """

    scale: int
    networks: list[NetworkRecord]
    counts: dict[str, int]
    megapixels: float
    seconds: float
    pictures: list[PictureRecord]

    def sentence(self) -> str:
        """As `12 pictures: 10 enlarged, 2 failed; 3.1 megapixels in 8.2 s, 0.38 a second`."""
        counts = [f"{self.counts[each]} {words}" for each, words in WORDS.items() if self.counts.get(each)]
        total = sum(self.counts.values())
        speed = ""
        if self.megapixels and self.seconds:
            rate = self.megapixels / self.seconds
            speed = f"; {self.megapixels:.3g} megapixels in {duration(self.seconds)}, {rate:.2g} a second"
        return f"{how_many(total, 'picture')}: {', '.join(counts)}{speed}"


def network_record(upscaler: Upscaler) -> NetworkRecord:
    choice = upscaler.choice
    return NetworkRecord(
        model=upscaler.model.label,
        engine=choice.session.engine,
        device=choice.session.device,
        precision=choice.precision,
        reason=choice.reason,
        halo=upscaler.halo.pixels,
        exact=upscaler.halo.exact,
    )


def summarize(scale: int, networks: Sequence[NetworkRecord], results: Sequence[Result], seconds: float) -> Summary:
    """The summary of a run."""
    return Summary(
        scale=scale,
        networks=list(networks),
        counts=dict(Counter(result.outcome for result in results)),
        megapixels=sum(result.task.pixels for result in results if result.outcome == "enlarged") / 1e6,
        seconds=seconds,
        pictures=[_record(result) for result in results],
    )


def _record(result: Result) -> PictureRecord:
    task, report = result.task, result.report
    plan = None if report is None else report.plan
    return PictureRecord(
        source=str(task.source),
        target=str(task.target),
        model=result.model,
        outcome=result.outcome,
        problem=result.problem,
        notes=[*result.notes, *(report.notes if report else [])],
        size=None if task.header is None else task.header.size,
        frames=1 if task.header is None else task.header.frames,
        seconds=result.seconds,
        window=None if plan is None else (plan.window[1], plan.window[0]),
        windows=0 if plan is None else plan.count,
        cost=None if plan is None else plan.cost,
        passes=0 if report is None else report.passes,
        change=None if report is None else report.change,
    )


def duration(seconds: float) -> str:
    """As `8.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def per_second(rate: float) -> str:
    """As `0.82 a second`, `182 a second`."""
    return f"{rate:.0f} a second" if rate >= 10 else f"{rate:.2g} a second"
