"""`aethernet bench`: quality and speed, as tables and as JSON."""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aethernet.cli.arguments import positive, size

HELP = "measure quality and speed, of this and of other networks"
MODEL_HELP = (
    "a variant such as aether_tiny_x4 (its packaged weights, else random ones), a weights file, an .onnx file, or a "
    "network of spandrel such as 'spandrel:Compact(num_feat=32, num_conv=8, upscale=4)'"
)


def configure(parser: argparse.ArgumentParser) -> None:
    from aethernet.cli import bench_arena, bench_plot

    commands = parser.add_subparsers(dest="bench", required=True, metavar="WHAT")
    for name, help_text, configure_one in (
        ("quality", "Y-PSNR and SSIM on folders of pictures", _configure_quality),
        ("speed", "time, memory and operation counts of models in several engines", _configure_speed),
        ("fusion", "fused against unfused speed, and what each branch costs in training", _configure_fusion),
        ("training", "time of a training iteration, and of a multiply-accumulate in it", _configure_training),
    ):
        subparser = commands.add_parser(name, help=help_text, description=help_text)
        configure_one(subparser)
        subparser.add_argument("--json", type=Path, metavar="FILE", help="also write the records to this file")
    for name, module in (("arena", bench_arena), ("plot", bench_plot)):
        module.configure(commands.add_parser(name, help=module.HELP, description=module.HELP))


def run(args: argparse.Namespace) -> int:
    """Measures, then writes the JSON file if asked for, then prints the Markdown table."""
    logging.getLogger("onnx_ir").setLevel(logging.WARNING)  # it tells of every constant that it shares
    if args.bench in ("arena", "plot"):
        from aethernet.cli import bench_arena, bench_plot

        return {"arena": bench_arena, "plot": bench_plot}[args.bench].run(args)
    runners = {"quality": _run_quality, "speed": _run_speed, "fusion": _run_fusion, "training": _run_training}
    return runners[args.bench](args)


def _configure_quality(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="packaged weights such as aether_tiny_x4, a weights file, an .onnx file, bicubic (on Y, as published), or "
        "bicubic_rgb (on the networks' path)",
    )
    parser.add_argument(
        "--sets", nargs="+", required=True, metavar="DIR", help="folders of high-resolution pictures, such as Set5"
    )
    parser.add_argument("--lr", nargs="+", default=(), metavar="DIR", help="ready-made inputs, one folder for each set")
    parser.add_argument("--scale", type=int, help="needed for bicubic alone; networks have their own")
    parser.add_argument("--device", default="cpu", help="PyTorch device for networks (default: %(default)s)")
    parser.add_argument("--threads", type=positive, help="threads (default: all)")
    parser.add_argument("--summary", action="store_true", help="print the means only, without every picture")


def _configure_speed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="+", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--size", type=size, default=(256, 256), metavar="HxW", help="input size (default: 256x256)")
    parser.add_argument(
        "--engines",
        nargs="+",
        metavar="ENGINE",
        help="eager channels_last compile bf16 onnxruntime openvino cuda cuda_fp16 (default: eager, onnxruntime and "
        "cuda, as far as they are here)",
    )
    parser.add_argument("--no-memory", action="store_true", help="skip peak memory, which needs a process for each row")
    _add_timing(parser)


def _configure_fusion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("variants", nargs="*", default=["small"], metavar="VARIANT", help="(default: small)")
    parser.add_argument("--scale", type=int, default=4, help="(default: %(default)s)")
    parser.add_argument("--size", type=size, default=(128, 128), metavar="HxW", help="input size (default: 128x128)")
    _add_patches(parser)
    _add_timing(parser)


def _configure_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="a variant such as aether_small_x4, or a network of others"
    )
    _add_patches(parser)
    _add_timing(parser)


def _add_patches(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch", type=positive, default=4, help="training patches (default: %(default)s)")
    parser.add_argument("--patch", type=positive, default=48, help="their low-resolution side (default: %(default)s)")


def _add_timing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=positive, default=1, help="threads of every engine (default: %(default)s)")
    parser.add_argument("--rounds", type=positive, default=10, help="measured runs of each (default: %(default)s)")
    parser.add_argument("--warmup", type=positive, default=2, help="runs before that (default: %(default)s)")


def _timing(args: argparse.Namespace) -> dict[str, int]:
    return {"threads": args.threads, "rounds": args.rounds, "warmup": args.warmup}


def _run_quality(args: argparse.Namespace) -> int:
    from aethernet.bench.report import quality_markdown
    from aethernet.bench.scores import measure_quality

    with ProgressBars() as bars:
        report = measure_quality(
            args.models,
            args.sets,
            scale=args.scale,
            lr=args.lr,
            device=args.device,
            threads=args.threads,
            progress=bars.titled,
        )
    return _publish(args, report, quality_markdown(report, pictures=not args.summary))


def _run_speed(args: argparse.Namespace) -> int:
    from aethernet.bench.report import speed_markdown
    from aethernet.bench.speed import measure_speed

    with ProgressBars() as bars:
        report = measure_speed(
            args.models,
            size=args.size,
            engines=args.engines,
            **_timing(args),
            memory=not args.no_memory,
            progress=bars.step,
        )
    return _publish(args, report, speed_markdown(report))


def _run_fusion(args: argparse.Namespace) -> int:
    from aethernet.bench.fusion import measure_fusion
    from aethernet.bench.report import fusion_markdown

    with ProgressBars() as bars:
        report = measure_fusion(
            args.variants,
            scale=args.scale,
            size=args.size,
            batch=args.batch,
            patch=args.patch,
            **_timing(args),
            progress=bars.step,
        )
    return _publish(args, report, fusion_markdown(report))


def _run_training(args: argparse.Namespace) -> int:
    from aethernet.bench.report import training_markdown
    from aethernet.bench.training import measure_training

    with ProgressBars() as bars:
        report = measure_training(
            args.models,
            batch=args.batch,
            patch=args.patch,
            **_timing(args),
            progress=bars.step,
        )
    return _publish(args, report, training_markdown(report))


def _publish(args: argparse.Namespace, report, markdown: str) -> int:
    from aethernet.bench.report import write_json

    if args.json:
        write_json(args.json, args.bench, report)
    print(markdown)
    return 0


class ProgressBars:
    """Progress on the standard error stream, so that the table alone can be redirected."""

    def __init__(self) -> None:
        self.bar: Any = None  # tqdm's, which is imported when needed
        self.title = ""

    def titled(self, title: str) -> Callable[[int, int, str], None]:
        """The callback of one pass over pictures."""

        def step(done: int, total: int, what: str) -> None:
            self._show(title, done, total, what)

        return step

    def step(self, done: int, total: int, what: str) -> None:
        """The callback of a timing; `what` is its phase."""
        self._show("memory" if what == "memory" else "timing", done, total, "" if what == "memory" else what)

    def _show(self, title: str, done: int, total: int, what: str) -> None:
        from tqdm import tqdm

        if self.bar is None or title != self.title or done <= self.bar.n:
            self.__exit__()
            self.bar, self.title = tqdm(total=total, desc=title, unit="", leave=False), title
        self.bar.set_postfix_str(what, refresh=False)
        self.bar.update(done - self.bar.n)

    def __enter__(self) -> "ProgressBars":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
