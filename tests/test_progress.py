"""Progress bars: what the steps are on a terminal, a line now and then in pipes and logs."""

import io
import re
import sys
from pathlib import Path

from aethernet import cli
from aethernet.cli import progress
from aethernet.cli.progress import ProgressBars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, monkeypatch, leave: bool = False) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressBars(leave) as bars:
        for title, unit in (("calibrating", "picture"), ("timing", "round")):
            step = bars.titled(title, unit)
            for done in (0, 1, 2, 3, 3):
                step(done, 3, f"number {done}")
    return stream.getvalue()


def test_a_terminal_shows_what_the_steps_are(monkeypatch):
    text = shown(Terminal(), monkeypatch, leave=True)  # what is seen in between depends on the clock
    assert re.search(r"calibrating: 100%.*3 of 3 pictures,.*number 3", text)
    assert re.search(r"timing: 100%.*3 of 3 rounds,", text)


def test_a_pipe_stays_empty_while_nothing_takes_long(monkeypatch):
    assert shown(io.StringIO(), monkeypatch) == ""


def test_a_pipe_gets_a_line_now_and_then(monkeypatch):
    monkeypatch.setattr(progress, "BETWEEN_LINES", -1.0)
    lines = shown(io.StringIO(), monkeypatch).splitlines()
    assert lines == [f"{title}: {n} of 3 {unit}s" for title, unit in (("calibrating", "picture"), ("timing", "round")) for n in (1, 2)]  # fmt: skip


def test_a_pipe_gets_a_line_for_each_part_that_is_kept(monkeypatch):
    assert shown(io.StringIO(), monkeypatch, leave=True).splitlines() == ["calibrating: 3 of 3 pictures", "timing: 3 of 3 rounds"]  # fmt: skip


def test_bars_are_made_in_one_place():
    """Elsewhere they would be without a unit, or fill the logs."""
    sources = Path(cli.__file__).parents[1].rglob("*.py")
    users = {path.name for path in sources if re.search(r"^\s*(from|import) tqdm", path.read_text(), re.MULTILINE)}
    assert users == {"progress.py"}
