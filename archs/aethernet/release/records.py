"""What a release found, as it stands in report.json and on the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from aethernet.bench.timing import Timing
from aethernet.conditions import Conditions
from aethernet.export.half_range import HalfReport
from aethernet.release.tile_error import TileError
from aethernet.verify.gate import Check

KIND = "release"
"""The entry `kind` of report.json, by which a bundle is known."""


@dataclass(frozen=True)
class FileRecord:
    """A file of the bundle, or a pair that is one model: of ncnn, `weights` lies beside the graph, and `bytes` are those of both.

    One that did not pass is not in it, and `problem` says why; its size and checksum are those it
    had, none if it was not written."""

    file: str
    precision: str
    purpose: str
    bytes: int
    sha256: str
    budget: str
    checks: Sequence[Check]
    remarks: Sequence[str]
    passed: bool
    problem: str = ""
    weights: str = ""
    weights_sha256: str = ""

    @property
    def names(self) -> list[str]:
        """Of its files, that which is opened first."""
        return [self.file, self.weights] if self.weights else [self.file]


@dataclass(frozen=True)
class SpeedRecord:
    """A file in one engine on this machine; ratios are to the first record."""

    file: str
    runtime: str
    precision: str
    timing: Timing


@dataclass(frozen=True)
class EngineLine:
    """How TensorRT's own tool builds an engine from a file."""

    file: str
    command: str


@dataclass(frozen=True)
class Mean:
    """PSNR in dB and SSIM (Y), mean over the pictures."""

    psnr: float
    ssim: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """All of it.

    Attributes:
        title: of the network, such as `aether_tiny x4 (stage train)`.
        network, bicubic: what the float network and bicubic interpolation reach on the pictures.
        pictures: titles, in the order of every file's `drops`.
        int8: where the int8 network comes from.
        notes: what a reader should know of the whole.
        input_size: height and width of the low-resolution picture that was timed.
        half: the numbers of every layer, against the largest float16.
        left_out: kinds of files that were not made, and why.
        ncnn_layers: the kinds of layers in the ncnn files.
        tile_error: what the padding of programs on ncnn makes of a network that sees farther; None where it is enough.
    """

    name: str
    title: str
    variant: str
    scale: int
    in_channels: int
    parameters: int
    receptive_radius: int | None
    passed: bool
    network: Mean
    bicubic: Mean
    pictures: Sequence[str]
    max_drop: float
    int8: str
    files: Sequence[FileRecord]
    speed: Sequence[SpeedRecord]
    half: HalfReport
    input_size: tuple[int, int]
    tensorrt: Sequence[EngineLine]
    notes: Sequence[str]
    conditions: Conditions
    speed_conditions: Conditions
    left_out: Sequence[str] = ()
    ncnn_layers: Sequence[str] = ()
    tile_error: TileError | None = None

    @property
    def kept(self) -> list[FileRecord]:
        """The files that are in the bundle."""
        return [record for record in self.files if record.passed]

    def find(self, suffix: str) -> FileRecord | None:
        """The file in the bundle with this ending, if it passed."""
        return next((record for record in self.kept if record.file == f"{self.name}{suffix}"), None)
