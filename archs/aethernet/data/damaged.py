"""Pictures that cannot be read: named, left out, and counted up to a limit, the same for everything that reads many."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aethernet.errors import DataError
from aethernet.wording import how_many

logger = logging.getLogger(__name__)

MOST_DAMAGED = 10
"""That may be, by default: `--max-damaged` of commands, `max_damaged` of a data set in an option file."""
NAMED = 3
"""So many are named where there are too many."""


@dataclass(frozen=True)
class DamagedPicture:
    """A picture that is not part of a figure, by the name of its set and of its file, and why it cannot be read."""

    file: str
    problem: str


class Damaged:
    """Counts pictures that cannot be read.

    Args:
        most: that may be left out.
        place: what they are left out of, such as `the training`.
        option: what sets `most`; empty if nothing does.
        log: gets their names.
    """

    def __init__(
        self, most: int = MOST_DAMAGED, place: str = "the figures", option: str = "--max-damaged",
        log: logging.Logger = logger,
    ) -> None:  # fmt: skip
        self.most, self.place, self.option, self.log = most, place, option, log
        self.found: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.found)

    def __contains__(self, path: str | Path) -> bool:
        return str(path) in self.found

    def note(self) -> str:
        """As ` (2 more are damaged)`, to be put behind the number of those that are not; empty if all are sound."""
        return f" ({len(self)} more {'is' if len(self) == 1 else 'are'} damaged)" if self.found else ""

    def leave_out(self, problems: Iterable[tuple[str | Path, str]]) -> None:
        """Counts pictures, by path and with the reason, and names those that are new in the log.

        Raises:
            DataError: there are more than may be left out.
        """
        new = {str(path): problem for path, problem in problems if path not in self}
        self.found |= new
        if len(self.found) > self.most:
            named = [f"{path}: {problem}" for path, problem in list(self.found.items())[:NAMED]]
            rest = len(self.found) - len(named)
            verb = "is" if len(self.found) == 1 else "are"
            allowed = f"at most {self.most}" if self.most else "none"
            raise DataError(
                f"{how_many(len(self.found), 'picture')} {verb} damaged, and {allowed} may be left out of {self.place}"
                f"{f' ({self.option})' if self.option else ''}: {'; '.join(named)}{f'; and {rest} more' if rest else ''}. "
                "Replace or remove them"
            )
        for path, problem in new.items():
            self.log.warning("%s: %s; it is left out of %s", path, problem, self.place)
