"""`aethernet data`: training pairs from a folder of pictures, the small set that needs no download, and a look at them."""

import argparse
from pathlib import Path

from aethernet.files import real_path
from aethernet.flags import not_negative, positive
from aethernet.wording import how_many

HELP = "prepare training pictures, write the embedded ones, or look at what a training will see"


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="data_command", required=True, metavar="ACTION")

    prepare = commands.add_parser("prepare", help="cut a folder of pictures into HR and bicubic LR sub-images")
    prepare.add_argument(
        "hr_dir", metavar="HR_DIR", type=Path, help="folder of high-resolution pictures, nested or not"
    )
    prepare.add_argument("out", metavar="OUT", type=Path, help="new folder, or one of an earlier run to go on with")
    prepare.add_argument("--scales", type=int, nargs="+", default=[2, 3, 4], metavar="S", help="default: 2 3 4")
    prepare.add_argument("--crop-size", type=int, default=480, metavar="N", help="side of a sub-image; default: 480")
    prepare.add_argument("--step", type=int, default=240, metavar="N", help="from one to the next; default: 240")
    prepare.add_argument("--no-crop", action="store_true", help="keep pictures whole, for validation and tests")
    prepare.add_argument(
        "--min-size", type=int, metavar="N", help="skip pictures with a shorter side; default: 4 times the multiple"
    )
    prepare.add_argument("--lmdb", action="store_true", help="also pack each folder into an LMDB")
    prepare.add_argument("--workers", type=int, metavar="N", help="pictures at a time; default: one for each core")

    embedded = commands.add_parser("embedded", help="write the photographs that scikit-image ships, with bicubic LR")
    embedded.add_argument("directory", metavar="DIR", type=Path, help="new folder, or one of an earlier call")
    embedded.add_argument("--scales", type=int, nargs="+", default=[2, 3, 4], metavar="S", help="default: 2 3 4")

    preview = commands.add_parser("preview", help="a sheet of training pairs: ground truth beside degraded input")
    preview.add_argument("-opt", required=True, metavar="FILE", help="the option file of a training")
    preview.add_argument("-n", type=positive, default=8, metavar="N", help="pairs; default: 8")
    preview.add_argument("-o", "--out", type=Path, required=True, metavar="PNG", help="the picture to write")
    preview.add_argument(
        "--seed", type=not_negative, default=0, metavar="N", help="other patches and strengths; default: 0"
    )


def run(args: argparse.Namespace) -> int:
    return {"prepare": _prepare, "embedded": _embedded, "preview": _preview}[args.data_command](args)


def _preview(args: argparse.Namespace) -> int:
    from aethernet.cli.progress import ProgressBars
    from aethernet.data.pictures import write_png
    from aethernet.errors import OutputError, one_line
    from aethernet.integrations.basicsr.preview import preview
    from aethernet.plots.pairs import sheet

    if args.out.suffix.lower() != ".png":
        raise OutputError(f"-o {args.out}: the sheet is written as PNG: give a name that ends in .png")
    with ProgressBars() as bars:
        seen = preview(args.opt, args.n, seed=args.seed, progress=bars.titled("degrading"))
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_png(args.out, sheet([(each.name, each.gt, each.lq) for each in seen.samples]))
    except OSError as error:
        raise OutputError(f"{args.out} cannot be written ({one_line(error)}): give another -o") from error
    print(
        f"wrote {args.out}: {len(seen.samples)} of {how_many(seen.pictures, 'picture')}, as {seen.dataset} and {seen.model} give them"
    )
    return 0


def _prepare(args: argparse.Namespace) -> int:
    from aethernet.cli.progress import ProgressBars
    from aethernet.data.prepare import Parameters, default_workers, prepare_folder

    parameters = Parameters(
        scales=tuple(args.scales),
        crop_size=None if args.no_crop else args.crop_size,
        step=args.step,
        min_size=args.min_size,
    )
    workers = default_workers() if args.workers is None else args.workers
    with ProgressBars() as bars:
        progress = bars.titled("preparing")
        summary = prepare_folder(args.hr_dir, args.out, parameters, lmdb=args.lmdb, workers=workers, progress=progress)
    print(
        f"{how_many(summary.written, 'picture')} prepared, {summary.skipped} finished before, {len(summary.failures)} unusable"
    )
    for notice, count in sorted(summary.notices.items()):
        print(f"  {notice}: {count}")
    for source, reason in summary.failures:
        print(f"  skipped {source}: {reason}")
    for source in summary.removed:
        print(f"  removed what was made of {source}, which is gone or can no longer be used")
    pictures = how_many(summary.pictures, "whole picture" if args.no_crop else "training picture")
    print(f"{pictures}; gt_size can be at most {summary.smallest_side}, the smallest side")
    place = "`val` (or `train`, `test_1`)" if args.no_crop else "`train`"
    print(f"For {place} below `datasets` in the option file:")
    out = real_path(args.out)
    _print_hints(parameters.lmdbs(out) if args.lmdb else summary.folders, "lmdb" if args.lmdb else "disk")
    return 0


def _embedded(args: argparse.Namespace) -> int:
    from aethernet.data.embedded import SPLITS, write_embedded

    written = write_embedded(args.directory, tuple(args.scales))
    root = real_path(args.directory)
    print(f"{how_many(written, 'file')} written below {root}" if written else f"{root} is complete, nothing to write")
    for split in SPLITS:
        print(f"\nFor `{split}` below `datasets` in the option file:")
        folder = root / split
        scales = sorted(set(args.scales))
        _print_hints({0: folder / "HR"} | {scale: folder / "LR_bicubic" / f"X{scale}" for scale in scales}, "disk")
    return 0


def _print_hints(folders: dict[int, Path], backend: str) -> None:
    """Prints the lines of an option file that name the data. `folders` maps scale -> folder, 0 being HR."""
    for scale, folder in folders.items():
        if scale:
            print(f"  # x{scale}")
            print(f"  dataroot_gt: {folders[0]}")
            print(f"  dataroot_lq: {folder}")
    print("  filename_tmpl: '{}'")
    print("  io_backend:")
    print(f"    type: {backend}")
