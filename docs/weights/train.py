"""Trains weights for the box: of clean or of photographed pictures, from nothing or from other weights, on a CPU or a GPU.

    python docs/weights/train.py aether_tiny_x4 --photo --data T91 BSDS500 DIV2K_TEST --val Set5 B100 \
      --iterations 12000 -o OUT
    python docs/weights/train.py CALIBRATED.safetensors --adamw --lr 2e-5 --teacher aether_small_x4 --data T91 BSDS500 \
      --val Set5 B100 --iterations 240 --every 60 -o OUT
    python docs/weights/train.py aether_tiny_x3 --start aether_tiny_x4 --data T91 BSDS500 --val Set5 --seconds 300 \
      --device cuda -o OUT

The rate falls in one cosine over the iterations or over the seconds. Every few hundred iterations the averaged weights are
measured on the validation sets, reduced, clean and once more with noise of sigma 3 and JPEG 60; OUT/curve.json has the
figures and OUT/net.safetensors the averaged weights of the newest measurement. With --iterations the same command goes on where it was
stopped: everything that the next step depends on lies in OUT/state.pt.
"""

import argparse
import datetime
import json
import math
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from patches import Batch, CleanPatches, PhotoPatches, read_all
from torch import Tensor, nn

from aethernet import load_network, pretrained, write_checkpoint
from aethernet.checkpoint.checkpoint import read_weights
from aethernet.data.bicubic import bicubic_downsample, bicubic_upscale, modcrop
from aethernet.data.photo import PhotoDegradation
from aethernet.data.pictures import find_pictures, read_rgb
from aethernet.files import atomic_path
from aethernet.integrations.peers import build_trainable
from aethernet.network.config import NAME_PATTERN
from aethernet.network.graph import AetherGraph
from aethernet.network.network import AetherNet
from aethernet.network.norms import DeploymentNorm
from aethernet.network.variants import variant_config
from aethernet.quality.evaluation import network_upscaler
from aethernet.quality.metrics import y_psnr
from aethernet.training.muon import Muon

CASE = PhotoDegradation(noise=3.0, quality=60)
WARMUP = 50
EVERY_FIFTH_FROM = 50
"""A validation set of so many pictures or more is taken by every fifth."""


def build(name: str, start: str | None, new: bool) -> AetherGraph:
    """The network in its training form: packaged weights, a file, a variant, or one by a text as `bench` takes it."""
    match = NAME_PATTERN.fullmatch(name)
    if ":" in name:
        network = build_trainable(name)
    elif Path(name).is_file() or (name in pretrained.available() and not new):
        network = load_network(name)
    elif match:
        network = AetherNet(variant_config(match[1], int(match[2]), norm_freeze_iter=None))
    else:
        raise SystemExit(f"{name!r} is no file, no packaged weights and no aether_VARIANT_xSCALE")
    if start:
        own = network.state_dict()
        given = read_weights(Path(start))[1] if ":" in name else load_network(start).state_dict()
        fitting = {key: value for key, value in given.items() if key in own and value.shape == own[key].shape}
        fitting.pop("config", None)
        network.load_state_dict({**own, **fitting})
        print(f"{len(fitting)} of {len(own)} tensors start as in {start}", flush=True)
    return network.train()


def validation(folders: list[Path]) -> list[np.ndarray]:
    pictures = []
    for folder in folders:
        paths = find_pictures(folder)
        pictures += [read_rgb(path)[0] for path in (paths[::5] if len(paths) >= EVERY_FIFTH_FROM else paths)]
    return pictures


def measure(upscale, pictures: list[np.ndarray], scale: int, names: list[str]) -> dict[str, float]:
    """Mean Y-PSNR of clean and of degraded pictures."""
    figures: dict[str, list[float]] = {name: [] for name in names}
    for number, picture in enumerate(pictures):
        high = modcrop(picture, scale)
        for name in names:
            clean = name == "clean"
            low = bicubic_downsample(high, scale) if clean else CASE(high, scale, np.random.default_rng(number))
            figures[name].append(y_psnr(upscale(low), high, scale))
    return {name: float(np.mean(values)) for name, values in figures.items()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "network", help="packaged weights or a file to go on from, aether_VARIANT_xSCALE, or module:function(...)"
    )
    parser.add_argument("--start", help="weights from which all tensors of the same shape are taken")
    parser.add_argument("--new", action="store_true", help="random weights, even if the package has some of that name")
    parser.add_argument("--photo", action="store_true", help="teach what photographs have suffered (preset photo)")
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--val", nargs="+", type=Path, required=True)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--iterations", type=int, default=10000)
    length.add_argument("--seconds", type=float, help="instead of iterations; then nothing resumes")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=32, help="of a patch, in low-resolution pixels")
    parser.add_argument("--lr", type=float, default=0.01, help="of Muon; a tenth of it for what AdamW moves")
    parser.add_argument(
        "--adamw", action="store_true", help="instead of Muon, all at --lr: for int8, from a calibrated file"
    )
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--freeze", type=float, default=0.0, help="share after which a norm's statistics stay")
    parser.add_argument("--reductions", nargs="*", type=float, default=[], help="of the pictures, which then count too")
    parser.add_argument("--permute", action="store_true", help="the colours of patches in a random order")
    parser.add_argument("--blend", type=float, default=0.0, help="share of batches that blend two patches each")
    parser.add_argument("--teacher", help="weights whose outputs are learnt beside the originals")
    parser.add_argument("--teacher-share", type=float, default=0.5, help="of the loss")
    parser.add_argument("--every", type=int, default=1000, help="iterations between measurements")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--out", type=Path, required=True)
    return parser.parse_args()


class Training:
    """A network, the running average of its weights, and everything that their next step depends on."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.network, self.average = (build(args.network, args.start, args.new).to(args.device) for _ in range(2))
        self.average.load_state_dict(self.network.state_dict())
        self.scale = self.network.config.scale
        self.teacher = load_network(args.teacher).fuse_model().to(args.device).eval() if args.teacher else None
        self.parameters = [each for each in self.network.parameters() if each.requires_grad]
        self.norms = [module for module in self.network.modules() if isinstance(module, DeploymentNorm)]
        if args.adamw:
            self.optimizer = torch.optim.AdamW(self.parameters, lr=args.lr, weight_decay=0.0, betas=(0.9, 0.99))
        else:
            self.optimizer = Muon(self.parameters, lr=args.lr, adamw_lr=args.lr / 10)
        self.rates = [
            {key: each[key] for key in ("lr", "adamw_lr") if key in each} for each in self.optimizer.param_groups
        ]
        self.names = ["clean", "case"] if args.photo else ["clean"]
        self.tests = validation(args.val)
        self.pictures = read_all(args.data, (args.side + 8) * self.scale, args.reductions)
        self.iteration, self.curve = 0, []

    def start(self) -> None:
        """From the state that lies in OUT, or from the beginning, which is measured."""
        file = self.args.out / "state.pt"
        if file.exists() and not self.args.seconds:
            state = torch.load(file, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.iteration, self.curve = state["iteration"], state["curve"]
            return
        bicubic = measure(lambda low: bicubic_upscale(low, self.scale), self.tests, self.scale, self.names)
        self.curve.append({"iteration": 0, **self.figures()})
        print(
            f"{len(self.pictures)} pictures, {len(self.tests)} tests; bicubic {bicubic}; before: {self.curve[0]}",
            flush=True,
        )

    def batches(self) -> Iterator[Batch]:
        args = self.args
        shape = (self.pictures, self.scale, args.batch, args.side, args.device)
        if args.photo:
            return iter(PhotoPatches(*shape, first=self.iteration, seed=args.seed))
        return iter(CleanPatches(*shape, permute=args.permute, blend=args.blend, seed=args.seed))

    def step(self, low: Tensor, high: Tensor, done: float) -> None:
        """One iteration where the share `done` of the training is over."""
        for norm in self.norms:
            norm.frozen = done >= self.args.freeze
        share = (1 + math.cos(math.pi * done)) / 2 * min(1, (self.iteration + 1) / WARMUP)
        for group, full in zip(self.optimizer.param_groups, self.rates, strict=True):
            group.update({key: rate * share for key, rate in full.items()})
        self.optimizer.zero_grad()
        output = self.network(low)
        loss = nn.functional.l1_loss(output, high)
        if self.teacher:
            with torch.no_grad():
                taught = self.teacher(low)
            loss = torch.lerp(loss, nn.functional.l1_loss(output, taught), self.args.teacher_share)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.iteration += 1
        with torch.no_grad():
            decay = min(self.args.ema, self.iteration / (self.iteration + 9))
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)

    def figures(self) -> dict[str, float]:
        return measure(network_upscaler(self.average, self.args.device), self.tests, self.scale, self.names)

    def note(self, seconds: float) -> None:
        self.curve.append({"iteration": self.iteration, "seconds": round(seconds, 1), **self.figures()})
        print(self.curve[-1], flush=True)

    def save(self) -> None:
        out, average = self.args.out, self.average
        state = {
            "network": self.network.state_dict(), "average": average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "iteration": self.iteration, "curve": self.curve,
        }  # fmt: skip
        with atomic_path(out / "state.pt") as temporary:
            torch.save(state, temporary)
        if isinstance(average, AetherNet):
            said = header(self.args, self.iteration, len(self.pictures))
            write_checkpoint(out / "net.safetensors", average, said)
        else:
            with atomic_path(out / "net.pth") as temporary:
                torch.save({"params": average.state_dict()}, temporary)
        (out / "curve.json").write_text(json.dumps(self.curve, indent=1), encoding="utf-8")


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    args.out.mkdir(parents=True, exist_ok=True)
    training = Training(args)
    training.start()
    batches, began = training.batches(), time.monotonic()
    while True:
        passed = time.monotonic() - began
        done = passed / args.seconds if args.seconds else training.iteration / args.iterations
        if done >= 1:
            break
        training.step(*next(batches), done)
        if training.iteration % args.every == 0:
            training.note(time.monotonic() - began)
            training.save()
    if training.curve[-1]["iteration"] != training.iteration:
        training.note(time.monotonic() - began)
    training.save()


def header(args: argparse.Namespace, iterations: int, pictures: int) -> dict[str, str]:
    """How the weights came about, for `aethernet card`."""
    degraded = "for photographs: slight blur, noise, JPEG; 15 % clean" if args.photo else "reduced"
    facts = {
        "script": "docs/weights/train.py",
        "iterations": f"{iterations:,}",
        "seed": str(args.seed),
        "pictures": f"{pictures:,}, with {', '.join(map(str, args.reductions)) or 'no'} reductions; inputs {degraded}",
        "patches": f"{args.batch} of {args.side}x{args.side} low-resolution pixels, flipped and turned",
        "optimizer": f"AdamW, lr {args.lr:g}" if args.adamw else f"Muon, lr {args.lr:g}, adamw_lr {args.lr / 10:g}",
        "schedule": f"one cosine over {f'{args.seconds:g} seconds' if args.seconds else f'{args.iterations:,} iterations'}",
        "losses": "L1"
        + (f", and L1 to {Path(args.teacher).stem}, {args.teacher_share:g} of the sum" if args.teacher else ""),
        "weight average": f"decay {args.ema:g}",
        "gradient clipping": "norm 1.0",
        "precision": "float32" + (", TF32" if args.device.startswith("cuda") else ""),
        "started from": args.start or ("random weights" if args.new else args.network),
        "PyTorch": torch.__version__,
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
    }
    kept = {name: facts[name] for name in ("iterations", "seed", "commit")}
    return {"training": json.dumps(facts), **kept, **({"inputs": "photo"} if args.photo else {})}


def commit() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return f"`{found.stdout.strip()}`" if found.returncode == 0 else "unknown"


if __name__ == "__main__":
    main()
