"""What `aethernet serve` costs: its first byte, idle and while a picture is computed, and its memory under uploads at once.

    python docs/serving.py [--uploads 50 --rounds 6 --size 96x64 --requests 100 --model aether_tiny_x2]

It starts the service as a process of its own, and speaks to it as other programs do. Linux only: memory is that which /proc tells.
docs/serve.md has the outcome.
"""

import argparse
import contextlib
import http.client
import io
import json
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from aethernet.conditions import measurement_conditions
from aethernet.flags import positive, size
from aethernet.tables import markdown_table

ADDRESS = re.compile(r"http://[^:]+:(\d+)/")
PAGE = ("/", "/page.css", "/page.js", "/icon.svg")
HEAVY = (900, 900)
"""The picture that is computed while others ask: seconds of work."""


@contextlib.contextmanager
def served(*args: str) -> Iterator[tuple[int, int]]:
    """The port and the process of a service."""
    command = [sys.executable, "-m", "aethernet", "serve", "--port", "0", *args]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = ""
        for line in process.stderr:
            said += line
            if found := ADDRESS.search(line):
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield int(found[1]), process.pid
                return
        raise SystemExit(said)
    finally:
        process.terminate()
        process.wait(60)


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes, float]:
    """The status, the content, and the seconds from the beginning of the connection to the first byte of the answer."""
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request(method, path, body, {"Content-Type": "image/png"} if body else {})
        answer = connection.getresponse()
        first = time.perf_counter() - start
        return answer.status, answer.read(), first
    finally:
        connection.close()


def picture(sides: tuple[int, int], seed: int = 0) -> bytes:
    """A PNG file of noise, (height, width)."""
    noise = np.random.default_rng(seed).integers(0, 256, (*sides, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def memory(process: int) -> tuple[float, float]:
    """Megabytes that are resident: of the process that serves, and of the one that computes, the largest below it."""

    def resident(number: str) -> float:
        return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * 4096 / 1e6

    return resident(str(process)), max(map(resident, children(process)))


def children(process: int) -> list[str]:
    """Numbers of the processes that it started, in any thread."""
    return [child for path in Path(f"/proc/{process}/task").glob("*/children") for child in path.read_text().split()]


def first_bytes(port: int, count: int) -> list[float]:
    """Milliseconds, of the page."""
    return [1e3 * ask(port, "GET", "/")[2] for _ in range(count)]


def uploads(port: int, count: int, data: bytes, model: str) -> int:
    """So many pictures at once; returns how many came back enlarged."""
    path = f"/api/upscale?network={model}"
    with ThreadPoolExecutor(count) as threads:
        answers = list(threads.map(lambda _: ask(port, "POST", path, data), range(count)))
    return sum(status == 200 and Image.open(io.BytesIO(content)).format == "PNG" for status, content, _ in answers)


def while_computing(port: int, count: int, model: str) -> list[float]:
    """`first_bytes`, of those that came while a large picture was computed."""
    data = picture(HEAVY)
    job = json.loads(ask(port, "POST", f"/api/jobs?network={model}", data)[1])

    def state() -> str:
        return json.loads(ask(port, "GET", f"/api/jobs/{job['id']}")[1])["state"]

    while state() == "waiting":
        time.sleep(0.01)
    found: list[float] = []
    while len(found) < count and state() == "running":
        found += first_bytes(port, 5)
    ask(port, "DELETE", f"/api/jobs/{job['id']}")
    return found[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uploads", type=positive, default=50, help="at once")
    parser.add_argument("--rounds", type=positive, default=6, help="of uploads")
    parser.add_argument("--size", type=size, default=(64, 96), help="of a picture, HEIGHTxWIDTH")
    parser.add_argument("--requests", type=positive, default=100, help="for the page")
    parser.add_argument("--model", default="aether_tiny_x2")
    args = parser.parse_args()
    start = time.perf_counter()
    with served() as (port, process):
        started = time.perf_counter() - start
        page = sum(len(ask(port, "GET", path)[1]) for path in PAGE)
        times = {"nothing": first_bytes(port, args.requests), "a picture is computed": while_computing(port, args.requests, args.model)}  # fmt: skip
        print(f"ready after {started:.1f} s; the page has {page:,} bytes in all\n")
        rows = [
            [name, str(len(each)), f"{statistics.median(each):.1f}", f"{max(each):.1f}"] for name, each in times.items()
        ]
        print(markdown_table(["meanwhile", "requests", "first byte, median ms", "slowest ms"], rows))
        rows = []
        for number in range(args.rounds):
            begin = time.perf_counter()
            sound = uploads(port, args.uploads, picture(args.size, number), args.model)
            took = time.perf_counter() - begin
            serving, computing = memory(process)
            rows.append(
                [str(number + 1), f"{sound} of {args.uploads}", f"{took:.1f}", f"{serving:.1f}", f"{computing:.1f}"]
            )
        heads = ["round", "enlarged", "seconds", "the process that serves, MB", "the one that computes, MB"]
        print("\n" + markdown_table(heads, rows))
    sides = f"{args.size[0]}x{args.size[1]}"
    print("\n" + measurement_conditions(threads=1, precision="fp32", size=sides).sentence())


if __name__ == "__main__":
    main()
