"""`aethernet demo`: train, resume, test, quantise and release a small network on embedded pictures, and show what came out."""

import argparse
from pathlib import Path

from aethernet.wording import how_many

HELP = "Train, resume, test, quantise and release a small network on embedded pictures (a few minutes on a CPU)."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("results/demo"), help="folder to write (default: results/demo)"
    )
    parser.add_argument("--scale", type=int, default=2, choices=(2, 3, 4))
    parser.add_argument("--iterations", type=int, default=900, help="of training (default: 900, about two minutes)")


def run(args: argparse.Namespace) -> int:
    import time

    from aethernet.cli.progress import ProgressBars
    from aethernet.demo import run_demo
    from aethernet.errors import UsageError

    if args.iterations < 60:
        raise UsageError(f"--iterations must be at least 60, not {args.iterations}")
    if args.out.is_dir() and any(args.out.iterdir()):
        archived = args.out.with_name(f"{args.out.name}_archived_{time.strftime('%Y%m%d_%H%M%S')}")
        args.out.rename(archived)
        print(f"{args.out} existed and was renamed to {archived}")
    with ProgressBars(leave=True) as bars:
        result = run_demo(args.out, scale=args.scale, iterations=args.iterations, progress=bars.titled)
    print(
        f"\nx{args.scale}, mean over {how_many(len(result.pictures), 'photograph')} kept from training: {', '.join(result.pictures)}\n"
    )
    print(f"{'stage':<18}{'PSNR (Y)':>10}{'SSIM (Y)':>10}{'params':>10}{'ms PyTorch':>12}{'ms ONNX':>10}{'file':>10}")
    for row in result.rows:
        params = f"{row.params:,}" if row.params else "-"
        ms = f"{row.ms_256:.0f}" if row.ms_256 else "-"
        onnx = f"{row.ms_onnx:.0f}" if row.ms_onnx else "-"
        size = f"{row.file_bytes / 1e6:.2f} MB" if row.file_bytes else "-"
        print(f"{row.stage:<18}{row.psnr:>7.2f} dB{row.ssim:>10.4f}{params:>10}{ms:>12}{onnx:>10}{size:>10}")
    print(f"\n{result.conditions.sentence()}")
    print("256x256 pictures; PyTorch with all threads, ONNX Runtime with one")
    print("fused equals unfused: the same figures, see release/release.log for the largest differences")
    for kind, path in result.files.items():
        print(f"{kind + ':':<12}{path}")
    for problem in result.problems:
        print(f"FAILED: {problem}")
    return 1 if result.problems else 0
