"""The whole arena: trainings one after the other, then quality, then the speed of all networks in turn."""

import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aethernet.arena.recipe import ArenaRecipe
from aethernet.arena.records import ArenaReport, Latency, NetworkResult, Quality, RunResult, arena_markdown
from aethernet.arena.runs import Run, plan
from aethernet.bench.complexity import network_complexity
from aethernet.bench.engines import pick_engines
from aethernet.bench.speed import measure_speed
from aethernet.checks import did_you_mean
from aethernet.conditions import measurement_conditions
from aethernet.errors import CheckpointError, OptionError, ProcessError, one_line
from aethernet.files import real_path, write_text
from aethernet.progress import Progress, Titled
from aethernet.quality.scores import measure_quality
from aethernet.quality.sets import PictureFolder, damage_notes, leave_out_damaged
from aethernet.runtimes.models import resolve_model
from aethernet.tables import write_json
from aethernet.version import __version__
from aethernet.wording import how_many

logger = logging.getLogger(__name__)

JSON, MARKDOWN, QUALITY = "arena.json", "arena.md", "quality.json"


def run_arena(
    recipe: ArenaRecipe,
    out: str | Path,
    *,
    only: Sequence[str] = (),
    speed: bool = True,
    progress: Titled | None = None,
) -> ArenaReport:
    """Trains and measures what is not finished yet; the results so far stand in `out` after each training.

    A training that fails is told and left out, and the others go on.

    Args:
        out: folder for everything; may hold an earlier, unfinished or smaller run of the same recipe.
        only: names of the networks to train; others are in the report if they are finished.
        speed: also measure speed.
        progress: makes a callback for each training and each measurement.

    Raises:
        OutputError: a folder below `out` holds a training by other options.
        OptionError: two sets have the same name, or there is no network of a name in `only`.
        UsageError: no such engine.
        EnvironmentProblem: an engine cannot run here.
        ProcessError: no training succeeded.
    """
    if speed:
        pick_engines(list(recipe.speed.engines))  # an engine that is not there is better told now than in the end
    sets, val = _sets(recipe, progress), PictureFolder(recipe.data.val)
    arena = _Arena(recipe, real_path(out), progress, sets, val)
    names = [network.name for network in recipe.networks]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise OptionError(f"there is no network {unknown[0]!r} in the recipe; {did_you_mean(unknown[0], names)}")
    planned = [run for run in plan(recipe, arena.out) if not only or run.network.name in only or _is_current(run)]
    for run in planned:
        if run.network.training.seconds is None or run.is_finished:  # else its length is not known yet
            run.check()
    for run in planned:
        try:
            arena.finish(run)
        except (ProcessError, CheckpointError) as error:
            logger.error("%s: %s", run.title, error)
            arena.failures.append(f"{run.title} failed: {one_line(error)}")
    if not arena.results:
        raise ProcessError("no training of the arena succeeded")
    report = arena.with_speed() if speed else arena.report()
    write(report, arena.out)
    return report


@dataclass
class _Arena:
    """What is known so far. `results` has an entry for each network with a finished training, by name."""

    recipe: ArenaRecipe
    out: Path
    progress: Titled | None
    sets: list[PictureFolder]
    val: PictureFolder
    results: dict[str, NetworkResult] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    curves: list[str] = field(default_factory=list)  # notes of those that leave out damaged pictures

    def finish(self, run: Run) -> None:
        """Trains and measures one run, as far as that is not done, and writes the report."""
        was_finished = run.is_finished
        iterations = run.iterations(self._bar(f"{run.network.name}, pace", "iteration"))
        run.check()
        curve = run.train(self._bar(run.title, "iteration"))
        self.curves += [
            f"curve of {run.title}: {each} of {self.val.name}, others were damaged" for each in curve.damaged
        ]
        result = RunResult(
            seed=run.seed,
            iterations=iterations,
            seconds=round(curve.seconds, 2),
            curve=curve.points,
            quality=self._quality(run),
            weights=run.weights.relative_to(self.out).as_posix(),
        )
        found = self.results.get(run.network.name) or self._without_runs(run)
        self.results[run.network.name] = dataclasses.replace(found, runs=[*found.runs, result])
        if not was_finished:
            write(self.report(), self.out)

    def report(self) -> ArenaReport:
        height, width = self.recipe.speed.height_width
        threads = self.recipe.speed.threads
        order = [network.name for network in self.recipe.networks]
        return ArenaReport(
            name=self.recipe.name,
            scale=self.recipe.scale,
            sets=[each.label for each in self.sets],
            val=self.val.name,
            threads=self.recipe.threads,
            recipe=dataclasses.asdict(self.recipe.training),
            networks=[self.results[name] for name in order if name in self.results],
            conditions=measurement_conditions(threads=threads, precision="fp32", size=f"input {height}x{width}"),
            notes=[*damage_notes(self.sets), *self.curves],
            failures=list(self.failures),
        )

    def with_speed(self) -> ArenaReport:
        """The report with the time of all networks in all engines, measured in turn."""
        speed = self.recipe.speed
        models = {name: self._model(name) for name in self.results}
        names = {resolve_model(model).label: name for name, model in models.items()}
        measured = measure_speed(
            list(models.values()),
            size=speed.height_width,
            engines=list(speed.engines),
            threads=speed.threads,
            rounds=speed.rounds,
            memory=False,
            progress=self._bar("speed of all networks", "round"),
        )
        latencies: dict[str, list[Latency]] = {name: [] for name in models}
        for row in measured.rows:
            times = row.timing.median_ms, row.timing.p10_ms, row.timing.p90_ms
            latencies[names[row.model]].append(Latency(row.engine, speed.threads, str(speed.size), *times))
        report = self.report()
        networks = [dataclasses.replace(network, speed=latencies[network.name]) for network in report.networks]
        return dataclasses.replace(
            report, networks=networks, notes=[*report.notes, *measured.notes], conditions=measured.conditions
        )

    def _quality(self, run: Run) -> dict[str, Quality]:
        """The quality on every set; what was measured before, with the same weights and pictures, is read."""
        path = run.folder / QUALITY
        known = {
            "aethernet": __version__,
            "sets": {folder.label: [_stamp(path) for path in folder.paths.values()] for folder in self.sets},
            "weights": _stamp(run.weights),
        }  # fmt: skip
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            if known.items() <= content.items():
                return {name: Quality(**each) for name, each in content["quality"].items()}
        report = measure_quality(
            [run.network.model(str(run.weights))],
            self.sets,
            threads=self.recipe.threads,
            progress=self.progress,
        )
        quality = {score.set_name: Quality(score.mean.psnr, score.mean.ssim) for score in report.scores}
        content = {**known, "quality": {name: dataclasses.asdict(each) for name, each in quality.items()}}
        write_text(path, json.dumps(content, indent=1) + "\n")
        return quality

    def _without_runs(self, run: Run) -> NetworkResult:
        network = run.network
        model = resolve_model(network.model(str(run.weights)))
        assert model.network is not None
        complexity = network_complexity(model.network, *self.recipe.speed.height_width, model.in_channels)
        return NetworkResult(
            name=network.name,
            spec=network.spec,
            training=dataclasses.asdict(network.training),
            params=complexity.parameters,
            macs=complexity.macs,
            trained_params=network.parameters,
            speed=[],
            runs=[],
        )

    def _model(self, name: str) -> str:
        """The text of a network with the weights of its first run."""
        network = next(each for each in self.recipe.networks if each.name == name)
        return network.model(str(self.out / self.results[name].runs[0].weights))

    def _bar(self, title: str, unit: str) -> Progress | None:
        return self.progress(title, unit) if self.progress else None


def write(report: ArenaReport, out: Path) -> None:
    """Writes `arena.json` and `arena.md`."""
    write_json(out / JSON, "arena", report)
    write_text(out / MARKDOWN, f"# {report.name}\n\n{arena_markdown(report)}\n")


def _sets(recipe: ArenaRecipe, progress: Titled | None) -> list[PictureFolder]:
    """The test sets, without pictures that cannot be read: whatever is measured later is measured on
    the same ones."""
    sets = [PictureFolder(folder) for folder in recipe.data.test]
    names = [each.name for each in sets]
    if len(set(names)) < len(names):
        raise OptionError(f"data: test: {how_many(len(names), 'folder')} with the names {', '.join(dict.fromkeys(names))} only: "
                          "they must differ")  # fmt: skip
    wanted = [(folder, name) for folder in sets for name in folder]
    bar = progress("opening", "picture") if progress else None
    leave_out_damaged(sets, wanted, recipe.data.max_damaged, bar, option="max_damaged below data")
    return sets


def _is_current(run: Run) -> bool:
    """Whether a run that is not asked for can be reported."""
    return run.is_finished and run.change() is None


def _stamp(path: Path) -> list[str | int]:
    """What changes when a file does."""
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]
