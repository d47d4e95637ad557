"""`aethernet upscale`: pictures and folders of pictures, enlarged. What it says goes to the standard error stream."""

import argparse
import contextlib
import io
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from aethernet.cli import video, video_options
from aethernet.cli.interruption import ended_like_interrupted
from aethernet.cli.upscaling import PIPE, open_upscaler, write_records
from aethernet.cli.voice import ENGINES, Voice, print_error, sentence, window_notes
from aethernet.errors import UsageError
from aethernet.flags import byte_size, not_negative, positive

if TYPE_CHECKING:
    from aethernet.runtimes.models import Model
    from aethernet.upscale.compare import Comparing
    from aethernet.upscale.pipeline import Result
    from aethernet.upscale.upscaler import Saving

HELP = "Enlarge pictures (files, folders with all that is below them, patterns, or - for a pipe) and videos."

NAMED = 10
"""Results up to this number are named one by one."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="a picture, a folder, a pattern in quotes, a video, or -"
    )
    parser.add_argument("-o", "--out", metavar="OUT", help="a folder, for a single picture also a file, or - (default: beside the input, as in photo_x4.jpg, photos_x4/)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="overwrite what exists; without it, folders skip and files refuse")  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="say nothing but what failed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what became of each picture to this file, or to the standard output (-)")  # fmt: skip
    network = parser.add_argument_group("network")
    network.add_argument("--model", metavar="NAME|FILE", help="packaged weights, .pth, .safetensors, .onnx or .param (default: the best in the package, for JPEG files one for photographs)")  # fmt: skip
    network.add_argument("--scale", type=positive, metavar="N", help="default: the model's own, or 4")
    network.add_argument("--engine", choices=("auto", *ENGINES), default="auto", help="default: the fastest that is right here")  # fmt: skip
    network.add_argument("--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, cuda:1")
    network.add_argument("--precision", choices=("auto", "fp32", "fp16", "bf16"), default="auto", help="of networks in PyTorch")  # fmt: skip
    network.add_argument("--threads", type=positive, metavar="N", help="of the processor (default: all)")
    files = parser.add_argument_group("results")
    files.add_argument("--format", choices=("png", "jpg", "webp", "tiff", "avif", "same"), default="same", help="default: the source's; PNG where that cannot hold the result")  # fmt: skip
    files.add_argument("--quality", type=percent, metavar="1-100", help="of JPEG, WebP (100: without loss) and AVIF")
    files.add_argument("--depth", choices=("8", "16", "same"), default="same", help="bits a sample (default: the source's)")  # fmt: skip
    files.add_argument("--suffix", type=str, metavar="TEXT", help="behind the names (default: _x4, by scale, for results beside their sources)")  # fmt: skip
    files.add_argument("--compare", action="store_true", help="also write a picture of bicubic and the network side by side, as in photo_x4_compare.png")  # fmt: skip
    files.add_argument("--original", type=Path, metavar="FILE|DIR", help="what was reduced, for the comparison, with PSNR")  # fmt: skip
    windows = parser.add_argument_group("windows, in which large pictures are computed")
    windows.add_argument("--tile", type=tile, default="auto", metavar="auto|N", help="pixels a side at most; the result is the same (default: by memory)")  # fmt: skip
    windows.add_argument("--halo", type=not_negative, metavar="N", help="pixels around a window (default: what the network sees)")  # fmt: skip
    windows.add_argument("--passes", type=positive, default=2, metavar="N", help="over a picture before channel attention computes it in windows; more are more exact (default: 2)")  # fmt: skip
    windows.add_argument("--memory", type=byte_size, metavar="SIZE", help="of main memory to stay within, such as 4G or 800M (default: half of what is free)")  # fmt: skip
    video_options.configure(parser)


def percent(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 100")
    return int(text)


def tile(text: str) -> int | str:
    return text if text == "auto" else positive(text)


def run(args: argparse.Namespace) -> int:
    """The exit code is 1 where any picture failed."""
    from aethernet.machine import forget_former_sizes, keep_freed_memory

    keep_freed_memory()
    forget_former_sizes()
    with ended_like_interrupted():
        if video.is_meant(args):
            return video.run(args)
        return through_a_pipe(args) if PIPE in args.inputs or args.out == PIPE else enlarge(args)


def enlarge(args: argparse.Namespace) -> int:
    from aethernet.cli.progress import PictureBar, status
    from aethernet.upscale.folders import find, plan_tasks
    from aethernet.upscale.known import by_model, find_model
    from aethernet.upscale.pipeline import settle, upscale_tasks
    from aethernet.upscale.processes import this_process
    from aethernet.upscale.summary import network_record, summarize

    start = time.time()
    if args.original is not None and not os.path.exists(args.original):
        raise UsageError(f"--original {args.original}: there is no such file or folder")
    process = this_process()
    voice = Voice(args.quiet or process.rank > 0)
    with status("looking for pictures", args.quiet):
        found = find(args.inputs, args.out)
        model = find_model(args.model, args.scale)
        tasks = plan_tasks(found, model.scale, args.out, saving=saving_of(args), suffix=args.suffix, force=args.force)
        since = start if args.force else None
        results, rest = settle(tasks, since=since, process=process)
    if len(tasks) < len(found):
        voice.say(f"left out: {len(found) - len(tasks)} that are results of the others, or were given twice")
    networks, seconds = [], 0.0
    for fitting, places in by_model(model, [task.header for task in rest], chosen=args.model is not None):
        group = [rest[place] for place in places]
        with status(f"opening {fitting.label}", args.quiet):
            upscaler = open_upscaler(args, fitting, process, sum(task.pixels for task in group))
        networks.append(network_record(upscaler))
        voice.say(sentence(upscaler) + photograph_note(fitting, model))
        computing = time.time()
        with PictureBar(group, args.quiet or process.rank > 0) as bar:
            voice.write = bar.write
            made = upscale_tasks(
                upscaler, group, saving=saving_of(args), since=since, process=process, progress=bar.picture,
                beside=comparing(args, fitting.label),
            )  # fmt: skip
            with contextlib.closing(made):  # interrupted here, too, it writes what was computed and gives claims back
                for result in made:
                    bar.finished(result.task)
                    voice.tell(upscaler, result, len(tasks) <= NAMED)
                    results.append(result)
        voice.write = print_error
        seconds += time.time() - computing
    summary = summarize(model.scale, networks, results, seconds)
    voice.repeat()
    prefix = f"process {process.rank}: " if process.count > 1 else ""
    if not args.quiet and (len(tasks) > 1 or "present" in summary.counts):
        print_error(f"{prefix}{summary.sentence()}")
    code = tell_failures(results, prefix)
    if args.json:
        write_records(args.json, process.rank, summary)
    return code


def photograph_note(fitting: "Model", model: "Model") -> str:
    """Why a JPEG file has another network than the others, and how to have the same."""
    return "" if fitting.label == model.label else f"; for JPEG, or give --model {model.label}"


def comparing(args: argparse.Namespace, name: str) -> "Comparing | None":
    if not args.compare and args.original is None:
        return None
    from aethernet.upscale.compare import Comparing  # scikit-image's measures take a second to import

    return Comparing(name, args.original, force=args.force)


def tell_failures(results: "list[Result]", prefix: str) -> int:
    """The exit code."""
    failed = [result for result in results if result.outcome == "failed"]
    for result in failed:
        kind = "" if len(failed) > 1 else "error: "
        print_error(f"{prefix}aethernet upscale: {kind}{result.task.source}: {result.problem}")
    if any(result.outcome == "left" for result in results):
        print_error("aethernet upscale: error: the disk is full: make room and run it again, which does what is left")
    return 1 if failed else 0


def saving_of(args: argparse.Namespace) -> "Saving":
    from aethernet.upscale.upscaler import Saving

    return Saving(args.format, args.quality, "same" if args.depth == "same" else int(args.depth))


def through_a_pipe(args: argparse.Namespace) -> int:
    """One picture from the standard input or a file, to the standard output or a file."""
    from aethernet.data.picture.formats import check_quality
    from aethernet.data.picture.header import read_header
    from aethernet.upscale.known import by_model, find_model
    from aethernet.upscale.processes import Process

    if args.suffix is not None or args.json is not None or args.compare or args.original is not None:
        raise UsageError("--suffix, --json, --compare and --original are for files: leave them out with -")
    target = None if args.out in (None, PIPE) else args.out
    saving = saving_of(args) if target is None else saving_to(target, args)
    check_quality(saving.quality, saving.format)
    if target is None and sys.stdout.isatty():
        raise UsageError("the picture would go to the terminal: send it to a file or a program, or give -o FILE")
    source = piped(args.inputs)
    header = read_header(io.BytesIO(source) if isinstance(source, bytes) else source)
    found = find_model(args.model, args.scale)
    ((model, _),) = by_model(found, [header], chosen=args.model is not None)
    upscaler = open_upscaler(args, model, Process(), 0 if header is None else header.pixels)
    voice = Voice(args.quiet)
    voice.say(sentence(upscaler) + photograph_note(model, found))
    stream = sys.stdout.buffer
    notes = upscaler.file(source, target or stream, saving=saving, force=args.force)
    try:
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again at its end
        print_error(f"aethernet upscale: error: the output cannot be written: {error.strerror}")
        return 1
    for note in [*notes, *upscaler.report.notes, *window_notes(upscaler, upscaler.report).values()]:
        voice.say(note)
    return 0


def saving_to(target: str, args: argparse.Namespace) -> "Saving":
    """How what comes through a pipe is written to a file."""
    from dataclasses import replace

    from aethernet.upscale.outputs import format_of
    from aethernet.upscale.upscaler import check_target

    if os.path.isdir(target) or target.endswith(("/", os.sep)):
        raise UsageError(f"what comes through a pipe has no name: give a file in {target}")
    saving, kind = saving_of(args), format_of(Path(target))
    if saving.format not in ("same", kind):
        raise UsageError(f"-o {target} and --format {saving.format} are two formats: leave one of them out")
    check_target(target, force=args.force)
    return replace(saving, format=kind)


def piped(inputs: list[str]) -> bytes | Path:
    """The one picture that goes through a pipe: what comes from the standard input, or a file."""
    from aethernet.data.picture.decoding import file_bytes
    from aethernet.data.picture.reading import MOST_PIXELS
    from aethernet.upscale.inputs import find_inputs

    if PIPE in inputs:
        if len(inputs) > 1:
            raise UsageError("- stands for one picture: give no other input")
        return file_bytes(sys.stdin.buffer, MOST_PIXELS)
    found = find_inputs(inputs)
    if len(found) > 1:
        raise UsageError(f"-o - is for one picture, but {len(found)} were found: give a folder")
    return found[0].path
