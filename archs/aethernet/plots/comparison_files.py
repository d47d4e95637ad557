"""A comparison read back from the JSON files that `aethernet bench arena`, `quality` and `speed` wrote."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aethernet.conditions import Conditions
from aethernet.errors import DataError, UsageError
from aethernet.plots.comparison import Comparison, Contestant, CurvePoint, Latency, Run, Setting

KINDS = ("arena", "quality", "speed")
NUMBER = (int, float)


def read_comparison(paths: Sequence[str | Path]) -> Comparison:
    """Reads files of `bench arena`, or of `bench quality --json` and `bench speed --json`, and merges them.

    Networks are matched by name (label). Runs of other lengths or seeds in another file are added; a run that
    comes twice is taken once.

    Raises:
        DataError: a file that cannot be read, is of another kind or lacks a field; scales or specs that disagree; a network
            that `bench quality` measured twice on a set.
    """
    if not paths:
        raise UsageError("no file given: give the JSON files that `aethernet bench arena` wrote")
    files = [(Path(path), *_read(Path(path))) for path in paths]
    comparison = Comparison(Path(paths[0]).stem, 0, "", [], [])
    for path, kind, content in files:
        if kind == "arena":
            comparison.name = comparison.name if comparison.val else str(_get(content, "name", str, str(path)))
            _add_arena(comparison, content, path)
    for path, kind, content in files:
        if kind == "quality":
            _add_quality(comparison, content, path)
    for path, kind, content in files:
        if kind == "speed":
            _add_speed(comparison, content, path)
    if not any(network.runs for network in comparison.networks):
        raise DataError(
            "these files hold no PSNR: give what `aethernet bench arena` wrote, or a file of `bench quality --json` "
            "beside that of `bench speed --json`"
        )
    if not comparison.sets:
        raise DataError("the networks were measured on different picture sets: no set is common to all of them")
    return comparison


def _add_arena(comparison: Comparison, content: dict, path: Path) -> None:
    _same_scale(comparison, _get(content, "scale", int, str(path)), path)
    comparison.val = comparison.val or _get(content, "val", str, str(path))
    comparison.conditions.append(_conditions(content, path))
    for number, record in enumerate(_get(content, "networks", list, str(path))):
        where = f"{path}: networks[{number}]"
        network = _network(comparison, _get(record, "name", str, where), _get(record, "spec", str, where), where)
        network.params = _get(record, "params", int, where)
        for item in _get(record, "speed", list, where):
            setting = Setting(
                _get(item, "engine", str, where),
                _get(item, "threads", int, where),
                _plain_size(_get(item, "size", str, where)),
            )
            network.speed[setting] = _latency(item, where)
        runs = {(run.iterations, run.seed): run for run in network.runs}
        for item in _get(record, "runs", list, where):
            run = _run(item, where)
            runs[run.iterations, run.seed] = run
        network.runs = list(runs.values())


def _add_quality(comparison: Comparison, content: dict, path: Path) -> None:
    comparison.conditions.append(_conditions(content, path))
    found: dict[str, dict[str, float]] = {}
    for number, score in enumerate(_get(content, "scores", list, str(path))):
        where = f"{path}: scores[{number}]"
        _same_scale(comparison, _get(score, "scale", int, where), path)
        psnr = _get(_get(score, "mean", dict, where), "psnr", NUMBER, where)
        model, set_name = _get(score, "model", str, where), _get(score, "set_name", str, where)
        known = [run.psnr for run in _network(comparison, model, model, where).runs if not run.iterations]
        if any(set_name in psnr_of for psnr_of in (*known, found.setdefault(model, {}))):
            raise DataError(
                f"{where}: {model!r} comes twice for {set_name}: give weights files of different names, and each only "
                "once"
            )
        found[model][set_name] = float(psnr)
    for model, psnr_of in found.items():
        _network(comparison, model, model, str(path)).runs.append(Run(0, 0, 0.0, (), psnr_of))


def _add_speed(comparison: Comparison, content: dict, path: Path) -> None:
    conditions = _conditions(content, path)
    comparison.conditions.append(conditions)
    for number, row in enumerate(_get(content, "rows", list, str(path))):
        where = f"{path}: rows[{number}]"
        _same_scale(comparison, _get(row, "scale", int, where), path)
        model = _get(row, "model", str, where)
        network = _network(comparison, model, model, where)
        network.params = network.params or _get(_get(row, "complexity", dict, where), "parameters", int, where)
        setting = Setting(_get(row, "engine", str, where), conditions.threads, _plain_size(conditions.size))
        network.speed[setting] = _latency(_get(row, "timing", dict, where), where)


def _network(comparison: Comparison, name: str, spec: str, where: str) -> Contestant:
    """The contestant of that name, new if there is none."""
    for network in comparison.networks:
        if network.name == name:
            if spec not in (network.spec, name):
                raise DataError(
                    f"{where}: {name!r} is {spec} here and {network.spec} in a file before: names must differ for "
                    "networks that differ"
                )
            return network
    comparison.networks.append(Contestant(name, spec))
    return comparison.networks[-1]


def _run(item: dict, where: str) -> Run:
    curve = tuple(
        CurvePoint(
            _get(point, "iteration", int, where),
            float(_get(point, "seconds", NUMBER, where)),
            float(_get(point, "psnr", NUMBER, where)),
        )
        for point in _get(item, "curve", list, where)
    )
    quality = _get(item, "quality", dict, where)
    return Run(
        _get(item, "seed", int, where),
        _get(item, "iterations", int, where),
        float(_get(item, "seconds", NUMBER, where)),
        curve,
        {name: float(_get(score, "psnr", NUMBER, f"{where}, {name}")) for name, score in quality.items()},
    )


def _latency(item: dict, where: str) -> Latency:
    median, p10, p90 = (float(_get(item, key, NUMBER, where)) for key in ("median_ms", "p10_ms", "p90_ms"))
    if not 0 < p10 <= median <= p90:
        raise DataError(f"{where}: times must be positive and ordered, not p10 {p10}, median {median}, p90 {p90} ms")
    return Latency(median, p10, p90)


def _plain_size(text: str) -> str:
    return text.removeprefix("input ")


def _same_scale(comparison: Comparison, scale: int, path: Path) -> None:
    comparison.scale = comparison.scale or scale
    if scale != comparison.scale:
        raise DataError(f"{path} holds networks of x{scale}, others are of x{comparison.scale}: plot each scale alone")


def _conditions(content: dict, path: Path) -> Conditions:
    key = "witness" if "witness" in content else "conditions"  # the word of files written before 26 November 2026
    record = _get(content, key, dict, str(path))
    fields = dataclasses.fields(Conditions)
    return Conditions(**{one.name: _get(record, one.name, (str, int), f"{path}: {key}") for one in fields})


def _read(path: Path) -> tuple[str, dict]:
    """The kind of a file and its content."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # not UTF-8, or not JSON
        raise DataError(f"{path} is no JSON file ({error}): give what `aethernet bench ... --json` wrote") from error
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind not in KINDS:
        raise DataError(f"{path} is of kind {kind!r}; what can be plotted is {_listing(KINDS)}")
    return kind, content


def _get(record: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """An entry of the wanted type; booleans are no numbers."""
    if not isinstance(record, dict) or key not in record:
        raise DataError(f"{where} has no {key!r}: it is not a complete file of `aethernet bench`")
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise DataError(f"{where}: {key} must be {_listing([one.__name__ for one in kinds])}, not {value!r}")
    return value


def _listing(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
