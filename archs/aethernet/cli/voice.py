"""What `aethernet upscale` says of its work, on the standard error stream."""

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from aethernet.wording import how_many

if TYPE_CHECKING:
    from aethernet.upscale.pipeline import Result
    from aethernet.upscale.upscaler import Upscaler
    from aethernet.upscale.video.enlarger import Tally

ENGINES = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "ncnn": "ncnn"}


def sentence(upscaler: "Upscaler") -> str:
    """As `aether_tiny_x4 in PyTorch on cpu, fp32: as asked for`."""
    choice = upscaler.choice
    where = f"{ENGINES[choice.session.engine]} on {choice.session.device}"
    return f"{upscaler.model.label} in {where}, {choice.precision}: {choice.reason}"


def window_notes(upscaler: "Upscaler", report: Any) -> dict[str, str]:
    """What is to be said of the windows of one picture, by kind."""
    from aethernet.upscale.windows import COSTLY

    notes: dict[str, str] = {}
    plan, halo = report.plan, upscaler.halo
    if plan is None or plan.count == 1:
        return notes
    if plan.cost > COSTLY:
        rows, columns = plan.window
        notes["cost"] = (
            f"windows of {columns}x{rows} pixels overlap by {halo.pixels} on each side, which is "
            f"{100 * (plan.cost - 1):.0f} % more to compute than the picture"
        )
    if not halo.exact:
        notes["halo"] = f"windows overlap by {how_many(halo.pixels, 'pixel')} on each side, {halo.origin}"
    if report.passes:
        notes["attention"] = (
            f"channel attention in windows: means of the whole picture from "
            f"{how_many(report.passes, 'pass', 'passes')}, of which the last changed a weight by {report.change:.1g} at most"
        )
    return notes


def computed(tally: "Tally", taken: float) -> str:
    """As `200 of them computed in 3 min 20 s, 1 a second (12 equal to the one before)`, of frames."""
    from aethernet.upscale.summary import duration, per_second

    equal = f" ({tally.duplicates} equal to the one before)" if tally.duplicates else ""
    rate = per_second(tally.frames / max(taken, 1e-3))
    return f"{tally.frames} of them computed in {duration(taken)}, {rate}{equal}"


class Voice:
    """Says things of pictures; what is true of many is said once, and counted."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.write = quiet, print_error
        self.counts: Counter[str] = Counter()

    def say(self, text: str) -> None:
        if not self.quiet:
            self.write(text)

    def tell(self, upscaler: "Upscaler", result: "Result", by_name: bool) -> None:
        """What there is to say of a result that was just finished."""
        task, report = result.task, result.report
        notes = {note: note for note in [*result.notes, *(report.notes if report else [])]}
        if report is not None:
            notes |= window_notes(upscaler, report)
        for kind, note in notes.items():
            self.counts[kind] += 1
            if self.counts[kind] == 1:
                self.say(f"{task.source}: {note}")
        if by_name and result.outcome == "enlarged":
            self.say(str(task.target))

    def repeat(self) -> None:
        """How often things that were said once are true."""
        words = {"cost": "windows that overlap much", "halo": "windows that are not exact", "attention": "channel attention in windows"}  # fmt: skip
        for kind, count in self.counts.items():
            if count > 1:
                self.say(f"{words.get(kind, kind)}: {count} pictures")


def print_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
