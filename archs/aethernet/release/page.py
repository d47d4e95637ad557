"""report.html: everything that a release found, on one page that asks for nothing outside itself."""

import functools
import re
from collections.abc import Sequence

import jinja2
from markupsafe import Markup, escape

from aethernet.errors import EnvironmentProblem
from aethernet.network.config import COLOR_ORDERS
from aethernet.release import products
from aethernet.release.chart import drops_svg
from aethernet.release.crops import BICUBIC, INT8, ORIGINAL, Crop, data_uri
from aethernet.release.ncnn import ncnn_guide
from aethernet.release.records import Report
from aethernet.release.snippets import snippets
from aethernet.release.tensorrt import NOTE
from aethernet.tables import agreement, megabytes, signed
from aethernet.verify.gate import NETWORK
from aethernet.wording import how_many

PAIRS = ((BICUBIC, NETWORK), (NETWORK, INT8), (NETWORK, ORIGINAL), (INT8, ORIGINAL))
"""What the slider can compare, left and right; the first one is shown first."""
TITLES = {BICUBIC: "bicubic", NETWORK: "float32", INT8: "int8", ORIGINAL: "original"}


def page_html(report: Report, crops: Sequence[Crop]) -> str:
    """The whole page."""
    chart, problem = b"", "no file is in less than float32"
    try:
        chart = drops_svg(report)
    except EnvironmentProblem as missing:
        problem = str(missing)
    return _templates().get_template("page.html").render(
        report=report,
        colors=COLOR_ORDERS[report.in_channels],
        facts=_facts(report),
        crops=crops,
        pairs=[pair for pair in PAIRS if crops and set(pair) <= set(crops[0].windows)],
        titles=TITLES,
        chart=chart and data_uri(chart, "svg+xml"),
        no_chart=problem,
        snippets=snippets(report),
        tensorrt_note=NOTE,
        ncnn=ncnn_guide(report),
    )  # fmt: skip


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aethernet.release", "template"), autoescape=jinja2.select_autoescape(["html"]),
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters |= {
        "how_many": how_many,
        "agreement": agreement,
        "breakable": lambda name: Markup(str(escape(name)).replace("_", "_<wbr>")),
        "code_spans": lambda text: Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text)))),
        "data_uri": data_uri,
        "megabytes": megabytes,
        "signed": signed,
    }
    return environment


def _facts(report: Report) -> list[tuple[str, str, str]]:
    """The four figures that a reader wants first, as far as there are such files: a title, the figure, what it means."""
    gain = report.network.psnr - report.bicubic.psnr
    facts = [("float32", f"{report.network.psnr:.2f} dB", f"{gain:+.2f} dB over bicubic")]
    fp32, int8 = report.find(products.FP32.suffix), report.find(products.INT8_ORT.suffix)
    if int8 is None:
        return facts
    if figures := int8.checks[0].figures:
        facts.append(("int8", f"{figures.psnr:.2f} dB", f"{signed(figures.drop, 3)} dB drop"))
    if fp32:
        facts.append(("int8 size", megabytes(int8.bytes), f"{fp32.bytes / int8.bytes:.1f} times smaller than float32"))
    for row in report.speed:
        if row.file == int8.file:
            ratio = f"{1 / row.timing.ratio:.2f} times as fast as float32"
            facts.append(("int8 time", f"{row.timing.median_ms:.1f} ms", ratio))
    return facts
