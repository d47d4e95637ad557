"""What `aethernet upscale` does for pictures and for videos alike."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aethernet.upscale.summary import Summary
    from aethernet.upscale.upscaler import Upscaler

PIPE = "-"


def open_upscaler(args: argparse.Namespace, model: Any, process: Any, pixels: int) -> "Upscaler":
    import torch

    from aethernet.upscale.upscaler import Upscaler

    threads = args.threads or process.threads
    if threads:
        torch.set_num_threads(threads)
    device = args.device
    if device == "auto" and model.network is not None and args.engine in ("auto", "torch"):
        device = process.device(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    return Upscaler(
        model, args.engine, device=device, precision=args.precision, tile=args.tile, halo=args.halo,
        passes=args.passes, threads=threads, pixels=pixels, memory=args.memory,
    )  # fmt: skip


def write_records(path: Path, rank: int, summary: "Summary | dict[str, Any]") -> None:
    """Each process writes a file of its own."""
    from aethernet.tables import json_bytes, write_json

    if path == Path(PIPE):
        sys.stdout.write(json_bytes("upscale", summary).decode())
        sys.stdout.flush()
    else:
        write_json(path if rank == 0 else path.with_stem(f"{path.stem}_{rank}"), "upscale", summary)
