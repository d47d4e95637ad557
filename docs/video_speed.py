"""What a film costs beside the bare network: `python docs/video_speed.py`; needs the extras `video` and `export`.

A film of photographs that move is enlarged from file to file, and the same network runs on one of its frames in between: the two
take turns, so that a machine that drifts tells the same of both. It prints medians, and the ratio that matters: the network's own
time on as many frames over the time of the film. The ratio of processor time says the same where other programs run beside.
"""

import argparse
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from skimage import data
from skimage.transform import resize

from aethernet.conditions import measurement_conditions
from aethernet.machine import forget_former_sizes, keep_freed_memory
from aethernet.upscale import Upscaler
from aethernet.upscale.video import Coding, upscale_film


def write_film(path: Path, size: tuple[int, int], frames: int) -> None:
    """A photograph, two pixels further in each frame, in H.264."""
    width, height = size
    photo = (resize(data.astronaut(), (height, width + 2 * frames)) * 255).astype(np.uint8)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=24, options={"crf": "18"})
        video.width, video.height = size
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(photo[:, 2 * number : 2 * number + width]), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            out.mux(video.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        out.mux(video.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["aether_tiny_x2", "aether_tiny_x2_int8"])
    parser.add_argument("--engine", default="onnxruntime")
    parser.add_argument("--size", default="1280x720", help="width and height")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--preset", default=None)
    args = parser.parse_args()
    keep_freed_memory()
    forget_former_sizes()
    torch.set_num_threads(args.threads)
    width, height = (int(side) for side in args.size.split("x"))
    print(measurement_conditions(threads=args.threads, precision="fp32 and int8", size=args.size).sentence())
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.mkv"
        write_film(source, (width, height), args.frames)
        for model in args.models:
            upscaler = Upscaler(model, args.engine, threads=args.threads)
            session = upscaler.choice.session
            batch = np.random.default_rng(0).random((1, 3, height, width), dtype=np.float32)
            session.run(batch)
            films, networks, processor = [], [], []
            for _ in range(args.rounds):
                start, busy = time.perf_counter(), time.process_time()
                for _ in range(args.frames):
                    session.run(batch)
                networks.append(time.perf_counter() - start)
                bare = time.process_time() - busy
                start, busy = time.perf_counter(), time.process_time()
                result = upscale_film(
                    upscaler, source, Path(folder) / "out.mkv", force=True, coding=Coding(preset=args.preset)
                )
                films.append(time.perf_counter() - start)
                processor.append(bare / (time.process_time() - busy))
            ratios = [network / film for network, film in zip(networks, films, strict=True)]
            print(
                f"{model}: network {statistics.median(networks) / args.frames * 1000:.0f} ms a frame, film "
                f"{statistics.median(films) / result.frames * 1000:.0f} ms a frame, ratio {statistics.median(ratios):.3f} "
                f"({min(ratios):.3f} to {max(ratios):.3f}), of processor time {statistics.median(processor):.3f}"
            )


if __name__ == "__main__":
    main()
