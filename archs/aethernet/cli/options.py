"""`aethernet options`: the commented option files for BasicSR, traiNNer-redux and neosr, one or all of them."""

import argparse
import contextlib
from pathlib import Path
from typing import Any

HELP = "write an option file: training, GAN training, int8 fine-tuning or testing of a variant"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("variant", nargs="?", metavar="VARIANT", help="tiny, small, medium or large")
    parser.add_argument("scale", nargs="?", metavar="SCALE", help="2, 3 or 4")
    parser.add_argument(
        "stage",
        nargs="?",
        metavar="STAGE",
        help="train, gan, qat, test or distill; real, real_gan or real_qat (inputs degraded during training); trainner/fidelity, "
        "trainner/gan, trainner/qat, trainner/otf_fidelity, trainner/otf_gan, neosr, neosr/gan or neosr/qat for these trainers",
    )
    parser.add_argument("-o", "--out", default="-", metavar="FILE", help="the file to write (default: -, the screen)")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    parser.add_argument(
        "--set",
        nargs="+",
        default=(),
        metavar="FIELD=VALUE",
        help="other numbers than the recipe's, such as total_iter=20000 batch=16 lq_size=48; what follows from them "
        "(schedule, warm-up, norm freezing) follows suit. GAN files without the perceptual loss: perceptual=false; with "
        "VGG19 from another place: perceptual=FILE",
    )
    parser.add_argument("--all", type=Path, metavar="DIR", help="write every option file below DIR, over those there")


def run(args: argparse.Namespace) -> int:
    from aethernet.errors import OutputError, UsageError
    from aethernet.files import write_text
    from aethernet.training.recipes import OTHER_TRAINERS, SCALES, STAGES, VARIANT_NAMES, all_files, render, write_all

    names = (args.variant, args.scale, args.stage)
    if args.all is not None:
        if any(names) or args.out != "-" or args.set:
            raise UsageError("--all DIR writes every file: give no VARIANT SCALE STAGE, no -o and no --set with it")
        for path in (changed := write_all(args.all)):
            print(path)
        print(f"{len(all_files())} option files below {args.all}: {len(changed)} written, the others were up to date")
        return 0
    if not all(names):
        raise UsageError(
            f"give VARIANT SCALE STAGE, such as `small 4 train`, or --all DIR. Variants: {', '.join(VARIANT_NAMES)}; "
            f"scales: {', '.join(map(str, SCALES))}; stages: {', '.join((*STAGES, *OTHER_TRAINERS))}"
        )
    scale = args.scale.removeprefix("x")
    name = None if args.out == "-" else Path(args.out).as_posix()
    assignments = [_assignment(text) for text in args.set]
    changes: dict[str, Any] = dict(assignments)
    if len(changes) < len(assignments):
        twice = next(name for name in changes if [each for each, _ in assignments].count(name) > 1)
        raise UsageError(f"--set gives {twice} twice: keep one of them")
    text = render(args.variant, int(scale) if scale.isdecimal() else args.scale, args.stage, path=name, **changes)
    if name is None:
        print(text, end="")
        return 0
    path = Path(args.out)
    if path.exists() and not args.force:
        raise OutputError(f"{path} exists: give another -o, or --force to overwrite it")
    write_text(path, text)
    print(f"wrote {path}")
    return 0


def _assignment(text: str) -> tuple[str, object]:
    """`batch=16` as a name and a value, read as YAML reads it; `2e-3` is a number here, too, and `None` is `~`."""
    import yaml

    from aethernet.errors import UsageError

    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise UsageError(f"--set {text}: write FIELD=VALUE, such as batch=16")
    if value.lower() == "none":
        return name, None
    if "e" in value.lower():
        with contextlib.suppress(ValueError):
            number = float(value)
            return name, int(number) if number.is_integer() else number
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return name, value
    return name, read if read is None or isinstance(read, bool | int | float) else value
