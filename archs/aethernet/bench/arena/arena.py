"""The whole arena: trainings one after the other, then quality, then the speed of all networks in turn."""

import dataclasses
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from aethernet.bench import Progress
from aethernet.bench.arena import runs, values
from aethernet.bench.arena.recipe import ArenaRecipe, Entry
from aethernet.bench.arena.records import ArenaReport, Latency, NetworkRecord, Quality, RunRecord, arena_markdown
from aethernet.bench.complexity import network_complexity
from aethernet.bench.models import resolve_model
from aethernet.bench.report import write_json
from aethernet.bench.scores import measure_quality
from aethernet.bench.sets import PictureFolder
from aethernet.bench.speed import measure_speed
from aethernet.bench.witness import take_witness
from aethernet.errors import EnvironmentProblem, OptionError
from aethernet.files import atomic_path

logger = logging.getLogger(__name__)

JSON, MARKDOWN, QUALITY = "arena.json", "arena.md", "quality.json"

Bars = Callable[[str], Progress]
"""Makes the callback of one step, from its title."""


def run_arena(
    recipe: ArenaRecipe,
    out: str | Path,
    *,
    only: Sequence[str] = (),
    speed: bool = True,
    progress: Bars | None = None,
) -> ArenaReport:
    """Trains and measures what is not finished yet; the results so far stand in `out` after each training.

    A training that fails is told and left out, and the others go on.

    Args:
        out: folder for everything; may hold an earlier, unfinished or smaller run of the same recipe.
        only: names of the networks to train; others are in the report if they are finished.
        speed: also measure speed.
        progress: makes a callback for each training and each measurement.

    Raises:
        OptionError: a folder below `out` holds a training by other options, or two sets have the same name.
        EnvironmentProblem: no training succeeded.
    """
    out = Path(out).resolve()
    sets = {PictureFolder(folder).name: folder for folder in recipe.data.test}
    if len(sets) < len(recipe.data.test):
        raise OptionError(f"data: test: the sets must have different names, not {', '.join(sets)} for "
                          f"{len(recipe.data.test)} folders")  # fmt: skip
    names = [entry.name for entry in recipe.networks]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise OptionError(f"there is no network {unknown[0]!r} in the recipe; {values.near(unknown[0], names)}")
    planned = [run for run in runs.plan(recipe, out) if not only or run.entry.name in only or runs.is_finished(run)]
    for run in planned:
        if run.entry.training.iterations is not None:
            runs.check(run, recipe, run.entry.training.iterations)
    records: dict[str, list[RunRecord]] = {}
    failures: list[str] = []
    for run in planned:
        try:
            record = _finished_run(run, recipe, out, sets, progress)
        except EnvironmentProblem as error:
            logger.error("%s", error)
            failures.append(f"{run.title} failed: {str(error).splitlines()[0]}")
            continue
        records.setdefault(run.entry.name, []).append(record)
        report = _report(recipe, out, sets, records, failures)
        _write(report, out)
    if not records:
        raise EnvironmentProblem("no training of the arena succeeded:\n" + "\n".join(failures))
    if speed:
        report = _with_speed(report, recipe, out, progress)
    report = dataclasses.replace(report, failures=failures)
    _write(report, out)
    return report


def _finished_run(
    run: runs.Run, recipe: ArenaRecipe, out: Path, sets: dict[str, Path], progress: Bars | None
) -> RunRecord:
    """One run trained and measured, as far as that is not done."""
    title = run.title
    iterations = runs.iterations_of(run, recipe, progress and progress(f"{title}: speed"))
    runs.check(run, recipe, iterations)
    curve = runs.train(run, recipe, iterations, progress and progress(title))
    return RunRecord(
        seed=run.seed,
        iterations=iterations,
        seconds=round(curve.seconds, 2),
        curve=curve.points,
        quality=_quality(run, recipe, sets, progress),
        weights=str(run.weights.relative_to(out)),
    )


def _quality(run: runs.Run, recipe: ArenaRecipe, sets: dict[str, Path], progress: Bars | None) -> dict[str, Quality]:
    """The quality on every set; what was measured before, with the same weights and folders, is read."""
    path = run.folder / QUALITY
    folders = {name: str(folder) for name, folder in sets.items()}
    stamp = run.weights.stat().st_mtime
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["sets"] == folders and content["weights"] == stamp:
            return {name: Quality(**each) for name, each in content["quality"].items()}
    model = run.entry.contender.model(str(run.weights))
    report = measure_quality([model], list(sets.values()), threads=recipe.threads, progress=progress)
    quality = {score.set_name: Quality(score.mean.psnr, score.mean.ssim) for score in report.scores}
    content = {"sets": folders, "weights": stamp, "quality": {name: vars(each) for name, each in quality.items()}}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return quality


def _report(
    recipe: ArenaRecipe, out: Path, sets: dict[str, Path], records: dict[str, list[RunRecord]], failures: list[str]
) -> ArenaReport:
    height, width = recipe.speed.size
    networks = []
    for entry in recipe.networks:
        if entry.name not in records:
            continue
        subject = resolve_model(_model(entry, records[entry.name], out))
        assert subject.network is not None
        complexity = network_complexity(subject.network, height, width, subject.in_channels)
        networks.append(
            NetworkRecord(
                name=entry.name,
                spec=entry.contender.spec,
                params=complexity.parameters,
                macs=complexity.macs,
                trained_params=entry.contender.parameters,
                speed=[],
                runs=records[entry.name],
            )
        )
    return ArenaReport(
        name=recipe.name,
        scale=recipe.scale,
        sets=list(sets),
        val=recipe.data.val.name,
        recipe=dataclasses.asdict(recipe.training),
        networks=networks,
        witness=take_witness(threads=recipe.speed.threads, precision="fp32", size=f"input {height}x{width}"),
        failures=list(failures),
    )


def _with_speed(report: ArenaReport, recipe: ArenaRecipe, out: Path, progress: Bars | None) -> ArenaReport:
    """All networks in all engines in one interleaved measurement."""
    speed = recipe.speed
    entries = {entry.name: entry for entry in recipe.networks}
    models = {network.name: _model(entries[network.name], network.runs, out) for network in report.networks}
    labels = {resolve_model(model).label: name for name, model in models.items()}
    measured = measure_speed(
        list(models.values()),
        size=speed.size,
        engines=list(speed.engines),
        threads=speed.threads,
        rounds=speed.rounds,
        memory=False,
        progress=progress and progress("speed of all networks"),
    )
    latencies: dict[str, list[Latency]] = {name: [] for name in models}
    for row in measured.rows:
        size = f"{speed.size[0]}x{speed.size[1]}"
        timing = row.timing
        latencies[labels[row.model]].append(
            Latency(row.engine, speed.threads, size, timing.median_ms, timing.p10_ms, timing.p90_ms)
        )
    networks = [dataclasses.replace(network, speed=latencies[network.name]) for network in report.networks]
    return dataclasses.replace(report, networks=networks, notes=measured.notes, witness=measured.witness)


def _model(entry: Entry, records: Sequence[RunRecord], out: Path) -> str:
    """The text of the network with the weights of its first run."""
    return entry.contender.model(str(out / records[0].weights))


def _write(report: ArenaReport, out: Path) -> None:
    write_json(out / JSON, "arena", cast(Any, report))
    with atomic_path(out / MARKDOWN) as temporary:
        temporary.write_text(f"# {report.name}\n\n{arena_markdown(report)}\n", encoding="utf-8")
