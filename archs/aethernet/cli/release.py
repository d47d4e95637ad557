"""`aethernet release`: one checkpoint in, a folder of verified files out."""

import argparse
from pathlib import Path

from aethernet.cli.arguments import note, positive, size, with_options
from aethernet.cli.interruption import ended_like_interrupted
from aethernet.verify.budget import MAX_DROP

HELP = "Write, verify and time every file of a network: weights, ONNX fp32, fp16 and int8, a model card, report.html."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", metavar="WEIGHTS", help="float weights (.pth, .safetensors), or packaged ones")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR",
        help="folders of high-resolution pictures that every file is verified on",
    )  # fmt: skip
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="OUT",
        help="the bundle's folder; an earlier bundle is replaced",
    )
    parser.add_argument("--name", help="of the files (default: such as aether_tiny_x4)")
    parser.add_argument("--key", help="entry of a BasicSR checkpoint (default: params_ema, else params)")
    parser.add_argument("-n", "--number", dest="pictures", type=positive, metavar="N", help="pictures to verify on, spread evenly (default: all)")  # fmt: skip
    int8 = parser.add_argument_group("int8")
    int8.add_argument("--qat", metavar="FILE", help="a qat-stage checkpoint that was made of WEIGHTS")
    int8.add_argument("--calibration", type=Path, nargs="+", default=[], metavar="DIR",
                      help="without --qat: folders to calibrate on (default: those of --data)")  # fmt: skip
    int8.add_argument("--preset", default="ort", help="without --qat: what is int8 (default: ort)")
    int8.add_argument("--max-drop", type=float, default=MAX_DROP, metavar="DB",
                      help=f"PSNR that an int8 file may lose on the mean (default: {MAX_DROP} dB)")  # fmt: skip
    speed = parser.add_argument_group("speed")
    speed.add_argument("--size", type=size, default=(128, 128), metavar="HxW",
                       help="low-resolution picture that is timed, with one thread (default: 128x128)")  # fmt: skip
    speed.add_argument("--rounds", type=positive, default=7, metavar="N", help="timed runs of each file (default: 7)")
    speed.add_argument("--threads", type=positive, metavar="N", help="threads of the verification (default: all)")
    speed.add_argument("--trt-shapes", type=size, nargs=3, metavar=("MIN", "OPT", "MAX"),
                       help="low-resolution sizes for TensorRT (default: 16x16 540x960 1080x1920)")  # fmt: skip
    card = parser.add_argument_group("model card", "what is not given is taken from the experiment's folder, or from the header "
                                     "of WEIGHTS")  # fmt: skip
    card.add_argument(
        "--data-note", type=note, metavar="TEXT|FILE", help="the training data and what its licence allows"
    )
    card.add_argument("--datasets", nargs="+", default=(), metavar="NAME", help="names of the training data for hubs")
    card.add_argument(
        "--license", dest="license_id", metavar="ID", help="of the weights (default: other, research use)"
    )
    card.add_argument("--experiment", type=Path, metavar="DIR", help="its folder, if WEIGHTS lies elsewhere")


def run(args: argparse.Namespace) -> int:
    """Prints what the bundle holds; the exit code is 1 when a file failed its gate."""
    from aethernet.cli.progress import ProgressBars
    from aethernet.release import Settings, release
    from aethernet.release.tensorrt import Shapes

    args.shapes = Shapes(*args.trt_shapes or ())
    with ended_like_interrupted(), ProgressBars() as bars:
        released = release(args.weights, args.data, args.out, with_options(Settings, args), bars.titled)
    report = released.report
    width = max(len(record.file) for record in report.files)
    for record in report.files:
        runtimes = ", ".join(check.runtime for check in record.checks)
        verdict = (
            f"passed ({record.budget}; {runtimes})" if record.passed else f"FAILED, not in the bundle: {record.problem}"
        )
        print(f"{record.file:<{width}}  {record.bytes / 1e6:6.2f} MB  {verdict}")
    print(f"\n{len(report.held)} of {len(report.files)} files passed on {len(report.pictures)} pictures")
    print(f"report: {released.folder / 'report.html'}")
    if not report.passed:
        kept = released.folder.name != args.out.resolve().name
        print(f"{args.out} is the earlier bundle, untouched" if kept else f"{args.out} lacks the files that failed")
    if not released.data_is_stated:
        print("the model card names no training data: give --data-note")
    return 0 if report.passed else 1
