"""Progress bars of commands."""

import contextlib
import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from aethernet.progress import Progress
from aethernet.wording import how_many

BETWEEN_LINES = 30.0  # seconds
LONGEST_NAME = 24
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt}{unit}, {remaining} left{postfix}"


class Lines:
    """A line now and then, in the place of a bar, where the standard error stream is no terminal."""

    def __init__(self) -> None:
        self.began = self.said = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the work began."""
        return time.monotonic() - self.began

    def is_due(self) -> bool:
        """Whether the next one is; then it counts as said."""
        now = time.monotonic()
        if now - self.said <= BETWEEN_LINES:
            return False
        self.said = now
        return True


def shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


class ProgressBars:
    """Progress on the standard error stream, so that the table alone can be redirected; in files of messages a line now
    and then.

    Args:
        leave: whether each part of the work keeps its bar, or in such files its line, once it is done.
    """

    def __init__(self, leave: bool = False) -> None:
        self.leave = leave
        self.bar: Any = None  # tqdm's, which is imported when needed
        self.title = ""
        self.lines = Lines()

    def titled(self, title: str, unit: str = "picture") -> Progress:
        """The callback of one piece of work; where that begins anew, as with its next phase, so does the bar."""

        def step(done: int, total: int, what: str) -> None:
            from tqdm import tqdm

            if self.bar is None or (title, total) != (self.title, self.bar.total) or done < self.bar.n:
                self.__exit__()
                # disable=None: none where standard error is no terminal
                self.bar = tqdm(
                    total=total,
                    desc=title,
                    unit=f" {unit}" if total == 1 else f" {unit}s",
                    bar_format=BAR,
                    leave=self.leave,
                    disable=None,
                )
                self.title = title
            news = done > self.bar.n
            self.bar.set_postfix_str(what, refresh=False)
            self.bar.update(done - self.bar.n)
            if self.bar.disable and news:
                self.bar.n = done
                finished = done >= total
                if (self.leave and finished) or (not finished and self.lines.is_due()):
                    self.lines.said = time.monotonic()
                    print(f"{title}: {done} of {how_many(total, unit)}", file=sys.stderr, flush=True)

        return step

    def __enter__(self) -> "ProgressBars":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class PictureBar:
    """One bar over many pictures, in megapixels of their sources; in files of messages a line now and then."""

    def __init__(self, tasks: Sequence[Any], quiet: bool = False) -> None:
        from tqdm import tqdm

        self._sizes = {task.target: task.pixels / 1e6 for task in tasks}
        self._count, self._finished, self._done = len(self._sizes), 0, 0.0
        self._total = sum(self._sizes.values())
        self._lines = None if quiet or sys.stderr.isatty() else Lines()
        self._bar = tqdm(
            total=max(self._total, 1e-6), unit="MP", delay=1, leave=False, disable=quiet or self._lines is not None,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} MP, {rate_noinv_fmt}, {remaining} left{postfix}",
        )  # fmt: skip
        self._title("")

    def picture(self, task: Any) -> Progress:
        """The callback of one picture."""
        size, passes = self._sizes[task.target], 0
        self._title(task.source.name)

        def step(done: int, total: int, what: str) -> None:
            # Each pass over the picture for the means of channel attention is a part of the work, as computing it is.
            nonlocal passes
            phase = re.search(r"pass (\d+) of (\d+)", what)
            before = int(phase[1]) - 1 if phase else passes
            passes = int(phase[2]) if phase else passes
            self._bar.set_postfix_str(f"{what} {done}/{total}" if total > 1 else "", refresh=False)
            self._show(self._done + size * (before + done / total) / (passes + 1))

        return step

    def finished(self, task: Any) -> None:
        """Whatever became of it."""
        self._finished += 1
        self._done += self._sizes[task.target]
        self._title(task.source.name)
        self._show(self._done)

    def write(self, text: str) -> None:
        """A line above the bar."""
        self._bar.write(text, file=sys.stderr)

    def _title(self, name: str) -> None:
        self._bar.set_description_str(f"{self._finished}/{self._count} {shortened(name)}".strip(), refresh=False)

    def _show(self, done: float) -> None:
        self._bar.update(max(0.0, done - self._bar.n))
        if self._lines and done and self._lines.is_due():
            rate = done / self._lines.seconds
            left = max(0.0, self._total - done) / rate / 60
            self.write(
                f"{self._finished} of {how_many(self._count, 'picture')}, {done:.1f} of {self._total:.1f} megapixels, "
                f"{rate:.2g} a second, "
                f"{left:.0f} min left"
            )

    def __enter__(self) -> "PictureBar":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


class FrameBar:
    """One bar over the frames of a film, with frames a second and the time that is left; in files of messages a line now and
    then."""

    def __init__(self, title: str, quiet: bool = False) -> None:
        self._title, self._quiet = title, quiet
        self._lines = None if quiet or sys.stderr.isatty() else Lines()
        self._bar: Any = None

    def __call__(self, done: int, total: int | None, fresh: int) -> None:
        """Frames that are done, all of them where that is known, and those that this process has done."""
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(
                total=total, initial=done - fresh, unit="frame", desc=shortened(self._title), leave=False,
                disable=self._quiet or self._lines is not None,
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt}" + f" {'frame' if total == 1 else 'frames'}" + ", {rate_fmt}, {remaining} left"
                if total else "{desc}: {n_fmt} frames, {rate_fmt}, {elapsed}",
            )  # fmt: skip
        self._bar.update(max(0, done - self._bar.n))
        if self._lines and fresh and self._lines.is_due():
            from aethernet.upscale.summary import duration, per_second

            rate = fresh / self._lines.seconds
            frames = f"{done} of {how_many(total, 'frame')}" if total else how_many(done, "frame")
            left = f", {duration((total - done) / rate)} left" if total else ""
            print(f"{self._title}: {frames}, {per_second(rate)}{left}", file=sys.stderr, flush=True)

    def __enter__(self) -> "FrameBar":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()


@contextlib.contextmanager
def status(text: str, quiet: bool = False) -> Iterator[None]:
    """What is being done, on a terminal alone, and no longer than it lasts."""
    shown = not quiet and sys.stderr.isatty()
    if shown:
        print(f"{text} ...", end="\r", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print(" " * (len(text) + 4), end="\r", file=sys.stderr, flush=True)
