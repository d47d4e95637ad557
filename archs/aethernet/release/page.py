"""report.html: everything that a release found, on one page that asks for nothing outside itself."""

import string
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from aethernet.release import plan
from aethernet.release.card import agreement_text, megabytes, signed
from aethernet.release.charts import picture_drops, quality_latency
from aethernet.release.crops import ORIGINAL, Crop, data_uri
from aethernet.release.gate import BICUBIC, INT8, NETWORK
from aethernet.release.records import Check, FileRecord, Report
from aethernet.release.snippets import snippets
from aethernet.release.tensorrt import NOTE

TEMPLATES = Path(__file__).parent / "template"
PAIRS = ((BICUBIC, NETWORK), (NETWORK, INT8), (NETWORK, ORIGINAL), (INT8, ORIGINAL))
"""What the slider can compare, left and right; the first one is shown first."""
TITLES = {BICUBIC: "bicubic", NETWORK: "float32", INT8: "int8", ORIGINAL: "original"}
SHORT_SUM = 12
LARGEST_LAYERS = 8
"""How many layers the table of float16 ranges shows."""


def page_html(report: Report, crops: Sequence[Crop]) -> str:
    """The whole page."""
    template = string.Template((TEMPLATES / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        style=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
        script=(TEMPLATES / "page.js").read_text(encoding="utf-8"),
        name=escape(report.name),
        lead=_lead(report),
        verdict=_verdict(report),
        facts=_facts(report),
        crops=_crops(crops),
        plots=_plots(report),
        files=_files(report),
        checks=_checks(report),
        speed=_speed(report),
        snippets="".join(_code(escape(title), code) for title, code in snippets(report).items()),
        half=_half(report),
        tensorrt=_tensorrt(report),
        notes=_notes(report),
    )


def _lead(report: Report) -> str:
    colours = "RGB" if report.in_channels == 3 else "grey"
    return (
        f"AetherNet {escape(report.variant)}, ×{report.scale}, {colours}, {report.parameters:,} parameters when fused. "
        f"Every file was held against the training network on {len(report.pictures)} "
        f"picture{'s' if len(report.pictures) != 1 else ''}, {escape(report.conditions.date)}."
    )


def _verdict(report: Report) -> str:
    failed = [record for record in report.files if not record.passed]
    if not failed:
        return f'<p class="verdict passed">All {len(report.files)} files passed their gate.</p>'
    names = "; ".join(f"<code>{escape(record.file)}</code>: {escape(record.problem)}" for record in failed)
    return f'<p class="verdict failed">Not in this bundle, for they failed their gate. {names}.</p>'


def _facts(report: Report) -> str:
    """The four figures that a reader wants first, as far as there are such files."""
    facts = [("float32", f"{report.network.psnr:.2f} dB", f"{report.network.psnr - report.bicubic.psnr:+.2f} dB over bicubic")]  # fmt: skip
    fp32, int8 = report.find(plan.FP32.suffix), report.find(plan.INT8_ORT.suffix)
    if int8 and (figures := int8.checks[0].figures):
        facts.append(("int8", f"{figures.psnr:.2f} dB", f"{signed(figures.drop, 3)} dB drop"))
        if fp32:
            facts.append(
                ("int8 size", megabytes(int8.bytes), f"{fp32.bytes / int8.bytes:.1f} times smaller than float32")
            )
        row = next((row for row in report.speed if row.file == int8.file), None)
        if row:
            facts.append(("int8 time", f"{row.timing.median_ms:.1f} ms", f"{1 / row.timing.ratio:.2f} times as fast as float32"))  # fmt: skip
    return "".join(
        f"<div><dt>{title}</dt><dd><strong>{value}</strong> <span>{more}</span></dd></div>"
        for title, value, more in facts
    )


def _crops(crops: Sequence[Crop]) -> str:
    """The choice of a pair, then a figure with a slider for each crop."""
    if not crops:
        return ""
    kinds = set(crops[0].windows)
    pairs = [pair for pair in PAIRS if kinds.issuperset(pair)]
    choices = "".join(
        f'<label><input type="radio" name="pair" value="{left} {right}"{" checked" if number == 0 else ""}> '
        f"{TITLES[left]} | {TITLES[right]}</label>"
        for number, (left, right) in enumerate(pairs)
    )
    figures = "".join(_figure(number, crop, pairs[0]) for number, crop in enumerate(crops))
    return (
        f'<fieldset class="pairs"><legend>Left | right</legend>{choices}</fieldset><div class="crops">{figures}</div>'
    )


def _figure(number: int, crop: Crop, pair: tuple[str, str]) -> str:
    title = escape(crop.title)
    side = crop.windows[ORIGINAL].shape[0]
    roles = dict(zip(pair, (" left", " right"), strict=True))
    layers = "".join(
        f'<img class="layer{roles.get(kind, "")}" data-kind="{kind}" src="{data_uri(img)}" width="{2 * side}" '
        f'height="{2 * side}" alt="{title}, {TITLES[kind]}">'
        for kind, img in crop.windows.items()
    )
    place = f"{side}×{side} pixels from ({crop.left}, {crop.top})"
    return (
        f'<figure class="compare" style="--side:{2 * side}px"><div class="stage">{layers}<span class="edge"></span>'
        f'<span class="tag tag-left">{TITLES[pair[0]]}</span><span class="tag tag-right">{TITLES[pair[1]]}</span></div>'
        f'<input type="range" min="0" max="100" value="50" step="1" id="slider-{number}" '
        f'aria-label="{title}: how much of the left picture is shown">'
        f"<figcaption>{title}<small>{place}</small></figcaption></figure>"
    )


def _plots(report: Report) -> str:
    charts = {
        "Quality against latency": quality_latency(report),
        "PSNR lost on each picture": picture_drops(report),
    }
    return "".join(
        f"<figure><figcaption>{title}</figcaption>{chart}</figure>" for title, chart in charts.items() if chart
    )


def _files(report: Report) -> str:
    rows = []
    for record in report.files:
        checksum = (
            f'<code>{record.sha256[:SHORT_SUM]}…</code> <button type="button" class="copy" data-copy="{record.sha256}" '
            f'aria-label="Copy the SHA-256 of {escape(record.file)}">Copy</button>'
        )
        gate = _gate(record.passed) + ("" if record.passed else "<br>not in the bundle")
        rows.append([_name(record.file), gate, record.precision, escape(record.purpose), megabytes(record.bytes),
                     checksum, escape(record.budget)])  # fmt: skip
    header = ["File", "Gate", "Precision", "For", "Size", "SHA-256", "Budget"]
    return _table("Files", header, rows, numbers=(4,), texts=(3,))


def _checks(report: Report) -> str:
    empty = ["–"] * 5
    rows = [
        ["bicubic", "–", "–", f"{report.bicubic.psnr:.2f}", f"{report.bicubic.ssim:.4f}", *empty],
        ["training network", "–", plan.PYTORCH, f"{report.network.psnr:.2f}", f"{report.network.ssim:.4f}", *empty],
    ]
    rows += [_check(record, check) for record in report.files for check in record.checks]
    header = ["File", "Gate", "Runtime", "PSNR (Y), dB", "SSIM", "Drop, dB", "Agreement", "Max error", "int8 convs",
              "Worst picture"]  # fmt: skip
    return _table("Verification", header, rows, numbers=(3, 4, 5, 6, 7, 8), texts=(2, 9))


def _check(record: FileRecord, check: Check) -> list[str]:
    convolutions = "–" if check.integers is None else f"{check.integers} of {check.convolutions}"
    start, found = [_name(record.file), _gate(check.passed), escape(check.runtime)], check.figures
    if found is None:
        return [*start, *["–"] * 5, convolutions, escape(check.problem)]
    worst = f"{escape(found.worst)} ({signed(found.worst_drop, 2)})" if found.max_error else "–"
    return [*start, f"{found.psnr:.2f}", f"{found.ssim:.4f}", signed(found.drop, 3), agreement_text(found.agreement),
            f"{found.max_error:.1e}", convolutions, worst]  # fmt: skip


def _speed(report: Report) -> str:
    rows = [
        [_name(row.file), row.runtime, row.precision, f"{row.timing.median_ms:.1f}",
         f"{row.timing.p10_ms:.1f} – {row.timing.p90_ms:.1f}", f"{row.timing.ratio:.2f}"]
        for row in report.speed
    ]  # fmt: skip
    if not rows:
        return "<p>No file that runs here passed its gate.</p>"
    table = _table("Speed", ["File", "Runtime", "Precision", "ms", "p10 – p90", "Ratio"], rows, numbers=(3, 4, 5))
    return f'{table}<p class="conditions">{_conditions(report.speed_conditions.sentence())}</p>'


def _half(report: Report) -> str:
    rows = [
        [f"<code>{escape(layer.name)}</code>", layer.kind, f"{layer.activation:.3g}", f"{layer.weight:.3g}",
         f"{layer.headroom:,.0f}"]
        for layer in report.half.by_headroom[:LARGEST_LAYERS]
    ]  # fmt: skip
    header = ["Layer", "Kind", "Largest output", "Largest weight", "65504 over it"]
    return f"<p>{escape(report.half.sentence())}.</p>" + _table("float16 ranges", header, rows, numbers=(2, 3, 4))


def _tensorrt(report: Report) -> str:
    if not report.tensorrt:
        return "<p>No file for TensorRT passed its gate.</p>"
    return f"<p>{escape(NOTE)}</p>" + "".join(_code(_name(line.file), line.command, "wrap") for line in report.tensorrt)


def _notes(report: Report) -> str:
    notes = [escape(note) for note in (report.int8, *report.notes)]
    notes += [f"{_name(record.file)}: {escape(remark)}" for record in report.files for remark in record.remarks]
    items = "".join(f"<li>{note}</li>" for note in notes)
    return f'<ul>{items}</ul><p class="conditions">{_conditions(report.conditions.sentence())}</p>'


def _table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Sequence[int] = (),
    texts: Sequence[int] = (),
) -> str:
    """A table that scrolls sideways in itself; cells are HTML, and the first of each row is its header."""
    heads = "".join(
        f'<th scope="col"{_kind(index, numbers, texts)}>{escape(title)}</th>' for index, title in enumerate(header)
    )
    body = []
    for first, *others in rows:
        cells = "".join(f"<td{_kind(index, numbers, texts)}>{cell}</td>" for index, cell in enumerate(others, start=1))
        body.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}, table"><table><caption>{caption}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _kind(index: int, numbers: Sequence[int], texts: Sequence[int]) -> str:
    """The class of a column: figures stand right, texts may break."""
    return ' class="number"' if index in numbers else ' class="text"' if index in texts else ""


def _code(title: str, code: str, kind: str = "") -> str:
    """A block of code below a title (HTML) with a button that copies it."""
    return (
        f'<div class="code {kind}"><h3>{title}</h3><button type="button" class="copy">Copy</button>'
        f'<pre tabindex="0"><code>{escape(code)}</code></pre></div>'
    )


def _name(file: str) -> str:
    """A file's name that may break behind its underscores."""
    return f"<code>{escape(file).replace('_', '_<wbr>')}</code>"


def _gate(passed: bool) -> str:
    return '<span class="pass">passed</span>' if passed else '<span class="fail">FAILED</span>'


def _conditions(sentence: str) -> str:
    """The command in its backticks as code."""
    text, _, command = escape(sentence).partition("`")
    return f"{text}<code>{command.removesuffix('`')}</code>"
