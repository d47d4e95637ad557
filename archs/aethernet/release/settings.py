"""What may be chosen where files leave: in a bundle, in ONNX files alone, in weights alone. Each is a flag, too."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aethernet.data.damaged import MOST_DAMAGED
from aethernet.errors import UsageError
from aethernet.flags import flag, not_negative, note, positive
from aethernet.flags import size as picture_size
from aethernet.quantization.settings import CALIBRATION_PICTURES, PERCENTILE, Preset, QuantizationConfig
from aethernet.verify.budget import MAX_DROP, drop_budget

if TYPE_CHECKING:
    from aethernet.export.form import Pixels
    from aethernet.export.onnx import Precision
    from aethernet.export.qdq import TargetName
    from aethernet.release.products import NcnnName

KEY = "entry of a BasicSR checkpoint (default: params_ema, else params)"
DATASETS = "names of the training data for hubs"
LICENSE = "of the weights (default: other, research use)"
THREADS = "threads of the verification (default: all)"
WHAT, PROOF = "what to write", "pictures, to calibrate and to verify on"
CARD = "model card: what is not given is taken from the experiment's folder, or from the header of WEIGHTS"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of a bundle."""

    name: str | None = flag("of the files (default: such as aether_tiny_x4)")
    key: str | None = flag(KEY)
    pictures: int | None = flag(
        "pictures to verify on, spread evenly (default: all)", names="-n --number", type=positive, metavar="N"
    )
    qat: str | Path | None = flag(
        "weights of stage qat or int8 that were made of WEIGHTS; by default these are calibrated", group="int8", metavar="FILE"
    )  # fmt: skip
    calibration: Sequence[Path] = flag(
        f"without --qat: folders to calibrate on, at most {CALIBRATION_PICTURES} pictures (default: those of --data)", (),
        group="int8", type=Path, nargs="+", metavar="DIR",
    )  # fmt: skip
    preset: Preset = flag("without --qat: what is int8: ort, openvino, tensorrt or quality (default: ort)", "ort", group="int8")  # fmt: skip
    max_drop: float = flag(
        "PSNR that an int8 file may lose on the mean (default: %(default)s dB)", MAX_DROP,
        group="int8", type=float, metavar="DB",
    )  # fmt: skip
    size: tuple[int, int] = flag(
        "low-resolution picture that is timed, with one thread (default: 128x128)", (128, 128),
        group="speed", type=picture_size, metavar="HxW",
    )  # fmt: skip
    rounds: int = flag("timed runs of each file (default: %(default)s)", 7, group="speed", type=positive, metavar="N")
    threads: int | None = flag(THREADS, group="speed", type=positive, metavar="N")
    shapes: Sequence[tuple[int, int]] = flag(
        "low-resolution sizes for TensorRT (default: 16x16 540x960 1080x1920)", ((16, 16), (540, 960), (1080, 1920)),
        names="--trt-shapes", group="speed", type=picture_size, nargs=3, metavar=("MIN", "OPT", "MAX"),
    )  # fmt: skip
    data_note: str | None = flag(
        "the training data and what its licence allows", group=CARD, type=note, metavar="TEXT|FILE"
    )
    datasets: Sequence[str] = flag(DATASETS, (), group=CARD, nargs="+", metavar="NAME")
    license_id: str | None = flag(LICENSE, names="--license", group=CARD, metavar="ID")
    experiment: Path | None = flag("its folder, if WEIGHTS lies elsewhere", group=CARD, type=Path, metavar="DIR")

    def __post_init__(self) -> None:
        drop_budget(self.max_drop)
        if self.name is not None and not self.name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise UsageError(f"a name is made of letters, digits, dots, dashes and underscores, not {self.name!r}")
        if self.qat is not None and self.calibration:
            raise UsageError("--qat brings its own ranges: leave out --calibration")
        if min(*self.size, self.rounds) < 1:
            raise UsageError(f"size {self.size} in {self.rounds} rounds: all must be at least 1")
        for sides in zip(*self.shapes, strict=True):
            if list(sides) != sorted(sides):
                raise UsageError(
                    f"TensorRT's shapes must grow from least to most: {', '.join(map(str, self.shapes))} do not"
                )
        QuantizationConfig.read(self.preset)


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Of ONNX files alone; None for what is not given."""

    key: str | None = flag(KEY)
    name: str | None = flag("what the file names begin with (default: aether_VARIANT_xSCALE)")
    force: bool = flag("overwrite existing files", False, action="store_true")
    precision: "Sequence[Precision] | None" = flag(
        "fp32, fp16, int8 (default: fp32 and fp16 of float weights, int8 of weights on int8 grids)",
        group=WHAT, nargs="+", metavar="P",
    )  # fmt: skip
    target: "Sequence[TargetName | NcnnName] | None" = flag(
        "of int8: ort, openvino, tensorrt (default: ort); ncnn: of fp32 and fp16, for Upscayl and its like",
        group=WHAT,
        nargs="+",
        metavar="T",
    )
    opset: int | None = flag("operator set, 17 to 22 (default: 17, and 21 for int8)", group=WHAT, type=int)
    static: tuple[int, int] | None = flag(
        "the only input size (default: any)", group=WHAT, type=picture_size, metavar="HxW"
    )
    batch: int | None = flag("the only number of pictures (default: any)", group=WHAT, type=positive, metavar="N")
    pixels: "Pixels" = flag("float, or bytes in and out: uint8_nchw, uint8_nhwc", "float", group=WHAT, metavar="FORM")
    data: Sequence[Path] | None = flag(
        "folders of high-resolution pictures", group=PROOF, type=Path, nargs="+", metavar="DIR"
    )
    against: str | None = flag("the float weights that weights on int8 grids come from", group=PROOF, metavar="WEIGHTS")
    max_drop: float | None = flag(
        f"PSNR that a file may lose (default: {MAX_DROP} dB)", group=PROOF, type=float, metavar="DB"
    )
    max_damaged: int | None = flag(
        f"pictures that may be unreadable; they are left out, and the table says so (default: {MOST_DAMAGED})",
        group=PROOF, type=not_negative, metavar="N",
    )  # fmt: skip
    threads: int | None = flag(THREADS, group=PROOF, type=positive)
    json: Path | None = flag("also write the records to this file", group=PROOF, type=Path, metavar="FILE")
    number: int | None = flag(
        f"pictures to calibrate on (default: {CALIBRATION_PICTURES})",
        names="-n --number", group=PROOF, type=positive, metavar="N",
    )  # fmt: skip
    percentile: float | None = flag(
        f"as in `aethernet calibrate` (default: {PERCENTILE})", group=PROOF, type=float, metavar="P"
    )
    preset: Preset | None = flag(
        "as in `aethernet calibrate` (default: that of the target, ort for several targets)", group=PROOF
    )


@dataclass(frozen=True, kw_only=True)
class CardSettings:
    """Of weights alone."""

    datasets: Sequence[str] = flag(DATASETS, (), nargs="+", metavar="NAME")
    license_id: str | None = flag(LICENSE, names="--license", metavar="ID")
    against: str | None = flag(
        "for weights of stage qat or int8: the float weights that they came from, whose figures stand beside theirs", metavar="WEIGHTS"
    )  # fmt: skip
    experiment: Path | None = flag("its folder, if the checkpoint lies elsewhere", type=Path, metavar="DIR")
    name: str | None = flag("name of the files (default: such as aether_tiny_x4)")
    commit: str = flag("of the sources that trained it (default: of this checkout)", "", type=str)
    force: bool = flag("overwrite existing files", False, action="store_true")
