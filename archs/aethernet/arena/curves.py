"""The curve of a training, read from BasicSR's logs."""

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from aethernet.arena.records import Point
from aethernet.integrations.basicsr.pipeline.log import reached_iterations

STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) \w+: (.*)")
RESUMED = re.compile(r"Start training from epoch: \d+, iter: (\d+)")
DAMAGED = re.compile(r": the figures are of ([\d,]+ of [\d,]+ pictures?); damaged and left out")
PSNR = re.compile(r"\t # psnr: ([\d.]+)")


@dataclass(frozen=True)
class Curve:
    """All validations of a run, and the training seconds by iteration, validation and saving left out.

    `damaged` says of how many pictures validations were where that was not all, such as `4 of 5 pictures`.
    """

    points: list[Point]
    passed: dict[int, float]
    damaged: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Those of the whole training."""
        return self.passed[max(self.passed)]


def read_curve(folder: Path, iterations: int) -> Curve:
    """Reads all logs of an experiment, oldest first; iterations that a resumed run did again count once."""
    logs = sorted(folder.glob("train_*.log"))
    return curve_of((path.read_text(encoding="utf-8", errors="replace").splitlines() for path in logs), iterations)


def curve_of(logs: Iterable[Iterable[str]], iterations: int) -> Curve:
    """The curve from the lines of one log after the other.

    Time passes in training between a line of iterations (or the start) and the next one; what passes until the line
    of a validation is saving and validation.
    """
    clock = _Clock()
    for lines in logs:
        for line in lines:
            clock.take(line, iterations)
    return Curve([clock.points[iteration] for iteration in sorted(clock.points)], clock.passed, list(clock.damaged))


class _Clock:
    def __init__(self) -> None:
        self.passed = {0: 0.0}  # training seconds by iteration
        self.points: dict[int, Point] = {}
        self.iteration = 0
        self.last = 0.0
        self.validates = False
        self.damaged: dict[str, None] = {}

    def take(self, line: str, total: int) -> None:
        if self.validates and (found := PSNR.search(line)):
            point = Point(self.iteration, round(self.passed[self.iteration], 3), float(found[1]))
            self.points.setdefault(self.iteration, point)
            self.validates = False
        stamp = STAMP.match(line)
        if not stamp:
            return
        now, message = datetime.datetime.strptime(stamp[1], "%Y-%m-%d %H:%M:%S,%f").timestamp(), stamp[2]
        if found := DAMAGED.search(message):
            self.damaged[found[1]] = None
        elif found := RESUMED.search(message):
            self._start(int(found[1]), now)
        elif reached := reached_iterations(message):
            self._reach(reached[0], now)
        elif message.startswith("End of training") and self.iteration < total:
            self._reach(total, now)
        elif message.startswith("Validation "):
            self.validates, self.last = True, now

    def _start(self, iteration: int, now: float) -> None:
        before = max(each for each in self.passed if each <= iteration)
        self.passed = {each: seconds for each, seconds in self.passed.items() if each <= iteration}
        self.passed.setdefault(iteration, self.passed[before])
        self.points = {each: point for each, point in self.points.items() if each <= iteration}
        self.iteration, self.last = iteration, now

    def _reach(self, iteration: int, now: float) -> None:
        self.passed[iteration] = self.passed[self.iteration] + now - self.last
        self.iteration, self.last = iteration, now
