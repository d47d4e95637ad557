"""A comparison read back from the JSON files that `aethernet bench arena`, `quality` and `speed` wrote."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from aethernet.arena.records import ArenaReport, Latency, Quality, RunResult
from aethernet.bench.speed import SpeedReport
from aethernet.errors import DataError
from aethernet.plots.comparison import Comparison, Network, Setting
from aethernet.quality.scores import QualityReport

FILE_ENDING = r"\.(onnx|param|pth|pt|ckpt|safetensors)$"
KINDS = {"arena": ArenaReport, "quality": QualityReport, "speed": SpeedReport}


def read_comparison(paths: Sequence[str | Path]) -> Comparison:
    """Reads files of `bench arena`, or of `bench quality --json` and `bench speed --json`, and merges them.

    Networks are matched by name (label). Runs of other lengths or seeds in another file are added; a run that
    comes twice is taken once.

    Raises:
        DataError: a file that cannot be read, is of another kind or lacks a field; scales or specs that disagree; a network
            that `bench quality` measured twice on a set.
    """
    if not paths:
        raise DataError("no file given: give the JSON files that `aethernet bench arena` wrote")
    reports = [(str(path), _read(Path(path))) for path in paths]
    comparison = Comparison(Path(paths[0]).stem)
    for path, report in sorted(reports, key=lambda item: list(KINDS.values()).index(type(item[1]))):
        comparison.conditions.append(report.conditions)
        if isinstance(report, ArenaReport):
            _add_arena(comparison, report, path)
        elif isinstance(report, QualityReport):
            _add_quality(comparison, report, path)
        else:
            _add_speed(comparison, report, path)
    if not any(network.runs for network in comparison.networks):
        raise DataError(
            "these files hold no PSNR: give what `aethernet bench arena` wrote, or a file of `bench quality --json` "
            "beside that of `bench speed --json`"
        )
    if not comparison.sets:
        raise DataError("the networks were measured on different picture sets: no set is common to all of them")
    _drop_endings(comparison.networks)
    return comparison


def _add_arena(comparison: Comparison, report: ArenaReport, path: str) -> None:
    _same_scale(comparison, report.scale, path)
    if not comparison.val:
        comparison.name, comparison.val = report.name, report.val
    for result in report.networks:
        network = _network(comparison, result.name, result.spec, path)
        network.params = result.params
        for latency in result.speed:
            network.speed[Setting(latency.engine, latency.threads, _plain_size(latency.size))] = latency
        runs = {(run.iterations, run.seed): run for run in (*network.runs, *result.runs)}
        network.runs = list(runs.values())


def _add_quality(comparison: Comparison, report: QualityReport, path: str) -> None:
    for score in report.scores:
        _same_scale(comparison, score.scale, path)
        network = _network(comparison, score.model, score.model, path)
        measured = next((run for run in network.runs if not run.iterations), None)
        if measured is None:
            measured = RunResult(seed=0, iterations=0, seconds=0.0, curve=[], quality={}, weights="")
            network.runs.append(measured)
        if score.set_name in measured.quality:
            raise DataError(
                f"{path}: {score.model!r} comes twice for {score.set_name}: give weights files of different names, and "
                "each only once"
            )
        measured.quality[score.set_name] = Quality(score.mean.psnr, score.mean.ssim)


def _add_speed(comparison: Comparison, report: SpeedReport, path: str) -> None:
    for row in report.rows:
        _same_scale(comparison, row.scale, path)
        network = _network(comparison, row.model, row.model, path)
        network.params = network.params or row.complexity.parameters
        setting = Setting(row.engine, report.conditions.threads, _plain_size(report.conditions.size))
        times = row.timing.median_ms, row.timing.p10_ms, row.timing.p90_ms
        network.speed[setting] = Latency(setting.engine, setting.threads, setting.size, *times)


def _network(comparison: Comparison, name: str, spec: str, path: str) -> Network:
    """The network of that name, new if there is none."""
    for network in comparison.networks:
        if network.name == name:
            if spec not in (network.spec, name):
                raise DataError(
                    f"{path}: {name!r} is {spec} here and {network.spec} in a file before: names must differ for "
                    "networks that differ"
                )
            return network
    comparison.networks.append(Network(name, spec))
    return comparison.networks[-1]


def _drop_endings(networks: Sequence[Network]) -> None:
    """Networks that are files are called as the files without their endings, unless two would be called alike."""
    short = {network.name: re.sub(FILE_ENDING, "", network.name) for network in networks}
    if len(set(short.values())) == len(short):
        for network in networks:
            network.name = short[network.name]


def _plain_size(text: str) -> str:
    return text.removeprefix("input ")


def _same_scale(comparison: Comparison, scale: int, path: str) -> None:
    comparison.scale = comparison.scale or scale
    if scale != comparison.scale:
        raise DataError(f"{path} holds networks of x{scale}, others are of x{comparison.scale}: plot each scale alone")


def _read(path: Path) -> ArenaReport | QualityReport | SpeedReport:
    """The records of a file, as it says its kind is."""
    try:
        content = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no JSON file ({error}): give what `aethernet bench ... --json` wrote") from error
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind not in KINDS:
        raise DataError(f"{path} is of kind {kind!r}; what can be plotted is {', '.join(KINDS)}")
    if "witness" in content:  # the word of files written before 26 November 2026
        content["conditions"] = content.pop("witness")
    try:
        return msgspec.convert(content, KINDS[kind])
    except msgspec.ValidationError as error:
        raise DataError(f"{path} is not a complete file of `aethernet bench {kind}`: {error}") from error
