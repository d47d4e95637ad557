"""`aethernet train` and `aethernet test`: BasicSR's own pipelines, with its faults mended from outside.

The experiments and results go below the current folder, wherever BasicSR is installed. Nothing in BasicSR's files
changes; while its pipeline runs, the functions that `repairs` lists stand in for its own.
"""

import contextlib
import dataclasses
import importlib
import logging
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from aethernet.data.opencv import opencv
from aethernet.errors import MissingDependencyError
from aethernet.integrations.basicsr import compat
from aethernet.integrations.basicsr.pipeline import option_file
from aethernet.integrations.registry import register_architectures

Replacement = tuple[object, str, object]
"""A module or class of BasicSR, a name in it, and what stands there while the pipeline runs."""


@dataclasses.dataclass(frozen=True)
class Flags:
    """What BasicSR's command line takes."""

    opt: str
    launcher: str = "none"
    auto_resume: bool = False
    debug: bool = False
    local_rank: int = 0
    force_yml: Sequence[str] = ()

    def arguments(self) -> list[str]:
        """The flags as BasicSR parses them from `sys.argv`."""
        arguments = ["-opt", self.opt]
        arguments += ["--launcher", self.launcher] if self.launcher != "none" else []
        arguments += [flag for flag, is_set in (("--auto_resume", self.auto_resume), ("--debug", self.debug)) if is_set]
        arguments += ["--local_rank", str(self.local_rank)] if self.local_rank else []
        return [*arguments, "--force_yml", *self.force_yml] if self.force_yml else arguments


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during training; the text says how to go on."""


def run(flags: Flags, *, is_train: bool, root: Path | None = None) -> None:
    """Trains or tests as the option file says, below `root` (default: the current folder).

    Raises:
        OptionError: the option file is refused; nothing has been created then.
        MissingDependencyError: BasicSR, or OpenCV that it reads with, is missing or does not import.
        Interrupted: Ctrl-C.
    """
    opt = option_file.read(flags.opt, is_train=is_train)
    option_file.check_overrides(opt, flags.force_yml)
    pipeline = load_basicsr(is_train)
    from basicsr.utils import options

    from aethernet.integrations.basicsr.pipeline import distributed

    parse_value = option_file.with_numbers(options._postprocess_yml_value)
    option_file.check_overridden(opt, flags.force_yml, parse_value, is_train=is_train, debug=flags.debug)
    command = ["aethernet train" if is_train else "aethernet test", *flags.arguments()]
    session = Session(root or Path.cwd(), is_train=is_train)
    session.places = option_file.Places(flags.opt, flags.force_yml)
    finished = False
    try:
        with contextlib.ExitStack() as stack:
            # BasicSR parses the command line itself, and copies it into the experiment's option file.
            for replacement in [(sys, "argv", command), *repairs(pipeline, session, on_cpu=opt["num_gpu"] == 0)]:
                stack.enter_context(replaced(*replacement))
            getattr(pipeline, "train_pipeline" if is_train else "test_pipeline")(str(session.root))
        session.say_damaged()
        finished = True
    except KeyboardInterrupt as interrupt:
        raise Interrupted(session.farewell()) from interrupt
    finally:
        distributed.leave(in_order=finished)


def load_basicsr(is_train: bool) -> ModuleType:
    """Imports BasicSR, registers everything of this package, and returns its module `train` or `test`."""
    opencv("BasicSR")
    compat.apply()
    try:
        pipeline = importlib.import_module("basicsr.train" if is_train else "basicsr.test")
    except (ImportError, RuntimeError) as error:
        raise MissingDependencyError(
            f"BasicSR is missing or does not import ({error}): `aethernet doctor` names the command that mends it"
        ) from error
    from aethernet.integrations.basicsr.data import datasets
    from aethernet.integrations.basicsr.training import models

    register_architectures("basicsr")
    models.register()
    datasets.register()
    return pipeline


class Session:
    """What the stand-ins of one run share."""

    def __init__(self, root: Path, *, is_train: bool) -> None:
        from aethernet.integrations.basicsr.pipeline.run_state import RunState

        self.root = root
        self.is_train = is_train
        self.run_state = RunState()
        self.opt: dict | None = None
        self.places: Callable[[str], str] = lambda problem: ""

    def parse_options(self, parse: Callable) -> Callable:
        """BasicSR's `parse_options`, followed by the pre-flight check, before anything is created."""
        from aethernet.integrations.basicsr import preflight
        from aethernet.integrations.basicsr.pipeline import distributed
        from aethernet.integrations.basicsr.pipeline.resumed_settings import settings

        def parse_and_check(root_path: str, is_train: bool = True) -> tuple:
            opt, args = parse(root_path, is_train)
            if args.force_yml is not None:
                seed_again(opt)
            if opt["rank"] != 0:
                logging.getLogger("aethernet").setLevel(logging.ERROR)
            resuming = bool(opt["auto_resume"] or opt["path"].get("resume_state"))
            distributed.all_or_none(lambda: preflight.check(opt, root_path, is_train, resuming, self.places))
            if (opt.get("val") or {}).get("pbar") and not sys.stderr.isatty():
                opt["val"]["pbar"] = False  # BasicSR's bars fill a log with thousands of lines
            self.opt = opt
            self.run_state.seed = opt["manual_seed"]
            self.run_state.settings = settings(opt) if is_train else {}
            return opt, args

        return parse_and_check

    def load_resume_state(self, opt: dict) -> dict | None:
        from aethernet.integrations.basicsr.pipeline import resume

        state = resume.load_resume_state(opt)
        if state is not None:
            self.run_state.resume(state)
        return state

    def say_damaged(self) -> None:
        """The last word of a test of which pictures were left out: behind the figures of each set it stands in the log."""
        counts = [f"{each.opt['name']} {len(each.damaged)}" for each in self.run_state.measured if len(each.damaged)]
        if counts and not self.is_train:
            logging.getLogger("basicsr").warning(
                "damaged pictures that are no part of the figures above: %s", ", ".join(counts)
            )

    def farewell(self) -> str:
        """What to say after Ctrl-C."""
        if not self.is_train or self.opt is None or not any(Path(self.opt["path"]["training_states"]).glob("*.state")):
            return "interrupted"
        return "interrupted; the same command with --auto_resume goes on from the newest checkpoint"


def seed_again(opt: dict) -> None:
    """BasicSR seeds before it reads `--force_yml manual_seed=...`, which would then be in the log and nowhere else."""
    from basicsr.utils import set_random_seed

    if opt["manual_seed"] is None:
        opt["manual_seed"] = random.randint(1, 10000)  # as BasicSR draws it for a file without one
    set_random_seed(opt["manual_seed"] + opt["rank"])


def repairs(pipeline: ModuleType, session: Session, *, on_cpu: bool) -> list[Replacement]:
    """All that is replaced in BasicSR; each stand-in says why. BasicSR's modules import names, so users are patched."""
    import torch
    from basicsr.data import prefetch_dataloader
    from basicsr.models.base_model import BaseModel
    from basicsr.utils import options

    from aethernet.integrations.basicsr.data.prefetching import TellingGenerator
    from aethernet.integrations.basicsr.pipeline import distributed, run_state
    from aethernet.integrations.basicsr.training import weights

    table: list[Replacement] = [
        (pipeline, "parse_options", session.parse_options(pipeline.parse_options)),
        (options, "_postprocess_yml_value", option_file.with_numbers(options._postprocess_yml_value)),
        (options, "osp", option_file.with_lists_of_folders(options.osp)),
        (options, "init_dist", distributed.starter(on_cpu=on_cpu)),
        (prefetch_dataloader, "PrefetchGenerator", TellingGenerator),
    ]
    if on_cpu or not torch.cuda.is_available():
        table.append((BaseModel, "model_to_device", distributed.model_to_device(BaseModel.model_to_device)))
    state = session.run_state
    table += [
        (pipeline, "build_dataset", state.build_dataset),
        (pipeline, "build_dataloader", state.build_dataloader),
    ]
    if not session.is_train:
        return [*table, (pipeline, "build_model", run_state.build_stating_model)]
    return [
        *table,
        (pipeline, "load_resume_state", session.load_resume_state),
        (pipeline, "create_train_val_dataloader", state.create_loaders(pipeline.create_train_val_dataloader)),
        (pipeline, "EnlargedSampler", state.build_sampler),
        (pipeline, "CPUPrefetcher", state.counting(pipeline.CPUPrefetcher)),
        (pipeline, "CUDAPrefetcher", state.counting(pipeline.CUDAPrefetcher)),
        (pipeline, "build_model", state.build_model),
        (pipeline, "MessageLogger", run_state.message_logger(pipeline.MessageLogger)),
        # The writing of the model classes here, whole or not at all, for BasicSR's own classes as well.
        (BaseModel, "save_network", weights.WholeCheckpoints.save_network),
        (BaseModel, "save_training_state", weights.WholeCheckpoints.save_training_state),
        (weights, "write_whole", state.write_state(weights.write_whole)),
    ]


@contextlib.contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Sets an attribute for a while."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
