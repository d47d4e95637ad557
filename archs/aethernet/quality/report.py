"""Scores as Markdown tables."""

from collections.abc import Sequence

from aethernet.quality.scores import QualityReport, SetScore
from aethernet.tables import footnotes, markdown_table


def quality_markdown(report: QualityReport, *, pictures: bool = True) -> str:
    """Every picture (optional), then the means: a row for each model, a column for each set, `PSNR / SSIM`."""
    parts = [_picture_table(report.scores, name) for name in _sets(report)] if pictures else []
    models = dict.fromkeys((score.model, score.scale) for score in report.scores)
    by_key = {(score.model, score.scale, score.set_name): score for score in report.scores}
    rows = [
        [model, f"x{scale}", *(_quality(by_key[model, scale, name].mean) for name in _sets(report))]
        for model, scale in models
    ]
    parts.append("Y-PSNR in dB / SSIM, mean\n\n" + markdown_table(["model", "scale", *_sets(report)], rows))
    paths = {score.path.partition(":")[0]: score.path for score in report.scores}
    models_of = {key: dict.fromkeys(s.model for s in report.scores if s.path == path) for key, path in paths.items()}
    notes = [f"{path} ({', '.join(models_of[key])})" for key, path in paths.items()]
    return "\n\n".join([*parts, footnotes([*notes, *report.notes], [report.conditions])])


def _picture_table(scores: Sequence[SetScore], set_name: str) -> str:
    columns = [score for score in scores if score.set_name == set_name]
    header = [set_name, *(f"{score.model} x{score.scale}" for score in columns)]
    rows = [
        [records[0].name, *(_quality(record) for record in records)]
        for records in zip(*([*score.pictures, score.mean] for score in columns), strict=True)
    ]
    return markdown_table(header, rows)


def _sets(report: QualityReport) -> list[str]:
    return list(dict.fromkeys(score.set_name for score in report.scores))


def _quality(record) -> str:
    return f"{record.psnr:.2f} / {record.ssim:.4f}"
