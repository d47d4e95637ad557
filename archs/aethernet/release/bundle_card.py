"""README.md of a bundle: what its model card says beside what every card says."""

from aethernet.network.config import AetherConfig
from aethernet.release.card import Card
from aethernet.release.ncnn import ncnn_guide
from aethernet.release.origin import Origin
from aethernet.release.records import FileRecord, Report
from aethernet.release.snippets import snippets
from aethernet.release.tensorrt import NOTE
from aethernet.tables import agreement, markdown_table, megabytes, signed
from aethernet.wording import how_many


def bundle_card(report: Report, config: AetherConfig, origin: Origin) -> Card:
    """The card; it speaks of files that are in the bundle alone."""
    loading = [f"{title}:\n\n```python\n{code}\n```" for title, code in snippets(report).items()]
    picture = "`picture` is (1, C, H, W), float32 in [0, 1], RGB (C is 1 for a grey network)."
    sets = dict.fromkeys(title.rpartition("/")[0] for title in report.pictures)
    return Card(
        name=report.name,
        config=config,
        origin=origin,
        summary=_summary(report),
        scores={", ".join(sets): report.network},
        before={
            "Files": _files(report),
            "Load it": "\n\n".join([picture, *loading]),
            "Figures": _figures(report),
            "Speed": _speed(report),
            "TensorRT": _tensorrt(report),
            "Upscayl and other programs on ncnn": _ncnn(report),
            "int8": report.int8,
        },
    )


def _summary(report: Report) -> str:
    radius = report.receptive_radius
    tiles = (
        f"Tiles that overlap by {radius} input pixels equal the whole picture."
        if radius is not None
        else "It looks at the whole picture: tiles differ from it."
    )
    missing = [f"{record.file} ({record.problem})" for record in report.files if not record.passed]
    failed = f" Not in this bundle, for they failed their gate: {'; '.join(missing)}." if missing else ""
    return (
        f"Any size; {how_many(report.parameters, 'parameter')} when fused. {tiles} Every file was compared with the training network "
        f"on {how_many(len(report.pictures), 'picture')}; `report.html` shows it, `SHA256SUMS` has the checksums.{failed}"
    )


def _files(report: Report) -> str:
    rows = [
        ["<br>".join(record.names), record.precision, record.purpose, megabytes(record.bytes)] for record in report.kept
    ]
    remarks = [f"- `{record.file}`: {remark}" for record in report.kept for remark in record.remarks]
    remarks += [f"- {note}." for note in report.left_out]
    return "\n\n".join([markdown_table(["file", "precision", "for", "size"], rows), "\n".join(remarks)]).strip()


def _figures(report: Report) -> str:
    header = ["file", "runtime", "PSNR (Y)", "SSIM", "drop", "agreement", "max error", "worst picture"]
    rows: list[list[object]] = [
        ["bicubic", "-", f"{report.bicubic.psnr:.2f}", f"{report.bicubic.ssim:.4f}", *["-"] * 4],
        ["training network", "PyTorch", f"{report.network.psnr:.2f}", f"{report.network.ssim:.4f}", *["-"] * 4],
    ]
    rows += [row for record in report.kept for row in _checks(record)]
    text = (
        f"{how_many(len(report.pictures), 'picture')}, reduced by MATLAB-like bicubic, whole, a border of {how_many(report.scale, 'pixel')} left "
        "out. Agreement is the PSNR between the outputs of the file and of the training network."
    )
    return "\n\n".join([text, markdown_table(header, rows), report.conditions.sentence()])


def _checks(record: FileRecord) -> list[list[object]]:
    rows: list[list[object]] = []
    for check in record.checks:
        found = check.figures
        if found is None:
            continue
        worst = f"{found.worst} ({signed(found.worst_drop, 2)} dB)" if found.max_error else "-"
        rows.append([
            record.file, check.runtime, f"{found.psnr:.2f}", f"{found.ssim:.4f}", f"{signed(found.drop, 3)} dB",
            agreement(found.agreement), f"{found.max_error:.1e}", worst,
        ])  # fmt: skip
    return rows


def _speed(report: Report) -> str:
    if not report.speed:
        return ""
    rows = [[row.file, row.runtime, f"{row.timing.median_ms:.1f}", f"{row.timing.ratio:.2f}"] for row in report.speed]
    return markdown_table(["file", "runtime", "ms", "ratio"], rows) + f"\n\n{report.speed_conditions.sentence()}"


def _tensorrt(report: Report) -> str:
    lines = "\n".join(line.command for line in report.tensorrt)
    return f"{NOTE}\n\n```\n{lines}\n```" if lines else ""


def _ncnn(report: Report) -> str:
    guide = ncnn_guide(report)
    if guide is None:
        return ""
    points = "\n".join(f"- {point}" for point in guide.points)
    return "\n\n".join([guide.introduction, *([f"```\n{guide.command}\n```"] if guide.command else []), points])
