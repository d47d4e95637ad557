"""The gate: every file in every runtime that it is for, compared with the network that it comes from, on real pictures."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from aethernet.checkpoint.checkpoint import load_network
from aethernet.errors import CheckpointError, EngineError, EnvironmentProblem
from aethernet.progress import Progress
from aethernet.quality.sets import PictureFolders
from aethernet.runtimes.ncnn import NcnnSession
from aethernet.runtimes.onnxruntime import OnnxRuntimeSession
from aethernet.runtimes.openvino import OpenVinoSession, import_openvino
from aethernet.runtimes.pytorch import TorchSession
from aethernet.runtimes.session import BatchFunction, Session
from aethernet.threads import fixed_threads
from aethernet.verify.agreement import Agreement, Comparison, compare_with_reference
from aethernet.verify.budget import Budget

logger = logging.getLogger(__name__)

PYTORCH, ONNXRUNTIME, OPENVINO, NCNN = "PyTorch", "ONNX Runtime", "OpenVINO", "ncnn"
AS_WRITTEN = "ONNX Runtime, as written"
"""ONNX Runtime without any fusion: the file's own float operations between its rounding steps."""
Look = Callable[[str, np.ndarray, Mapping[str, np.ndarray]], None]
"""Called for each picture with its title, the picture (H, W, 3) uint8, and outputs as such by name."""
NETWORK = "network"
"""The name of the network's own output."""


@dataclass(frozen=True)
class Entry:
    """A file to be judged: how it is opened in each runtime, by the runtime's name. `shown` names its output, if it is
    to be looked at."""

    label: str
    budget: Budget
    sessions: Mapping[str, Callable[[], Session]]
    shown: str = ""


@dataclass(frozen=True)
class Check:
    """A file in one runtime. `figures` is None where the runtime refuses it or breaks off, and `problem` says why.

    `integers` of `convolutions` run in integers; None where the runtime does not tell.
    """

    runtime: str
    figures: Agreement | None
    integers: int | None
    convolutions: int | None
    passed: bool
    problem: str = ""


@dataclass(frozen=True)
class Gated:
    """The checks of each entry, the network's own figures (in `comparison`), and those of the other runs by name."""

    comparison: Comparison
    checks: list[list[Check]]
    others: Mapping[str, Agreement]
    threads: int


def file_entry(path: Path, budget: Budget, runtimes: Sequence[str], threads: int | None, shown: str = "") -> Entry:
    """A file of ours, for these runtimes."""

    def opened(runtime: str) -> Session:
        if runtime == PYTORCH:
            return TorchSession(load_network(path))
        if runtime == OPENVINO:
            return OpenVinoSession(path, threads)
        if runtime == NCNN:
            return NcnnSession(path, threads)
        return OnnxRuntimeSession(path, threads=threads, as_written=runtime == AS_WRITTEN)

    return Entry(path.name, budget, {runtime: functools.partial(opened, runtime) for runtime in runtimes}, shown)


def openvino_is_there() -> bool:
    """Whether OpenVINO, an extra, can be imported."""
    try:
        import_openvino()
    except EnvironmentProblem:
        return False
    return True


def hold_files(
    reference: Session,
    entries: Sequence[Entry],
    pictures: PictureFolders,
    *,
    scale: int,
    in_channels: int,
    others: Mapping[str, BatchFunction] | None = None,
    threads: int | None = None,
    look: Look | None = None,
    progress: Progress | None = None,
) -> Gated:
    """Compares every file with the reference, as `compare_with_reference` does; a file that a runtime refuses does not pass.

    Args:
        others: more runs to be compared, such as bicubic's, without a gate.
        look: sees every picture and what became of it: NETWORK, the others, and the entries that are shown.
    """
    others = others or {}
    known: list[tuple[Session, BatchFunction]] = [(reference, reference.run)]
    opened = [[_Opened(runtime, entry, known, scale) for runtime in entry.sessions] for entry in entries]
    runs = [*others.values(), *(each.run for group in opened for each in group if not each.refused)]
    clipped = {each.run for group in opened for each in group if not each.refused and each.clipped}
    shown = {NETWORK: 0, **{name: number for number, name in enumerate(others, start=1)}}
    place = 1 + len(others)
    for entry, group in zip(entries, opened, strict=True):
        if entry.shown and not group[0].refused:
            shown[entry.shown] = place
        place += sum(not each.refused for each in group)

    def watch(title: str, hr: np.ndarray, outputs: list[np.ndarray]) -> None:
        if look is not None:
            look(title, hr, {name: outputs[index] for name, index in shown.items()})

    with fixed_threads(threads):
        comparison = compare_with_reference(
            reference.run, runs, pictures, scale=scale, in_channels=in_channels, clipped=clipped, watch=watch,
            progress=progress,
        )  # fmt: skip
        used = torch.get_num_threads()
    figures = iter(comparison.runs)
    found = {name: next(figures) for name in others}
    checks = [
        [each.check(next(figures) if not each.refused else None) for each in group]
        for entry, group in zip(entries, opened, strict=True)
    ]
    return Gated(comparison, checks, found, used)


@dataclass
class _Opened:
    """A file in one runtime. Once the runtime breaks off it makes nothing but NaN, so that the others are still judged."""

    runtime: str
    entry: Entry
    known: list[tuple[Session, BatchFunction]]
    scale: int
    problem: str = field(default="", init=False)
    refused: bool = field(default=False, init=False)
    clipped: bool = field(default=False, init=False)
    counts: tuple[int | None, int | None] = field(default=(None, None), init=False)

    def __post_init__(self) -> None:
        try:
            session = self.entry.sessions[self.runtime]()
            self.clipped = session.clipped
            if self.runtime != AS_WRITTEN:
                self.counts = session.integer_convolutions() or (None, None)
        except (CheckpointError, EnvironmentProblem) as error:
            self.problem, self.refused = str(error), True
            return
        # A network that is the same, bit for bit, gets the same run, which is then computed once.
        same = next((run for other, run in self.known if _equal(session, other)), None)
        self.run: BatchFunction = same or self._guarded(session.run)
        self.known.append((session, self.run))

    def _guarded(self, run: BatchFunction) -> BatchFunction:
        def guarded(batch: np.ndarray) -> np.ndarray:
            try:
                if not self.problem:
                    return run(batch)
            except EngineError as error:
                self.problem = str(error)
            height, width = (self.scale * side for side in batch.shape[2:])
            return np.full((*batch.shape[:2], height, width), np.nan, np.float32)

        return guarded

    def check(self, figures: Agreement | None) -> Check:
        """The verdict, once all pictures are through."""
        if self.problem:
            figures = None
        passed = figures is not None and bool(self.entry.budget.holds(figures))
        logger.debug("%s in %s: %s", self.entry.label, self.runtime, figures.sentence() if figures else self.problem)
        return Check(self.runtime, figures, *self.counts, passed, self.problem)


def _equal(session: Session, other: Session) -> bool:
    if not isinstance(session, TorchSession) or not isinstance(other, TorchSession):
        return False
    first, second = session.network.state_dict(), other.network.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
