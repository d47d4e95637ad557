"""The same weights enlarge one picture in several ways: in one piece, in our windows, and in the tiles of other programs.

    python docs/upscaling.py PICTURE [--models aether_tiny_x4 FILE ... --size 1000x1000 --tile 512 --rounds 5 --threads 1]

The tiles of others are written anew here, from what their public code does (Real-ESRGAN 2024-04, chaiNNer 2026-02, ComfyUI's
ImageUpscaleWithModel), and get the same engine, so that only the cutting and joining differs. All ways take turns. The first
model is timed, in PyTorch, in ONNX Runtime and as int8; all are looked at for seams. Beside the time stands the part of it that
passed outside the network: of the same run, so that a machine whose speed wavers does not disturb it. docs/upscale.md has the
outcome.
"""

import argparse
import functools
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from aethernet.bench.timing import Timing, time_in_turn
from aethernet.conditions import measurement_conditions
from aethernet.data.pictures import middle, read_rgb, write_png
from aethernet.quality.evaluation import from_batch, to_batch
from aethernet.runtimes.session import Session
from aethernet.tables import markdown_table
from aethernet.upscale import Upscaler, upscale_files

BAND = 8
"""Input pixels on both sides of a border between tiles that are looked at for seams."""
REAL_ESRGAN_PAD, CHAINNER_OVERLAP, COMFYUI_OVERLAP = 10, 16, 32
WHOLE = 10**6
"""A tile that no picture reaches."""


class Clock:
    """How long a session computes."""

    def __init__(self, session: Session) -> None:
        self.seconds, run = 0.0, session.run

        def clocked(batch: np.ndarray) -> np.ndarray:
            start = time.perf_counter()
            out = run(batch)
            self.seconds += time.perf_counter() - start
            return out

        session.run = clocked  # type: ignore[method-assign]


@dataclass
class Run:
    """What is timed, and after each call how much longer it took than the network alone within it: 0.05 is 5 % more."""

    run: Callable[[], object]
    clock: Clock
    outside: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        self.clock.seconds, start = 0.0, time.perf_counter()
        self.run()
        self.outside.append((time.perf_counter() - start) / self.clock.seconds - 1)

    @property
    def more(self) -> str:
        return f"{100 * float(np.median(self.outside)):.1f} %"


@dataclass(frozen=True)
class Way:
    """A way to enlarge: (H, W, 3) uint8 -> (scale H, scale W, 3) uint8, with its borders between tiles, (rows, columns)."""

    name: str
    enlarge: Callable[[np.ndarray], np.ndarray]
    clock: Clock
    at: tuple[Sequence[int], ...] = ((), ())

    @property
    def borders(self) -> tuple[Sequence[int], ...]:
        """After it has enlarged."""
        if not isinstance(self.enlarge, Upscaler):
            return self.at
        plan = self.enlarge.report.plan
        assert plan is not None
        return [span.first for span in plan.rows[1:]], [span.first for span in plan.columns[1:]]


def real_esrgan(session: Session, scale: int, tile: int, img: np.ndarray) -> np.ndarray:
    """Tiles on a grid, each with 10 pixels around it as far as there are any; what lies beyond the tile is cut off."""
    x = to_batch(img, 3)
    height, width = img.shape[:2]
    out = np.empty((1, 3, height * scale, width * scale), np.float32)
    for top, left in itertools.product(range(0, height, tile), range(0, width, tile)):
        bottom, right = min(top + tile, height), min(left + tile, width)
        above, before = max(0, top - REAL_ESRGAN_PAD), max(0, left - REAL_ESRGAN_PAD)
        part = session.run(
            np.ascontiguousarray(x[:, :, above : bottom + REAL_ESRGAN_PAD, before : right + REAL_ESRGAN_PAD])
        )
        rows = slice((top - above) * scale, (bottom - above) * scale)
        columns = slice((left - before) * scale, (right - before) * scale)
        out[:, :, top * scale : bottom * scale, left * scale : right * scale] = part[:, :, rows, columns]
    return from_batch(out)


def chainner(session: Session, scale: int, tile: int, img: np.ndarray) -> np.ndarray:
    """Equal tiles that overlap by 16 pixels on each side, blended there by half a sine."""

    def weights(start: int, stop: int, length: int) -> np.ndarray:
        own = np.ones((stop - start) * scale, np.float32)
        blended = 2 * CHAINNER_OVERLAP * scale
        rise = (1 - np.cos(np.pi * (np.arange(blended) + 0.5) / blended)).astype(np.float32) / 2
        if start > 0:
            own[:blended] *= rise[: len(own)]
        if stop < length:
            own[-blended:] *= rise[::-1][-len(own) :]
        return own

    return blended(session, scale, img, *[
        [(max(0, first - CHAINNER_OVERLAP), min(length, last + CHAINNER_OVERLAP))
         for first, last in itertools.pairwise(equal_bounds(length, tile))]
        for length in img.shape[:2]
    ], weights)  # fmt: skip


def comfyui(session: Session, scale: int, tile: int, img: np.ndarray) -> np.ndarray:
    """Tiles that overlap by 32 pixels, each fading out linearly on all its sides, divided by the sum of the weights."""

    def weights(start: int, stop: int, length: int) -> np.ndarray:
        own = np.ones((stop - start) * scale, np.float32)
        feather = min(COMFYUI_OVERLAP * scale, len(own))
        rise = (np.arange(feather, dtype=np.float32) + 1) / feather
        own[:feather] *= rise
        own[-feather:] *= rise[::-1]
        return own

    return blended(session, scale, img, *[
        [(start, min(start + tile, length))
         for start in range(0, max(1, length - COMFYUI_OVERLAP), tile - COMFYUI_OVERLAP)]
        for length in img.shape[:2]
    ], weights)  # fmt: skip


def blended(
    session: Session,
    scale: int,
    img: np.ndarray,
    rows: Sequence[tuple[int, int]],
    columns: Sequence[tuple[int, int]],
    weights: Callable[[int, int, int], np.ndarray],
) -> np.ndarray:
    """Tiles added up by weights, and divided by their sum."""
    x = to_batch(img, 3)
    height, width = img.shape[:2]
    total = np.zeros((1, 3, height * scale, width * scale), np.float32)
    sums = np.zeros((height * scale, width * scale), np.float32)
    for (top, bottom), (left, right) in itertools.product(rows, columns):
        weight = weights(top, bottom, height)[:, None] * weights(left, right, width)
        place = np.s_[top * scale : bottom * scale, left * scale : right * scale]
        total[(..., *place)] += session.run(np.ascontiguousarray(x[:, :, top:bottom, left:right])) * weight
        sums[place] += weight
    return from_batch(total / sums)


def equal_bounds(length: int, tile: int) -> list[int]:
    count = -(-length // tile)
    return [number * length // count for number in range(count + 1)]


def ways(model: str, engine: str, img: np.ndarray, tile: int, threads: int) -> list[Way]:
    """The bare network first."""
    height, width = img.shape[:2]
    own = {name: Upscaler(model, engine, tile=side, threads=threads)
           for name, side in (("whole", WHOLE), ("auto", "auto"), ("tile", tile))}  # fmt: skip
    clocks = {name: Clock(upscaler.choice.session) for name, upscaler in own.items()}
    clock, session, scale = clocks["whole"], own["whole"].choice.session, own["whole"].scale
    batch = to_batch(img, 3)
    cut, equalised = tile - 2 * REAL_ESRGAN_PAD, tile - 2 * CHAINNER_OVERLAP  # what is left of windows of one size
    grid = tuple(range(cut, length, cut) for length in (height, width))
    equal = tuple(equal_bounds(length, equalised)[1:-1] for length in (height, width))
    step = tile - COMFYUI_OVERLAP
    steps = tuple(range(step + COMFYUI_OVERLAP // 2, length - COMFYUI_OVERLAP // 2, step) for length in (height, width))

    def bare(_: np.ndarray) -> np.ndarray:
        return session.run(batch)

    return [
        Way("bare network, floats in memory", bare, clock),
        Way("AetherNet, in one piece", own["whole"], clock),
        Way("AetherNet, windows it chooses", own["auto"], clocks["auto"]),
        Way(f"AetherNet, windows of {tile}", own["tile"], clocks["tile"]),
        Way("as Real-ESRGAN, 10 around, cut", functools.partial(real_esrgan, session, scale, cut), clock, grid),
        Way("as chaiNNer, 16 around, half-sine", functools.partial(chainner, session, scale, equalised), clock, equal),
        Way("as ComfyUI, overlap 32, linear", functools.partial(comfyui, session, scale, tile), clock, steps),
    ]


def seam(out: np.ndarray, whole: np.ndarray, borders: tuple[Sequence[int], ...], scale: int) -> tuple[int, float]:
    """The largest difference anywhere, and the mean in bands around the borders, in levels."""
    difference = np.abs(out.astype(np.int16) - whole)
    near = np.zeros(out.shape[:2], bool)
    for axis, places in enumerate(borders):
        for place in places:
            band = slice(max(0, place - BAND) * scale, (place + BAND) * scale)
            near[band if axis == 0 else (slice(None), band)] = True
    return int(difference.max()), float(difference[near].mean()) if near.any() else 0.0


def seam_rows(model: str, engine: str, img: np.ndarray, tile: int, threads: int) -> list[list[str]]:
    bare, whole, *tiled = ways(model, engine, img, tile, threads)
    scale = whole.enlarge(img[:16, :16]).shape[0] // 16
    expected = whole.enlarge(img)
    assert np.array_equal(expected, from_batch(bare.enlarge(img))), (
        "enlarged in one piece, it is the network's own result"
    )
    rows = []
    for way in tiled:
        most, mean = seam(way.enlarge(img), expected, way.borders, scale)
        rows.append([Path(model).name, engine, way.name, str(most), f"{mean:.4f}"])
    return rows


def int8_of(model: str) -> str | None:
    """The packaged int8 weights beside packaged ones."""
    return f"{model}_int8" if not Path(model).suffix else None


def timed(names: Sequence[str], runs: Sequence[Callable[[], object]], rounds: int, threads: int) -> list[Timing]:
    print(f"timing {', '.join(names)}", flush=True)
    return time_in_turn(runs, rounds=rounds, warmup=1, threads=threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "picture", type=Path, metavar="PICTURE", help="repeated, mirrored, where it is smaller than the size"
    )
    parser.add_argument("--models", nargs="+", default=["aether_tiny_x4"], metavar="MODEL")
    parser.add_argument("--size", default="1000x1000", metavar="WxH")
    parser.add_argument(
        "--tile", type=int, default=512, help="side of a window with all that is around it, in every way"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=8, help="in the folder")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    width, height = (int(side) for side in args.size.split("x"))
    img = read_rgb(args.picture)[0]
    below, right = max(0, height - img.shape[0]), max(0, width - img.shape[1])
    img = np.ascontiguousarray(middle(np.pad(img, ((0, below), (0, right), (0, 0)), mode="symmetric"), height, width))

    model = args.models[0]
    int8 = int8_of(model)
    engines = [(model, "torch"), (model, "onnxruntime"), *([(int8, "onnxruntime")] if int8 else [])]
    rows = []
    for spec, engine in engines:
        found = ways(spec, engine, img, args.tile, args.threads)
        runs = [Run(functools.partial(way.enlarge, img), way.clock) for way in found]
        timings = timed([way.name for way in found], runs, args.rounds, args.threads)
        rows += [
            [spec, engine, way.name, f"{timing.median_ms:.0f}", f"{timing.ratio:.3f}", run.more]
            for way, run, timing in zip(found, runs, timings, strict=True)
        ]
    header = ["weights", "engine", "way", "ms", "ratio to bare", "outside the network"]
    print(f"\n{markdown_table(header, rows)}\n", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        rows = file_rows(engines, img, Path(folder), args) + folder_rows(engines, img, Path(folder), args)
    header = ["weights", "engine", "files", "ms", "ratio to the first", "outside the network"]
    print(f"\n{markdown_table(header, rows)}\n", flush=True)

    rows = list(itertools.chain.from_iterable(
        seam_rows(spec, engine, img, args.tile, args.threads)
        for spec, engine in [*engines, *((other, "torch") for other in args.models[1:])]
    ))  # fmt: skip
    header = ["weights", "engine", "tiles", "largest difference, levels", f"mean within {BAND} pixels of borders"]
    print(f"{markdown_table(header, rows)}\n")
    size = f"{width}x{height}, windows of {args.tile}, medians of {args.rounds} rounds in turn"
    print(measurement_conditions(threads=args.threads, precision="fp32 and int8", size=size).sentence())


def file_rows(
    engines: Sequence[tuple[str, str]], img: np.ndarray, folder: Path, args: argparse.Namespace
) -> list[list[str]]:
    """One picture from PNG to PNG, int8 and PyTorch against ONNX Runtime in float32."""
    source = folder / "picture.png"
    write_png(source, img)
    ordered = sorted(engines, key=lambda pair: pair != (args.models[0], "onnxruntime"))
    upscalers = [Upscaler(spec, engine, threads=args.threads) for spec, engine in ordered]
    runs = [
        Run(
            functools.partial(upscaler.file, source, folder / f"{number}.png", force=True),
            Clock(upscaler.choice.session),
        )
        for number, upscaler in enumerate(upscalers)
    ]
    timings = timed([f"{engine} from file to file" for _, engine in ordered], runs, args.rounds, args.threads)
    return [
        [spec, engine, "one picture, PNG to PNG", f"{timing.median_ms:.0f}", f"{timing.ratio:.3f}", run.more]
        for (spec, engine), run, timing in zip(ordered, runs, timings, strict=True)
    ]


def folder_rows(
    engines: Sequence[tuple[str, str]], img: np.ndarray, folder: Path, args: argparse.Namespace
) -> list[list[str]]:
    """A folder of parts of the picture, half as wide and high, against the bare network on the same parts in memory."""
    parts = [
        np.roll(img, 37 * number, (0, 1))[: img.shape[0] // 2, : img.shape[1] // 2] for number in range(args.pictures)
    ]
    for number, part in enumerate(parts):
        write_png(folder / "in" / f"{number}.png", np.ascontiguousarray(part))
    batches = [to_batch(part, 3) for part in parts]
    rows, outs = [], itertools.count()
    for spec, engine in engines:
        upscaler = Upscaler(spec, engine, threads=args.threads)

        clock = Clock(upscaler.choice.session)

        def alone(session: Session = upscaler.choice.session) -> None:
            for batch in batches:
                session.run(batch)

        def files(upscaler: Upscaler = upscaler) -> None:
            results = list(upscale_files(upscaler, [folder / "in"], folder / f"out{next(outs)}"))
            assert {result.outcome for result in results} == {"enlarged"}, results

        names = ("bare network on them", f"{args.pictures} PNG of a quarter of the area")
        runs = [Run(alone, clock), Run(files, clock)]
        for name, run, timing in zip(names, runs, timed(names, runs, args.rounds, args.threads), strict=True):
            rows.append([spec, engine, name, f"{timing.median_ms:.0f}", f"{timing.ratio:.3f}", run.more])
    return rows


if __name__ == "__main__":
    main()
