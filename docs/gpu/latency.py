"""The latency of one network at one size, in every mode of PyTorch: a worker of `run.py`.

    python docs/gpu/latency.py aether_tiny_x2 720x1280 --device cuda

It compiles first, which many workers can do side by side, and prints `ready`. On a line from the standard input it
measures, alone on the device if the caller sees to that, and prints its records as one line of JSON.
"""

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aethernet.bench.timing import cpu_stopwatch, cuda_stopwatch
from aethernet.runtimes.models import resolve_model


@dataclass(frozen=True)
class Mode:
    """A way to run a network; `compiled` and `graph` are torch.compile and a CUDA graph."""

    name: str
    precision: torch.dtype = torch.float32
    channels_last: bool = False
    compiled: bool = False
    graph: bool = False

    def move(self, value: nn.Module | Tensor, device: str):
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return value.to(device=device, dtype=self.precision, memory_format=layout)


CUDA_MODES = (
    Mode("eager"),
    Mode("channels_last", channels_last=True),
    Mode("fp16", torch.float16, channels_last=True),
    Mode("bf16", torch.bfloat16, channels_last=True),
    Mode("fp16 nchw", torch.float16),
    Mode("graph", graph=True),
    Mode("fp16 graph", torch.float16, channels_last=True, graph=True),
    Mode("fp16 compile", torch.float16, channels_last=True, compiled=True),
    Mode("compile", compiled=True),
)
CPU_MODES = (
    Mode("eager"),
    Mode("channels_last", channels_last=True),
    Mode("bf16", torch.bfloat16, channels_last=True),
    Mode("compile", compiled=True),
)
LONGEST_RUNS = 30
SECONDS_A_MODE = 0.25


class Worker:
    """One network with one input of noise (1, C, H, W) on one device."""

    def __init__(self, spec: str, size: tuple[int, int], device: str, compile_seconds: float) -> None:
        model = resolve_model(spec)
        assert model.network is not None
        self.network = model.network
        self.device = device
        self.modes = CUDA_MODES if device == "cuda" else CPU_MODES
        self.x = torch.rand(1, model.in_channels, *size, generator=torch.Generator().manual_seed(0))
        self.compiled: dict[str, nn.Module | str] = {}
        end = time.monotonic() + compile_seconds
        for mode in (mode for mode in self.modes if mode.compiled):
            self.compiled[mode.name] = self.compile(mode) if time.monotonic() < end else "no time left to compile"
        self.free()

    @torch.inference_mode()
    def compile(self, mode: Mode) -> nn.Module | str:
        """The compiled network, which has run once, or why there is none."""
        try:
            network = torch.compile(mode.move(copy.deepcopy(self.network), self.device), dynamic=False)
            network(mode.move(self.x, self.device))
        except Exception as error:  # a compiler's errors are of any kind; they cost one mode, not the others
            return first_line(error)
        return network

    def measure(self) -> list[dict]:
        records, reference = [], None
        for mode in self.modes:
            record: dict = {"mode": mode.name}
            try:
                run, read = self.prepare(mode)
                record |= self.timed(run)
                if mode.graph:
                    record.pop("peak_mb", None)  # its memory was taken when it was captured
                output = read()
                if reference is None:
                    reference = output
                record["difference"] = ((output - reference).abs().max() / reference.abs().max()).item()
                del run, read, output
            except Exception as error:  # such as a lack of memory, in this mode alone
                record["error"] = first_line(error)
            records.append(record)
            self.free()
        return records

    @torch.inference_mode()
    def prepare(self, mode: Mode) -> tuple[Callable[[], object], Callable[[], Tensor]]:
        """What computes one picture, and what returns the last output in float32."""
        network = self.compiled[mode.name] if mode.compiled else mode.move(copy.deepcopy(self.network), self.device)
        if isinstance(network, str):
            raise RuntimeError(network)
        x = mode.move(self.x, self.device)
        if not mode.graph:

            @torch.inference_mode()
            def run() -> Tensor:
                return network(x)

            return run, lambda: run().float()
        side = torch.cuda.Stream()  # PyTorch captures what has run before, on another stream than the default one
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                network(x)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = network(x)
        return graph.replay, lambda: output.float()

    def timed(self, run: Callable[[], object]) -> dict:
        """Milliseconds: the median and the fastest of several runs behind two that do not count."""
        stopwatch = cuda_stopwatch if self.device == "cuda" else cpu_stopwatch
        stopwatch(run)  # cuDNN tries its algorithms
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        once = stopwatch(run)
        times = [stopwatch(run) for _ in range(max(3, min(LONGEST_RUNS, int(SECONDS_A_MODE / once))))]
        record = {"ms": statistics.median(times) * 1000, "fastest_ms": min(times) * 1000, "runs": len(times)}
        if self.device == "cuda":
            record["peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
        return record

    def free(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"[:300]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="what `aethernet bench speed` takes")
    parser.add_argument("size", help="HEIGHTxWIDTH of the input")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile-seconds", type=float, default=600, help="no compilation starts later than that")
    args = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    height, width = map(int, args.size.split("x"))
    worker = Worker(args.model, (height, width), args.device, args.compile_seconds)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(worker.measure()), flush=True)


if __name__ == "__main__":
    main()
