"""`aethernet bench speed`: time, memory and operation counts of models in several engines."""

import argparse

from aethernet.cli.bench.shared import publish
from aethernet.cli.progress import ProgressBars
from aethernet.flags import positive, size, with_options

HELP = "time, memory and operation counts of models in several engines"
MODEL_HELP = (
    "a variant such as aether_tiny_x4 (its packaged weights, else random ones), a weights file, an .onnx or .param file, or a "
    "network of spandrel such as 'spandrel:Compact(num_feat=32, num_conv=8, upscale=4)'"
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="+", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--size", type=size, default=(256, 256), metavar="HxW", help="input size (default: 256x256)")
    parser.add_argument(
        "--engines",
        nargs="+",
        metavar="ENGINE",
        help="eager channels_last compile bf16 onnxruntime openvino ncnn cuda cuda_fp16 (default: eager, "
        "onnxruntime and cuda, as far as they are here, and ncnn where a .param is given)",
    )
    parser.add_argument(
        "--no-memory", action="store_false", dest="memory", help="skip peak memory, which needs a process for each row"
    )
    parser.add_argument("--threads", type=positive, default=1, help="threads of every engine (default: %(default)s)")
    parser.add_argument("--rounds", type=positive, default=10, help="measured runs of each (default: %(default)s)")
    parser.add_argument("--warmup", type=positive, default=2, help="runs before that (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    from aethernet.bench.report import speed_markdown
    from aethernet.bench.speed import measure_speed

    with ProgressBars() as bars:
        report = with_options(measure_speed, args, progress=bars.titled("timing", "round"))
    return publish(args, report, speed_markdown(report))
