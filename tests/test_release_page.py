"""report.html and the card as text: complete, self-contained, accessible, and true to the records."""

import base64
import re
import sys
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
import yaml
from helpers.bundles import PICTURES, PRODUCTS, sample_crops, sample_report

from aethernet.export.half_range import HalfReport, LayerRange
from aethernet.network.variants import variant_config
from aethernet.plots.detail import most_detailed
from aethernet.release import products
from aethernet.release.bundle_card import bundle_card
from aethernet.release.chart import drops_svg
from aethernet.release.crops import CROP, MOST_CROPS, CropCollector, data_uri
from aethernet.release.ncnn import ncnn_guide
from aethernet.release.origin import UNKNOWN, Origin
from aethernet.release.page import page_html
from aethernet.release.records import FileRecord
from aethernet.release.tile_error import TileError
from aethernet.tables import signed

VOID = {"meta", "link", "img", "input", "br", "wbr"}
ORIGIN = Origin(license_id="cc0-1.0", datasets=("DIV2K",), data_note="Two pictures.", training={"seed": "0"})
CONFIG = variant_config("tiny", 2)


def card_markdown(report, origin: Origin = ORIGIN) -> str:
    return bundle_card(report, CONFIG, origin).markdown()


class Page(HTMLParser):
    """The tags of a page, checked for nesting, and the cells of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.tables: list[list[list[str]]] = []
        self.cell: list[str] | None = None
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.cell = []

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.tables[-1][-1].append("".join(self.cell or ()))
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell.append(data)

    def all(self, name: str) -> list[dict]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(page_html(sample_report(), sample_crops()))


def test_the_page_asks_for_nothing_outside_itself(page):
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
    text = page_html(sample_report(), [])
    assert not re.search(r"https?:|@import|url\(", text)
    policy = next(
        meta["content"] for meta in page.all("meta") if "content" in meta and "default-src" in meta["content"]
    )
    assert "default-src 'none'" in policy


def test_everything_has_a_name(page):
    assert page.all("html")[0]["lang"] == "en"
    assert all(picture["alt"] for picture in page.all("img"))
    assert all(head["scope"] in ("row", "col") for head in page.all("th"))
    assert all(slider["aria-label"] for slider in page.all("input") if slider["type"] == "range")
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    targets = [link["href"][1:] for link in page.all("a")]
    assert targets and set(targets) <= set(identifiers)
    regions = [attributes for attributes in page.all("div") if attributes.get("role") == "region"]
    assert len(regions) == 4 and all(region["tabindex"] == "0" and region["aria-label"] for region in regions)


def test_the_tables_hold_the_records(page):
    report = sample_report()
    files, checks, speed, half = page.tables
    assert [row[0] for row in files[1:]] == ["".join(record.names) for record in report.files]
    assert [button["data-copy"] for button in page.all("button") if "data-copy" in button] == [
        digest for record in report.files for digest in (record.sha256, record.weights_sha256) if digest
    ]
    assert len(checks) == 3 + sum(len(record.checks) for record in report.files)
    by_file = {row[0]: dict(zip(checks[0], row, strict=True)) for row in checks[1:]}
    row = by_file[f"net_x2{products.INT8_ORT.suffix}"]
    first = 0.01 * PRODUCTS.index(products.INT8_ORT)
    drop = f"{(first - 0.02 + 0.03) / 3:+.3f}"
    assert (row["Drop, dB"], row["Agreement"], row["int8 convs"]) == (drop, "50.0 dB", "4 of 5")
    assert row["Worst picture"] == f"set/<one> ({first:+.2f})"
    assert by_file["net_x2.safetensors"]["Agreement"] == "equal"
    assert by_file["bicubic"]["PSNR (Y), dB"] == "28.00"
    assert [row[3] for row in speed[1:]] == ["10.0", "9.0", "8.0"]
    assert half[1:] == [["stages.0.<1>", "Conv2d", "16", "0.25", "4,094"], ["shallow", "Conv2d", "2", "0.5", "32,752"]]


def test_each_crop_has_all_pictures_and_a_slider(page):
    assert len([slider for slider in page.all("input") if slider["type"] == "range"]) == len(PICTURES)
    kinds = [picture["data-kind"] for picture in page.all("img") if "data-kind" in picture]
    assert kinds == ["network", "bicubic", "int8", "original"] * len(PICTURES)
    assert [choice["value"] for choice in page.all("input") if choice["type"] == "radio"] == [
        "bicubic network", "network int8", "network original", "int8 original",
    ]  # fmt: skip
    encoded = next(picture["src"] for picture in page.all("img") if picture.get("data-kind") == "original")
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(encoded.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(picture[:, :, ::-1], sample_crops()[0].windows["original"])


def test_without_int8_there_is_nothing_to_compare_it_with():
    page = Page(page_html(sample_report(), sample_crops(kinds=("network", "bicubic"))))
    choices = [choice["value"] for choice in page.all("input") if choice["type"] == "radio"]
    assert choices == ["bicubic network", "network original"]


def test_what_failed_is_named_and_offered_nowhere():
    failed = (products.INT8_ORT, products.INT8_OPENVINO, products.INT8_TENSORRT)
    report = sample_report(failed)
    text = page_html(report, [])
    assert "Not in this bundle" in text and text.count("FAILED<") == 3 + 4
    card = card_markdown(report)
    assert "Not in this bundle, for they failed their gate: net_x2_int8_ort.onnx" in card
    assert "net_x2_int8" not in card.split("## Files")[1]
    assert "net_x2_fp32.onnx" in card.split("ONNX Runtime:")[1]  # the snippet takes the next best file
    nothing = sample_report(PRODUCTS)
    Page(page_html(nothing, []))
    assert "No file for TensorRT passed" in page_html(nothing, [])
    assert "## TensorRT" not in card_markdown(nothing)


PLAIN_LAYERS = ("Input", "Split", "BinaryOp", "Convolution", "PixelShuffle", "Interp", "ReLU")


def half_record(name):
    return FileRecord(
        f"{name}_fp16.param", "float16", "", 1, "0", "", [], [], True, weights=f"{name}_fp16.bin", weights_sha256="1"
    )


def guide(name="net_x2", **changes):
    found = ncnn_guide(
        sample_report(**{"name": name, "ncnn_layers": PLAIN_LAYERS, "files": [half_record(name)], **changes})
    )
    return found.command, "\n".join(found.points)


def test_the_guide_for_programs_on_ncnn():
    command, points = guide()
    assert command == "realesrgan-ncnn-vulkan -i in.png -o out.png -m models -n net_x2_fp16 -s 2"
    assert "keep the `x2`" in points and "tiles equal the whole picture" in points and "Both keep" in points
    assert "(`-t`," not in points
    assert "On Windows" in points and "On Windows" not in guide(name="net_x4", scale=4)[1]
    _, points = guide(receptive_radius=52)
    assert "sees 52 pixels far: borders of tiles differ" in points and "A tile size (`-t`," in points
    measured = guide(receptive_radius=52, tile_error=TileError(1.66, 5, 32))[1]
    assert "Measured on 5 pictures in their smallest tiles, 32 pixels: up to 1.7 of 255 levels." in measured
    assert "looks at the whole picture, so that tiles differ" in guide(receptive_radius=None)[1]
    assert "this one for x4: rename both files, such as to `net_fp16_x2`" in guide(name="net")[1]
    command, points = guide(ncnn_layers=(*PLAIN_LAYERS, "ConvolutionDepthWise"))
    assert not command and "Real-ESRGAN-ncnn-vulkan cannot load them: its ncnn has no ConvolutionDepthWise." in points
    assert "Add Custom Models" in points
    for changes, says in (
        ({"scale": 8, "name": "net_x8"}, "enlarge by 2, 3, 4: they cannot"),
        ({"in_channels": 1}, "three channels"),
    ):
        command, points = guide(**changes)
        assert not command and says in points and "Add Custom Models" not in points
    beyond = HalfReport([LayerRange("shallow", "Conv2d", 1e5, 0.5, 0.0)], 3)
    assert "reaches 1e+05 in shallow: they do not compute it right, with no file" in guide(half=beyond)[1]
    assert ncnn_guide(sample_report(files=[])) is None


def test_the_page_has_the_guide():
    """With code in place of backticks, and nothing else let through."""
    files = [half_record("n_x2")]
    text = page_html(sample_report(name="n_x2", ncnn_layers=PLAIN_LAYERS, files=files), [])
    section = text.split('id="ncnn-title"')[1].split("</section>")[0]
    assert (
        "<code>n_x2_fp16.param</code> with <code>n_x2_fp16.bin</code>" in section and "<code>models</code>" in section
    )
    assert "`" not in section and "\\1" not in section
    assert "has no &lt;b&gt;." in page_html(sample_report(name="n_x2", ncnn_layers=("<b>",), files=files), [])
    without = page_html(sample_report(files=[]), [])
    assert 'id="ncnn"' not in without and "#ncnn" not in without


def test_texts_are_escaped():
    text = page_html(sample_report(name="a<b>&c"), sample_crops())
    assert "<b>" not in text and "a&lt;b&gt;&amp;c" in text
    assert "Calibrated &amp; &lt;not&gt; fine-tuned." in text


def test_the_card_has_front_matter_for_hubs():
    card = card_markdown(sample_report())
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "cc0-1.0" and front["datasets"] == ["DIV2K"]
    assert (front["library_name"], front["pipeline_tag"]) == ("aethernet", "image-to-image")
    assert "x2" in front["tags"]
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"]["name"] == "set" and [metric["value"] for metric in result["metrics"]] == [30.0, 0.9]
    for part in (
        "Two pictures.",
        "- seed: 0",
        "trtexec --onnx=net_x2_int8_tensorrt.onnx",
        "TensorRT does not run here",
    ):
        assert part in card
    assert UNKNOWN in card_markdown(sample_report(), Origin())


def test_the_plot_shows_what_each_picture_lost(monkeypatch):
    report = sample_report((products.INT8_ORT,))
    shown = [
        b"&lt;one&gt;",
        b"three",
        b"two",
        b"fp16.onnx",
        b"qat.safetensors",
        b"int8_ort.onnx",
        b"int8_openvino.onnx",
    ]
    drawn = [text for text in re.findall(rb"<!-- (.*) -->", drops_svg(report)) if text in shown]
    assert drawn == shown  # the worst picture first, as in the figures
    assert all(address.startswith(b"#") for address in re.findall(rb'href="([^"]*)"', drops_svg(report)))
    floats = [record for record in report.files if record.precision == "float32"]
    assert drops_svg(sample_report(files=floats)) == b""
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    assert "pip install matplotlib" in page_html(report, [])


def test_the_crop_lies_where_the_detail_is():
    img = np.full((400, 500, 3), 128, np.uint8)
    img[200:300, 320:420] = np.random.default_rng(0).integers(0, 256, (100, 100, 3))
    top, left = most_detailed(img, CROP, CROP)
    assert top <= 200 and top + CROP >= 300 and left <= 320 and left + CROP >= 420
    assert most_detailed(img[:40, :60], 40, 40)[0] == 0


def test_small_pictures_and_many_pictures():
    collector = CropCollector()
    for number in range(20):
        collector(f"p{number}", np.zeros((40, 60, 3), np.uint8), {"network": np.ones((40, 60, 3), np.uint8)})
    chosen = collector.chosen(["p7"])
    assert len(chosen) == MOST_CROPS
    assert "p7" in [crop.title for crop in chosen]
    assert chosen[0].windows["original"].shape == (40, 40, 3)
    assert data_uri(chosen[0].windows["network"]).startswith("data:image/png;base64,")


def test_zero_has_no_minus():
    assert (signed(-0.0004, 3), signed(0.0, 2), signed(-0.25, 2)) == ("+0.000", "+0.00", "-0.25")
