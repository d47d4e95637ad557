"""The gate: every file as it lies in the folder, in every runtime that it is for, against the training network."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aethernet.checkpoint.checkpoint import load_network
from aethernet.errors import CheckpointError, EngineError, EnvironmentProblem, MissingDependencyError
from aethernet.network.network import AetherNet
from aethernet.progress import Progress
from aethernet.quality.sets import PictureFolders
from aethernet.release import plan
from aethernet.release.plan import Product, budget
from aethernet.release.records import Check
from aethernet.runtimes.onnxruntime import OnnxRuntimeSession
from aethernet.runtimes.openvino import OpenVinoSession, import_openvino
from aethernet.runtimes.pytorch import TorchSession
from aethernet.runtimes.session import Session
from aethernet.threads import fixed_threads
from aethernet.verify.agreement import Agreement, Comparison, Run, bicubic_run, hold_against

logger = logging.getLogger(__name__)

NETWORK, BICUBIC, INT8 = "network", "bicubic", "int8"
"""The outputs that are looked at: of the float network, of bicubic, and of the int8 file for ONNX Runtime."""
Look = Callable[[str, np.ndarray, Mapping[str, np.ndarray]], None]
"""Called for each picture with its title, the picture (H, W, 3) uint8, and these outputs by name."""
OPENVINO_MISSING = "not verified in OpenVINO: the package is not installed (pip install openvino)"


@dataclass(frozen=True)
class Verdict:
    """The checks of one product, and what they do not tell."""

    product: Product
    checks: Sequence[Check]
    remarks: Sequence[str]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)


@dataclass(frozen=True)
class Prepared:
    """A file made ready in one runtime: `run` is None where the runtime refuses it."""

    runtime: str
    run: "Guarded | Run | None"
    integers: int | None = None
    convolutions: int | None = None
    refusal: str = ""

    @property
    def problem(self) -> str:
        """Why the runtime refused the file, or broke off."""
        return self.run.problem if isinstance(self.run, Guarded) else self.refusal


class Guarded:
    """A runtime's run that makes nothing but NaN once the runtime breaks off, so that the other files are still judged."""

    def __init__(self, run: Run, scale: int) -> None:
        self.run, self.scale = run, scale
        self.problem = ""

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        try:
            if not self.problem:
                return self.run(batch)
        except EngineError as error:
            self.problem = str(error)
        height, width = (self.scale * side for side in batch.shape[2:])
        return np.full((*batch.shape[:2], height, width), np.nan, np.float32)


@dataclass(frozen=True)
class Gated:
    """The verdicts in the order of the products; the network's own figures, and bicubic's, stand in the comparison."""

    comparison: Comparison
    bicubic: Agreement
    verdicts: list[Verdict]
    threads: int


def pass_gate(
    folder: Path,
    name: str,
    network: AetherNet,
    products: Sequence[Product],
    pictures: PictureFolders,
    *,
    max_drop: float,
    threads: int | None = None,
    look: Look | None = None,
    progress: Progress | None = None,
) -> Gated:
    """Holds every file against the network, as `hold_against` does.

    Args:
        network: of stage train or fused; it runs as it is, unfused.
        look: sees every picture and what became of it.
    """
    reference = TorchSession(network).run
    known: list[tuple[AetherNet, Run]] = [(network, reference)]
    prepared: dict[Product, list[Prepared]] = {}
    for product in products:
        prepared[product] = [
            _prepared(folder / f"{name}{product.suffix}", runtime, threads, known)
            for runtime in product.runtimes
            if runtime != plan.OPENVINO or openvino_is_there()
        ]
    runs = [bicubic_run(network)]
    shown = {NETWORK: 0, BICUBIC: 1}
    for product, entries in prepared.items():
        if product is plan.INT8_ORT and entries[0].run is not None:
            shown[INT8] = 1 + len(runs)
        runs += [entry.run for entry in entries if entry.run is not None]

    def watch(title: str, hr: np.ndarray, outputs: list[np.ndarray]) -> None:
        if look is not None:
            look(title, hr, {name: outputs[index] for name, index in shown.items()})

    config = network.config
    with fixed_threads(threads):
        comparison = hold_against(
            reference, runs, pictures, scale=config.scale,
            in_channels=config.in_channels, watch=watch, progress=progress,
        )  # fmt: skip
        used = torch.get_num_threads()
    bicubic, *found = comparison.runs
    figures = iter(found)
    verdicts = []
    for product, entries in prepared.items():
        holds = budget(product.precision, max_drop).holds
        checks = []
        for entry in entries:
            agreement = next(figures) if entry.run is not None else None
            if entry.problem:
                agreement = None
            passed = agreement is not None and bool(holds(agreement))
            checks.append(Check(entry.runtime, agreement, entry.integers, entry.convolutions, passed, entry.problem))
            said = _said(agreement) if agreement is not None else entry.problem
            logger.info("%s%s in %s: %s", name, product.suffix, entry.runtime, said)
        remarks = [product.remark] if product.remark else []
        if plan.OPENVINO in product.runtimes and not openvino_is_there():
            remarks.append(OPENVINO_MISSING)
        verdicts.append(Verdict(product, checks, remarks))
    return Gated(comparison, bicubic, verdicts, used)


def _said(found: Agreement) -> str:
    return (
        f"{found.psnr:.4f} dB, drop {found.drop:.4f} dB, agreement {found.agreement:.1f} dB, max error "
        f"{found.max_error:.1e}, worst {found.worst}"
    )


def openvino_is_there() -> bool:
    """Whether OpenVINO, an extra, can be imported."""
    try:
        import_openvino()
    except MissingDependencyError:
        return False
    return True


def _prepared(path: Path, runtime: str, threads: int | None, known: list[tuple[AetherNet, Run]]) -> Prepared:
    """`known` are the networks so far with their runs: one that is the same, bit for bit, is not computed again."""
    if runtime == plan.PYTORCH:
        network = load_network(path)
        run = next((run for other, run in known if _equal(network, other)), None)
        if run is None:
            run = TorchSession(network).run
            known.append((network, run))
        return Prepared(runtime, run)
    scale = known[0][0].config.scale
    try:
        if runtime == plan.OPENVINO:
            session: Session = OpenVinoSession(path, threads)
        else:
            session = OnnxRuntimeSession(path, threads=threads, as_written=runtime == plan.AS_WRITTEN)
        integers = None if runtime == plan.AS_WRITTEN else session.integer_convolutions()
        return Prepared(runtime, Guarded(session.run, scale), *(integers or (None, None)))
    except (CheckpointError, EnvironmentProblem) as error:
        return Prepared(runtime, None, refusal=str(error))


def _equal(network: AetherNet, other: AetherNet) -> bool:
    first, second = network.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
