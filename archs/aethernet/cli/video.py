"""Videos in `aethernet upscale`: files, folders of frames, and a look at one frame before."""

import argparse
import glob
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aethernet.cli.upscaling import PIPE, open_upscaler, write_records
from aethernet.cli.video_options import CODING, FOR_PICTURES, FOR_VIDEO, coding, look, refuse
from aethernet.cli.video_pipes import from_a_pipe, is_y4m, to_a_pipe
from aethernet.cli.voice import Voice, computed, print_error, sentence
from aethernet.errors import AetherError, DataError, UsageError
from aethernet.wording import how_many

if TYPE_CHECKING:
    from aethernet.upscale.processes import Process
    from aethernet.upscale.video.film import Film
    from aethernet.upscale.video.run import FilmResult


def is_meant(args: argparse.Namespace) -> bool:
    """Whether the inputs are videos; raises `UsageError` for those that are both, and for options of the other kind."""
    from aethernet.upscale.video.film import ENDINGS
    from aethernet.upscale.video.streams import FORMATS

    args.inputs = [path for each in args.inputs for path in _matching(each, ENDINGS)]
    films = [each for each in args.inputs if Path(each).suffix.lower() in ENDINGS and not os.path.isdir(each)]
    if args.inputs == [PIPE]:
        films = [PIPE] if args.raw is not None or is_y4m(sys.stdin.buffer) else []
    elif args.raw is not None:
        raise UsageError("--raw says what the standard input is: give - as the input")
    elif len(args.inputs) == 1 and os.path.isdir(args.inputs[0]) and Path(args.out or "").suffix.lower() in FORMATS:
        films = args.inputs  # of frames
    if films and len(films) < len(args.inputs):
        raise UsageError("videos and pictures are enlarged by separate commands")
    refuse(
        args,
        FOR_PICTURES if films else FOR_VIDEO,
        "pictures, and the input is a video" if films else "videos, and no input is one",
    )
    return bool(films)


def _matching(given: str, endings: tuple[str, ...]) -> list[str]:
    """The videos of a pattern; other inputs as they are."""
    if not glob.has_magic(given) or os.path.lexists(given) or Path(given).suffix.lower() not in endings:
        return [given]
    found = sorted(glob.glob(given, recursive=True))
    if not found:
        raise DataError(f"no file matches {given}")
    return found


def run(args: argparse.Namespace) -> int:
    """The exit code is 1 where any video failed."""
    from aethernet.upscale.processes import this_process

    if args.inputs == [PIPE]:
        return from_a_pipe(args)
    if len(args.inputs) > 1 and args.out is not None and not (os.path.isdir(args.out) or args.out.endswith("/")):
        raise UsageError(
            f"-o {args.out} is one file, but {how_many(len(args.inputs), 'video')} were given: give a folder"
        )
    if args.out == PIPE:
        return to_a_pipe(args)
    process = this_process()
    records, failed = [], False
    for path in args.inputs:
        try:
            records.append(enlarge(args, path, process))
        except AetherError as error:
            if len(args.inputs) == 1:
                raise
            failed = True
            print_error(f"aethernet upscale: {error}")
            records.append({"source": path, "outcome": "failed", "problem": str(error)})
    if args.json:
        write_records(args.json, process.rank, {"videos": records})
    return 1 if failed else 0


def enlarge(args: argparse.Namespace, given: str, process: "Process") -> dict[str, Any]:
    from aethernet.upscale.known import find_film_model
    from aethernet.upscale.video.prepare import target_of
    from aethernet.upscale.video.streams import FORMATS

    film = look(args, given)
    model = find_film_model(args.model, args.scale, film.shown_rows, args.to_height)
    if args.preview is not None:
        return look_at_a_frame(args, film, model)
    if args.out is not None and "%" in Path(args.out).name and Path(args.out).suffix.lower() not in FORMATS:
        return into_frames(args, film, model, process)
    source = Path(given)
    target = Path(args.out) if os.path.isdir(source) else target_of(source, args.out, model.scale, args.suffix)
    return into_a_file(args, film, model, target, process)


def into_a_file(args: argparse.Namespace, film: "Film", model: Any, target: Path, process: "Process") -> dict[str, Any]:
    from aethernet.cli.progress import FrameBar, status
    from aethernet.upscale.summary import network_record
    from aethernet.upscale.video.prepare import open_film, prepare, present_frames
    from aethernet.upscale.video.run import run_film

    refuse(args, {"raw": None, "pipe_format": None}, "pipes")
    args = argparse.Namespace(**vars(args))  # the next video may have another engine
    voice = Voice(args.quiet or process.rank > 0)
    if process.count > 1 and target.exists() and not args.force:  # this one came late
        voice.say(f"{target}: there already")
        return {"source": str(film.path), "target": str(target), "outcome": "present"}
    with status(f"reading {film.path.name}", args.quiet):
        opened = open_film(film.path, target, force=args.force, film=film)
    prepared = prepare(opened, model.scale, coding(args), process=process, force=args.force)
    former = opened.parts.read_plan()
    if former is not None and args.engine == "auto" and not args.force:
        args.engine = former.get("engine", "auto")  # parts of two engines would differ in their last digits
    with status(f"opening {model.label}", args.quiet):
        upscaler = open_upscaler(args, model, process, opened.pixels)
    voice.say(sentence(upscaler))
    for note in prepared.notes:
        voice.say(f"{film.path}: {note}")
    if former is not None and (present := present_frames(prepared, upscaler)):
        voice.say(
            f"goes on: {present} of {how_many(len(opened.timeline.times), 'frame')} there, in {opened.parts.folder}"
        )
    try:
        with FrameBar(film.path.name, args.quiet or process.rank > 0) as bar:
            result = run_film(
                prepared, upscaler, force=args.force, process=process,
                progress=lambda done, total, tally: bar(done, total, tally.frames),
            )  # fmt: skip
    except KeyboardInterrupt:
        voice.say(f"interrupted: what is computed lies in {opened.parts.folder}; the same command goes on there")
        raise
    for note in result.notes[len(prepared.notes) :]:
        voice.say(f"{film.path}: {note}")
    voice.say(told(result))
    record = asdict(result) | {"source": str(film.path), "target": str(result.target)}
    return record | {"network": asdict(network_record(upscaler))}


def told(result: "FilmResult") -> str:
    """As `film_x2.mkv: 240 frames; 200 of them computed in 3 min 20 s, 1 a second (12 equal to the one before)`."""
    tally = result.tally
    if not tally.frames:
        return f"{result.target}: {how_many(result.frames, 'frame')}"
    return f"{result.target}: {how_many(result.frames, 'frame')}; {computed(tally, result.seconds)}"


def look_at_a_frame(args: argparse.Namespace, film: "Film", model: Any) -> dict[str, Any]:
    """`--preview`."""
    from aethernet.upscale.processes import Process
    from aethernet.upscale.upscaler import check_target
    from aethernet.upscale.video.decode import frame_at
    from aethernet.upscale.video.streaming import preview

    refuse(
        args,
        CODING | {"to_height": None, "raw": None, "pipe_format": None},
        "whole videos: leave it out with --preview",
    )
    target = Path(film.path.name).with_suffix("").name + "_preview.png"
    place = Path(args.out) if args.out is not None else Path(str(film.path)).parent / target
    if args.out is not None and (os.path.isdir(place) or args.out.endswith("/")):
        place = place / target
    if place.suffix.lower() != ".png":
        raise UsageError(f"-o {args.out}: a preview is a picture: give a file .png, or a folder")
    check_target(place, force=args.force)
    voice = Voice(args.quiet)
    frame = frame_at(film, args.preview)
    upscaler = open_upscaler(args, model, Process(), film.size[0] * film.size[1])
    voice.say(sentence(upscaler))
    for note in film.notes:
        voice.say(f"{film.path}: {note}")
    preview(upscaler, frame, place, film, name=model.label)
    shown = float(frame.time * film.time_base - film.begins)
    voice.say(f"{place}: the frame at {shown:.3f} s")
    return {"source": str(film.path), "target": str(place), "time": shown}


def into_frames(args: argparse.Namespace, film: "Film", model: Any, process: "Process") -> dict[str, Any]:
    """A video as pictures of a pattern such as frames/%06d.png; those that are there are passed over."""
    import time

    from aethernet.cli.progress import FrameBar
    from aethernet.upscale.claims import Claims
    from aethernet.upscale.video.decode import all_frames
    from aethernet.upscale.video.resize import result_size
    from aethernet.upscale.video.streaming import FrameFolder, check_pattern, stream_frames

    refuse(args, CODING | {"raw": None, "pipe_format": None}, "videos, and the results are pictures")
    pattern = Path(args.out)
    check_pattern(pattern)
    size = result_size(film.size, model.scale, args.to_height, turned=film.is_turned)
    voice = Voice(args.quiet or process.rank > 0)
    upscaler = open_upscaler(args, model, process, 0)
    voice.say(sentence(upscaler))
    for note in film.notes:
        voice.say(f"{film.path}: {note}")
    start = time.time()
    with Claims() as claims, FrameBar(film.path.name, args.quiet or process.rank > 0) as bar:
        sink = FrameFolder(pattern, film.layout.depth > 8, claims)
        wanted = (lambda number: args.force or sink.wanted(number)) if process.count == 1 else sink.wanted
        tally = stream_frames(
            all_frames(film), sink, upscaler, size, lambda tally: bar(tally.frames, None, tally.frames), wanted=wanted
        )  # fmt: skip
    voice.say(f"{pattern}: {computed(tally, time.time() - start).replace(' of them', ' frames')}")
    return {"source": str(film.path), "target": str(pattern), "frames": tally.frames}
