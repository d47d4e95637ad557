"""Trains aether_small x4 for a number of minutes with the project's own trainer, and measures it: a part of `run.py`.

    python docs/gpu/training.py --data T91 BSDS500 --val Set5 Set14 --minutes 15 -o OUT

The precision is the faster one of a short trial on the device; the number of iterations follows
from the pace of a short run, so that the cosine ends in time. OUT gets the weights, the option file, the log and
`training.json`.
"""

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import yaml
from PIL import Image

from aethernet.data.pictures import find_pictures
from aethernet.training.recipes.render import options

VARIANT, SCALE = "small", 4
FULL = {"batch": 32, "lq_size": 48, "pace": 120, "trial": 12, "workers": 8}
QUICK = {"batch": 2, "lq_size": 8, "pace": 4, "trial": 1, "workers": 0}
SHARE = 0.9
"""Of the time that is left, which the iterations may take by the pace that was measured: validations are beside it."""
GAIN = 1.1
"""How many times faster bfloat16 must be to be preferred: it is less exact."""


def reduced_copies(folders: list[Path], target: Path, side: int) -> Path | None:
    """Two thirds of every picture that stays as large as a patch, as PNG in `target`; None if there is none."""
    target.mkdir(parents=True)

    def reduce(numbered: tuple[int, Path]) -> bool:
        number, path = numbered
        with Image.open(path) as picture:
            size = (picture.width * 2 // 3, picture.height * 2 // 3)
            if min(size) < side:
                return False
            picture.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(target / f"{number:05d}.png")
        return True

    paths = [path for folder in folders for path in find_pictures(folder)]
    with ThreadPoolExecutor() as pool:
        return target if any(list(pool.map(reduce, enumerate(paths)))) else None


def option_file(
    path: Path, args: argparse.Namespace, how: dict, numbers: dict, total_iter: int, ratio: int, checks: int = 1
) -> dict:
    """The recipe of the variant, with Muon, for sets in memory, with so many validations; written to `path`."""
    lq_size, batch = numbers["lq_size"], numbers["batch"]
    recipe = {"optimizer": "Muon", "lr": 0.02, "adamw_lr": 2e-3, "amp": how["amp"]}
    opt = options(VARIANT, SCALE, "train", batch=batch, lq_size=lq_size, total_iter=total_iter, **recipe)
    gpu, workers = args.device == "cuda", numbers["workers"]
    opt["name"] = path.stem
    opt["num_gpu"] = 1 if gpu else 0
    memory = {"type": "AetherMemoryDataset", "dataroot_lq": None}
    opt["datasets"] = {
        "train": {
            **memory, "name": "train", "dataroot_gt": [str(folder) for folder in args.data], "gt_size": lq_size * SCALE,
            "use_hflip": True, "use_rot": True, "crops": 2, "num_worker_per_gpu": workers, "batch_size_per_gpu": batch,
            "dataset_enlarge_ratio": ratio, "pin_memory": gpu, "prefetch_mode": how["prefetch"],
        },
        "val": {**memory, "name": "val", "dataroot_gt": str(args.val[0])},
    }  # fmt: skip
    del opt["val"]["metrics"]["ssim"]
    frequency = max(1, total_iter // checks)
    opt["val"]["val_freq"] = frequency
    printing = max(1, min(100, total_iter // 6))
    opt["logger"] |= {"print_freq": printing, "save_checkpoint_freq": frequency, "use_tb_logger": False}
    path.write_text(yaml.safe_dump(opt, sort_keys=False), encoding="utf-8")
    return opt


def fastest(args: argparse.Namespace, numbers: dict) -> tuple[dict, list[dict]]:
    """The precision of the faster iteration, and the times of both."""
    from aethernet.integrations.basicsr.pipeline.launcher import load_basicsr

    load_basicsr(is_train=True)
    from basicsr.models import build_model

    torch.backends.cudnn.benchmark = True
    gpu = args.device == "cuda"
    side, batch = numbers["lq_size"], numbers["batch"]
    data = {"lq": torch.rand(batch, 3, side, side), "gt": torch.rand(batch, 3, side * SCALE, side * SCALE)}
    found: list[dict] = []
    for amp in (None, "bf16") if gpu else (None,):
        how = {"amp": amp}
        opt = option_file(args.work / "trial.yml", args, {**how, "prefetch": None}, numbers, 1000, 1)
        model = build_model({**opt, "dist": False, "is_train": True, "path": {}})
        model.feed_data(data)
        seconds = []
        for iteration in range(1, numbers["trial"] + 4):
            start = time.perf_counter()
            model.optimize_parameters(iteration)
            if gpu:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        peak = torch.cuda.max_memory_allocated() / 1e6 if gpu else None
        found.append({**how, "ms": 1000 * sorted(seconds[3:])[len(seconds[3:]) // 2], "peak_mb": peak})
        del model
        if gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
    best = min(found, key=lambda each: each["ms"] * (GAIN if each["amp"] else 1))
    return {"amp": best["amp"]}, found


def train(file: Path, seconds: float) -> tuple[bool, str]:
    """Runs the trainer; whether it came to its end, and what it wrote."""
    command = [sys.executable, "-m", "aethernet", "train", "-opt", str(file)]
    try:
        result = subprocess.run(
            command, cwd=file.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired as expired:
        return False, (expired.stdout or b"").decode(errors="replace")
    return result.returncode == 0, result.stdout


def pace_of(text: str) -> float:
    """Seconds of an iteration by the stamps of BasicSR's log, the first ones with their preparations left out."""
    lines = re.findall(r"^(\S+ [\d:]+,\d+) INFO: .*iter: *([\d,]+), lr", text, re.MULTILINE)
    moments = [datetime.datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f") for stamp, _ in (lines[0], lines[-1])]
    first, last = (int(lines[index][1].replace(",", "")) for index in (0, -1))
    return (moments[1] - moments[0]).total_seconds() / (last - first)


def measured_pace(
    args: argparse.Namespace, how: dict, numbers: dict, pictures: int, limit: float, note: Callable[..., None]
) -> tuple[float, float]:
    """Seconds of an iteration, and of what is around them all, by a short run. `how` gets what moves the batches to a GPU:
    BasicSR's prefetcher on a stream of its own; none if that fails."""
    text = ""
    for prefetch in ("cuda", None) if args.device == "cuda" else (None,):
        how["prefetch"] = prefetch
        file = args.work / f"pace_{prefetch or 'plain'}.yml"
        option_file(file, args, how, numbers, numbers["pace"], ratio=1 + numbers["pace"] * numbers["batch"] // pictures)
        began = time.monotonic()
        finished, text = train(file, limit)
        if finished:
            pace = pace_of(text)
            return pace, time.monotonic() - began - pace * numbers["pace"]
        note(**{f"failure_prefetch_{prefetch}": text[-2000:]})
    sys.exit(f"the trainer fails: {text[-3000:]}")


def newest_weights(experiment: Path) -> Path | None:
    files = sorted((experiment / "models").glob("net_g_*.pth"), key=lambda path: path.stat().st_mtime)
    return files[-1] if files else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="folders of training pictures")
    parser.add_argument("--val", nargs="+", type=Path, required=True, help="folders of test pictures")
    parser.add_argument("--minutes", type=float, default=15, help="for everything here (default: %(default)s)")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="a few small patches")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    args.data, args.val = ([path.resolve() for path in paths] for paths in (args.data, args.val))
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        args.work = Path(work)
        work_through(args)


def work_through(args: argparse.Namespace) -> None:
    """All steps, with `training.json` written anew after each."""
    start, limit = time.monotonic(), 60 * args.minutes
    numbers = QUICK if args.quick else FULL
    record: dict = {"network": f"aether_{VARIANT}_x{SCALE}", "minutes": args.minutes, **numbers}

    def note(**entries: object) -> None:
        record.update(entries)
        (args.out / "training.json").write_text(json.dumps(record, indent=1), encoding="utf-8")

    def left() -> float:
        return limit - (time.monotonic() - start)

    reduced = reduced_copies(args.data, args.work / "reduced", numbers["lq_size"] * SCALE)
    folders = [path.name for path in args.data]
    args.data += [reduced] if reduced else []
    pictures = sum(len(find_pictures(folder)) for folder in args.data)
    note(data=folders, pictures_with_reduced_copies=pictures)

    how, trials = fastest(args, numbers)
    note(trials=trials)
    pace, overhead = measured_pace(args, how, numbers, pictures, limit if args.quick else 0.25 * limit, note)
    measuring = 0 if args.quick else 25
    total_iter = 8 if args.quick else int(SHARE * (left() - overhead - measuring) / pace)
    note(how=how, seconds_an_iteration=pace, seconds_of_start_and_validation=overhead, iterations=total_iter)

    file = args.work / f"aether_{VARIANT}_x{SCALE}.yml"
    opt = option_file(
        file, args, how, numbers, total_iter, ratio=1 + total_iter * numbers["batch"] // pictures, checks=5
    )
    began = time.monotonic()
    finished, text = train(file, left() - measuring if not args.quick else limit)
    note(finished=finished, seconds_of_training=time.monotonic() - began)
    (args.out / "training.log").write_text(text, encoding="utf-8")
    shutil.copy(file, args.out / "training.yml")
    note(validation=re.findall(r"# psnr: ([\d.]+)", text))
    weights = newest_weights(args.work / "experiments" / opt["name"])
    if weights is None:
        sys.exit(f"no weights: {text[-2000:]}")
    shutil.copy(weights, args.out / f"aether_{VARIANT}_x{SCALE}.pth")
    note(weights=weights.name)
    command = [sys.executable, "-m", "aethernet", "bench", "quality", str(args.out / f"aether_{VARIANT}_x{SCALE}.pth")]
    command += ["--sets", *map(str, args.val), "--device", args.device, "--json", str(args.out / "quality.json")]
    subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, "TQDM_DISABLE": "1"})
    scores = json.loads((args.out / "quality.json").read_text(encoding="utf-8"))["scores"]
    note(quality={each["set_name"]: each["mean"] for each in scores}, seconds=time.monotonic() - start)
    (args.out / "quality.json").unlink()


if __name__ == "__main__":
    main()
