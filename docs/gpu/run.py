"""Tests, latencies and a training on one GPU, in one go and without a network.

    python docs/gpu/run.py --wheels WHEELS --data T91 BSDS500 --val Set5 Set14 --minutes 15 -o OUT

WHEELS is a folder of what the machine lacks beside PyTorch for CUDA (basicsr, spandrel, lmdb, ...); nothing is
fetched. OUT gets `report.json`, which is written anew after each step, the weights of the training, and logs. A step
that fails or takes too long does not stop the others. `--device cpu --quick` goes through all of them in minutes, on
small numbers. What came of it stands in docs/measurements.md.
"""

import argparse
import contextlib
import datetime
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STEPS = ("environment", "tests", "latency", "training")
VARIANTS = ("tiny", "small", "medium", "large")
PEERS = (
    "spandrel:Compact(num_feat=32, num_conv=8, upscale={scale})",
    "spandrel:Compact(num_feat=64, num_conv=16, upscale={scale})",
    "spandrel:SPAN(num_in_ch=3, num_out_ch=3, feature_channels=48, upscale={scale})",
    "spandrel:SAFMN(dim=36, n_blocks=8, ffn_scale=2.0, upscaling_factor={scale})",
)
SLOW = ("aether_medium", "aether_large")
SIZES = ((4, "256x256"), (2, "720x1280"), (2, "1080x1920"))


class Run:
    """The options, the report so far, and the environment of the steps' processes."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.out: Path = args.out.resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.lock = threading.Lock()
        command = " ".join(["python", "docs/gpu/run.py", *sys.argv[1:]])
        self.report: dict = {"date": datetime.date.today().isoformat(), "command": command}
        self.env = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1", "TQDM_DISABLE": "1"}
        self.env["PYTHONPATH"] = os.pathsep.join([str(ROOT / "archs"), os.environ.get("PYTHONPATH", "")])
        if args.device == "cpu":
            self.env["CUDA_VISIBLE_DEVICES"] = ""

    def note(self, step: str, entries: dict) -> None:
        with self.lock:
            self.report[step] = entries
            whole = json.dumps(self.report, indent=1)
            (self.out / "report.json").write_text(whole, encoding="utf-8")

    def command(self, step: str, words: list[str], seconds: float) -> dict:
        """Runs one process with a time limit; how it ended. Its output goes to `STEP.txt`."""
        began = time.monotonic()
        with (self.out / f"{step}.txt").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(words, cwd=ROOT, env=self.env, stdout=log, stderr=subprocess.STDOUT)
            try:
                code = process.wait(seconds)
                outcome = "finished" if code == 0 else f"exit {code}"
            except subprocess.TimeoutExpired:
                outcome = f"stopped after {seconds:.0f} s"
                process.send_signal(signal.SIGINT)  # pytest then tells what failed so far
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(15)
                process.kill()
                process.wait()
        return {"outcome": outcome, "seconds": round(time.monotonic() - began, 1)}

    def install(self, wheels: Path, target: str) -> None:
        """Puts the wheels into a folder of their own, in front of what is installed."""
        files = sorted(map(str, wheels.resolve().glob("*.whl")))
        words = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile"]
        result = self.command("install", [*words, "--upgrade", "--target", target, *files], 180)
        self.note("install", {**result, "wheels": [Path(file).name for file in files]})
        self.env["PYTHONPATH"] = os.pathsep.join([self.env["PYTHONPATH"], target])


def environment(run: Run) -> None:
    """What the machine is, and whether everything imports. Without that, no other step can do anything."""
    program = (
        "import json, platform, torch\n"
        "from aethernet.integrations.basicsr.pipeline.launcher import load_basicsr\n"
        "from aethernet import machine\n"
        "load_basicsr(is_train=True)\n"
        "import torchvision, numpy, onnx, spandrel\n"
        "gpu = torch.cuda.is_available()\n"
        "print(json.dumps({'python': platform.python_version(), 'torch': torch.__version__, 'cpu': machine.cpu().title,\n"
        " 'torchvision': torchvision.__version__, 'numpy': numpy.__version__, 'cores': machine.cores(),\n"
        " 'card': torch.cuda.get_device_name() if gpu else None, 'cuda': torch.version.cuda if gpu else None,\n"
        " 'memory_gb': round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1) if gpu else None,\n"
        " 'cudnn': torch.backends.cudnn.version() if gpu else None}))"
    )
    result = run.command("environment", [sys.executable, "-c", program], 180)
    text = (run.out / "environment.txt").read_text(encoding="utf-8")
    if result["outcome"] == "finished":
        result |= json.loads(text.splitlines()[-1])
    run.note("environment", result)
    if result["outcome"] != "finished" or (run.args.device == "cuda" and not result["card"]):
        sys.exit(f"environment: {result}\n{text[-3000:]}\nGive what is missing as wheels, or --device cpu")


def tests(run: Run) -> None:
    """tests/test_device.py, with one line for each test in the report."""
    words = [sys.executable, "-m", "pytest", "-rA", "-v", "--tb=short", "-p", "no:cacheprovider"]
    result = run.command(
        "tests", [*words, "-m", "slow or not slow", "tests/test_device.py"], run.args.tests_minutes * 60
    )
    lines = (run.out / "tests.txt").read_text(encoding="utf-8").splitlines()
    result["tests"] = [line for line in lines if line.startswith(("PASSED", "FAILED", "ERROR", "SKIPPED"))]
    run.note("tests", result)


class LatencyWorker:
    """A process of `latency.py`; what it prints is read aside, so that waiting has a limit."""

    def __init__(self, run: Run, spec: str, size: str, compile_seconds: float) -> None:
        self.spec, self.size = spec, size
        words = [sys.executable, str(HERE / "latency.py"), spec, size, "--device", run.args.device]
        self.log = (run.out / "latency.txt").open("a", encoding="utf-8")
        self.process = subprocess.Popen(
            [*words, "--compile-seconds", str(compile_seconds)],
            cwd=ROOT, env=run.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )  # fmt: skip
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def line(self, accept: Callable[[str], bool], seconds: float) -> str | None:
        """The next line that is accepted; None if the process ends before, or the time does."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                return None
            if line is None or accept(line):
                return line

    def ready(self, seconds: float) -> bool:
        return self.line(lambda line: line.strip() == "ready", seconds) is not None

    def measure(self, seconds: float) -> list[dict] | None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self.line(lambda line: line.startswith("["), seconds)
        return None if line is None else json.loads(line)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()


def latency(run: Run) -> None:
    """Every network at every size. On a GPU all compile side by side; then they are measured one by one."""
    began, limit, quick = time.monotonic(), run.args.latency_minutes * 60, run.args.quick
    jobs = [
        (spec.format(scale=scale), "16x16" if quick else size)
        for scale, size in (SIZES[:1] if quick else SIZES)
        for spec in ([f"aether_{each}_x{{scale}}" for each in VARIANTS] + list(PEERS))
    ]
    jobs.sort(key=lambda job: job[0].startswith(SLOW))  # where time runs out, they are what is missing
    jobs = jobs[:: len(jobs) // 2][:2] if quick else jobs

    def left(share: float = 1.0) -> float:
        return max(0.1, share * limit - (time.monotonic() - began))

    workers: dict[tuple[str, str], LatencyWorker] = {}
    if run.args.device == "cuda":
        started = {job: LatencyWorker(run, *job, 0.4 * limit) for job in jobs}
        for job, worker in started.items():
            if worker.ready(left(0.5)):
                workers[job] = worker
            else:  # it would compile on while others are measured
                worker.end()
    records: list[dict] = []
    for job in jobs:
        record: dict = {"model": job[0], "size": job[1]}
        worker = workers.get(job) or LatencyWorker(run, *job, 0 if run.args.device == "cuda" else limit)
        if job in workers or worker.ready(min(40, left()) if run.args.device == "cuda" else left()):
            record["modes"] = worker.measure(min(90, left()))
        worker.end()
        if record.get("modes") is None:
            record["error"] = f"no answer within the limit (exit {worker.process.returncode}): see latency.txt"
        records.append(record)
        run.note("latency", {"seconds": round(time.monotonic() - began, 1), "records": records})


def training(run: Run) -> None:
    """Trains small x4; the weights lie beside the report."""
    args = run.args
    words = [sys.executable, str(HERE / "training.py"), "--device", args.device, "--minutes", str(args.minutes)]
    words += ["--data", *map(str, args.data), "--val", *map(str, args.val), "-o", str(run.out)]
    result = run.command("training", [*words, *(["--quick"] if args.quick else [])], args.minutes * 60 + 60)
    file = run.out / "training.json"
    if file.is_file():
        result |= json.loads(file.read_text(encoding="utf-8"))
        file.unlink()
    run.note("training", result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, help="folder of wheels to install into a folder of their own")
    parser.add_argument("--data", nargs="+", type=Path, default=[], help="folders of training pictures")
    parser.add_argument("--val", nargs="+", type=Path, default=[], help="folders of test pictures")
    parser.add_argument("--steps", nargs="+", choices=STEPS[1:], default=STEPS[1:], help="(default: all)")
    parser.add_argument("--minutes", type=float, default=15, help="for the training (default: %(default)s)")
    parser.add_argument("--tests-minutes", type=float, default=6, help="limit (default: %(default)s)")
    parser.add_argument("--latency-minutes", type=float, default=12, help="limit (default: %(default)s)")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="each step on small numbers")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    if "training" in args.steps and not (args.data and args.val):
        parser.error("the training needs --data and --val; or leave it out: --steps tests latency")
    args.data, args.val = ([path.resolve() for path in paths] for paths in (args.data, args.val))
    run = Run(args)
    with tempfile.TemporaryDirectory() as site:
        if args.wheels:
            run.install(args.wheels, site)
        environment(run)
        for step in (tests, latency, training):
            if step.__name__ in args.steps:
                guarded(run, step)
    print(json.dumps({step: {**each, "records": "..."} for step, each in run.report.items() if isinstance(each, dict)}))


def guarded(run: Run, step: Callable[[Run], None]) -> None:
    """A step whose failure is noted and stops nothing."""
    try:
        step(run)
    except Exception as error:
        run.note(f"{step.__name__}_failure", {"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
