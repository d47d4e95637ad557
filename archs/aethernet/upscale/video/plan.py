"""The plan of a run, and the folder of its parts: what makes a run go on where it was killed, and refuse what differs."""

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aethernet.errors import OutputError
from aethernet.files import atomic_path, unwritable
from aethernet.upscale.video.timeline import Segment

NAME = "plan.json"
WORDS = {
    "source": "the input", "model": "the network", "engine": "the engine", "precision": "the precision", "device": "the device",
    "encoding": "the codec or its settings", "size": "the size", "tags": "the colours that were assumed", "segment": "the parts",
    "version": "the version of this program or of FFmpeg",
}  # fmt: skip


@dataclass(frozen=True)
class Parts:
    """The folder with the segments of one result, hidden beside it."""

    target: Path

    @property
    def folder(self) -> Path:
        return self.target.with_name(f".{self.target.name}.parts")

    def path(self, segment: Segment) -> Path:
        return self.folder / f"{segment.number:06d}.mkv"

    def is_done(self, segment: Segment) -> bool:
        return self.path(segment).exists()

    def record(self, segment: Segment) -> dict[str, Any]:
        """What is known of a segment that is done."""
        try:
            return json.loads(self.path(segment).with_suffix(".json").read_bytes())
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{self.path(segment)}: its record is missing or damaged: remove {self.folder}"
            ) from error

    def write_record(self, segment: Segment, record: Mapping[str, Any]) -> None:
        """Before the segment itself gets its name."""
        with atomic_path(self.path(segment).with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(record), encoding="utf-8")

    def read_plan(self) -> dict[str, Any] | None:
        """The plan of the run that began; None where there is none."""
        try:
            found = json.loads((self.folder / NAME).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def settle(self, plan: Mapping[str, Any], *, force: bool = False) -> bool:
        """Makes the folder, or finds it with an equal plan.

        Args:
            force: parts of a differing run are removed.

        Returns:
            Whether it goes on with what a former run, or another process, began.

        Raises:
            OutputError: it holds parts of a run that differs, in words how.
        """
        plan = as_read(plan)
        found = self.read_plan()
        if found is not None and found != plan:
            if not force:
                different = [WORDS.get(key, key) for key in plan if plan[key] != found.get(key)]
                raise OutputError(
                    f"{self.folder} holds parts of a run that differs in {' and '.join(different) or 'its plan'}: give the "
                    "same settings to go on with it, or --force to start anew"
                )
            self.remove()
            found = None
        if found is not None:
            return True
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = self.folder / f"{NAME}.{os.getpid()}"
            temporary.write_text(json.dumps(plan, indent=1), encoding="utf-8")
            try:
                os.link(temporary, self.folder / NAME)  # one of several processes is first
            except FileExistsError:
                return self.settle(plan)
            except OSError:  # no links there
                os.replace(temporary, self.folder / NAME)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        return False

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            shutil.rmtree(self.folder)


def as_read(plan: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes out of its file."""
    return json.loads(json.dumps(plan))
