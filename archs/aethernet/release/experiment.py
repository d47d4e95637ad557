"""How weights were trained: what BasicSR left in the folder of an experiment, as the facts of a model card.

No path is taken over: those of the training machine say nothing to others. Nor is the data set's name: it is a label
in the log, and often that of the template.
"""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from aethernet.errors import DataError
from aethernet.files import real_path
from aethernet.integrations.basicsr.pipeline.log import reached_iterations
from aethernet.integrations.basicsr.pipeline.option_file import with_numbers

NUMBERED = re.compile(r"net_g_(\d+)")
STAMP = re.compile(r"^(\d{4}-\d{2}-\d{2}) ", re.M)
SEED = re.compile(r"^\s*manual_seed: (\d+)$", re.M)
TORCH = re.compile(r"^\s*PyTorch: (\S+)$", re.M)
COMMAND = re.compile(r"^# CMD:\n# (.*)$", re.M)
FINISHED = "End of training"


@dataclass(frozen=True)
class Training:
    """How weights were trained.

    Attributes:
        name: the experiment's.
        iterations: those that the weights have seen, and `planned` those of the option file.
        seed: None if the option file has none and the log is gone.
        date: of the last day of training, ISO.
        recipe: facts by their titles, in the order of a table.
        commit: of the sources that trained it or, with `commit_is_todays`, of those at hand; empty if unknown.
    """

    name: str
    iterations: int
    planned: int
    seed: int | None
    date: str
    recipe: dict[str, str]
    commit: str
    commit_is_todays: bool

    def facts(self) -> dict[str, str]:
        """All of it in words, by titles."""
        planned = "" if self.iterations == self.planned else f" of {self.planned:,}"
        when = ", as the sources were when these weights were first written out" if self.commit_is_todays else ""
        return {
            "experiment": self.name,
            "iterations": f"{self.iterations:,}{planned}",
            "seed": "unknown" if self.seed is None else str(self.seed),
            **self.recipe,
            "date": self.date or "unknown",
            "commit": f"`{self.commit}`{when}" if self.commit else "unknown",
        }

    def numbers(self) -> dict[str, str]:
        """What identifies the training; without a commit that is only today's."""
        commit = {} if self.commit_is_todays else {"commit": self.commit}
        return {"iterations": str(self.iterations), "seed": str(self.seed), **commit}


def read_training(checkpoint: Path, run: Path | None = None, commit: str = "") -> Training:
    """Reads the option file, the logs and the file names of an experiment.

    Args:
        checkpoint: `experiments/NAME/models/net_g_N.pth` or `net_g_latest.pth`.
        run: the experiment's folder, if the checkpoint lies elsewhere.
        commit: of the sources that trained it; by default that of the checkout which this package lies in.

    Raises:
        DataError: no option file or a broken one, or iterations that nothing tells.
    """
    folder = run or real_path(checkpoint).parents[1]
    options = sorted(folder.glob("*.yml"), key=lambda path: path.stat().st_mtime)
    if not options:
        raise DataError(f"{folder} holds no option file (.yml): give the folder of the experiment with --experiment")
    opt = {"name": folder.name, **_read_options(options[-1])}
    logs = "".join(path.read_text(encoding="utf-8", errors="replace") for path in sorted(folder.glob("train_*.log")))
    try:
        return _training(checkpoint, opt, logs, commit)
    except DataError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{options[-1]} is not the option file of a training: {error!r}") from error


def source_commit() -> str:
    """The commit of the checkout that this package lies in, with `-dirty` if its sources were changed; else empty."""
    # Installed into a virtual environment, it may lie in the folder of another project's repository.
    is_tracked = _git("ls-files", "--error-unmatch", __file__)
    return _git("describe", "--always", "--abbrev=12", "--exclude=*", "--dirty") if is_tracked else ""


def _git(*arguments: str) -> str:
    """What git says in this file's folder; empty if it fails or is not there."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def _training(checkpoint: Path, opt: dict, logs: str, commit: str) -> Training:
    planned = int(opt["train"]["total_iter"])
    seeds, dates, versions = SEED.findall(logs), STAMP.findall(logs), TORCH.findall(logs)
    seed = opt.get("manual_seed") if opt.get("manual_seed") is not None else next(iter(seeds[-1:]), None)
    return Training(
        name=str(opt["name"]),
        iterations=_iterations(checkpoint, planned, int((opt.get("logger") or {}).get("print_freq", 1)), logs),
        planned=planned,
        seed=None if seed is None else int(seed),
        date=dates[-1] if dates else "",
        recipe=_recipe(opt) | ({"PyTorch": versions[-1]} if versions else {}),
        commit=commit or source_commit(),
        commit_is_todays=not commit,
    )


def _read_options(path: Path) -> dict:
    """The options as they were used: the copy in the experiment's folder, with what `--force_yml` changed."""
    text = path.read_text(encoding="utf-8")
    try:
        opt = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not plain YAML: {error}") from error
    if not isinstance(opt, dict) or not {"train", "datasets", "network_g", "scale"} <= opt.keys():
        raise DataError(f"{path} is not the option file of a training: it needs train, datasets, network_g and scale")
    command = COMMAND.search(text)
    for keys, value in _overrides(command[1] if command else ""):
        section = opt
        *parents, last = keys.split(":")
        try:
            for key in parents:
                section = section[key]
            section[last] = with_numbers(yaml.safe_load)(value)
        except (KeyError, TypeError, yaml.YAMLError) as error:
            raise DataError(f"{path}: its command has --force_yml {keys}={value}, which does not fit it") from error
    return opt


def _overrides(command: str) -> list[tuple[str, str]]:
    """The entries of `--force_yml`. BasicSR notes the command without quotes, so values may hold spaces: `[4, 5]`."""
    entries = re.split(r" (?=--?[a-z])", command.partition(" --force_yml ")[2])[0]
    return re.findall(r"(\S+?)=(.*?)(?= \S+=|$)", entries)


def _iterations(checkpoint: Path, planned: int, print_freq: int, logs: str) -> int:
    if numbered := NUMBERED.fullmatch(checkpoint.stem):
        return int(numbered[1])
    before, finished, _ = logs.rpartition(FINISHED)
    if finished:
        *_, last = 0, *reached_iterations(before)
        return planned if last <= planned < last + print_freq else last  # what follows the last line is not logged
    numbers = [
        int(match[1]) for path in checkpoint.parent.glob("net_g_*.pth") if (match := NUMBERED.fullmatch(path.stem))
    ]
    if not numbers:
        raise DataError(f"nothing tells how many iterations {checkpoint} has seen: give it as net_g_ITERATIONS.pth")
    return max(numbers)


def _recipe(opt: Mapping) -> dict[str, str]:
    """The option file in a dozen lines."""
    train, data, scale = opt["train"], opt["datasets"]["train"], int(opt["scale"])
    facts: dict[str, str] = {}
    if "gt_size" in data and "batch_size_per_gpu" in data:
        side = int(data["gt_size"]) // scale
        turned = ", flipped and turned" if data.get("use_hflip") and data.get("use_rot") else ""
        chosen = f"; of {data['crops']} random ones the one with most detail" if data.get("crops", 1) > 1 else ""
        facts["patches"] = f"{data['batch_size_per_gpu']} of {side}x{side} low-resolution pixels a GPU{turned}{chosen}"
    facts["optimizer"] = _arguments(train["optim_g"])
    facts["schedule"] = _arguments(train.get("scheduler", {}))
    warmup = int(train.get("warmup_iter") or 0)
    facts["warm-up"] = f"{warmup} iteration{'s' * (warmup > 1)}" if warmup > 0 else ""
    losses = {key.removesuffix("_opt"): value for key, value in train.items() if key.endswith("_opt") and value}
    facts["losses"] = "; ".join(f"{name}: {_arguments(value)}" for name, value in losses.items())
    facts["weight average"] = f"decay {train['ema_decay']}" if train.get("ema_decay") else "none"
    facts["gradient clipping"] = f"norm {train['grad_clip']}" if train.get("grad_clip") else "none"
    facts["precision"] = str(train.get("amp") or "float32")
    facts["network"] = _arguments(opt["network_g"])
    started = (opt.get("path") or {}).get("pretrain_network_g")
    facts["started from"] = Path(str(started)).name if started else "random weights"
    return {title: fact for title, fact in facts.items() if fact}


def _arguments(section: Mapping) -> str:
    """A section of the option file in one line, its type first."""
    others = ", ".join(
        f"{key} {_plain(value)}" for key, value in section.items() if key != "type" and value is not None
    )
    return ", ".join(part for part in (str(section.get("type", "")), others) if part)


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return f"({', '.join(f'{key} {_plain(part)}' for key, part in value.items())})"
    return f"{value:g}" if isinstance(value, float) else str(value)
