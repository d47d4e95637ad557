"""The report in a real browser: at desktop and phone width, by mouse and by keyboard, in both themes."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from helpers.bundles import PICTURES, sample_crops, sample_report

from aethernet.release import products
from aethernet.release.page import page_html

playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium: apt-get install chromium"),
]
AT = "getComputedStyle(document.querySelector('.compare')).getPropertyValue('--at')"
PATIENCE = 60_000  # milliseconds for any answer: a busy machine starts a browser slowly


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    long = "aether_with_a_name_that_is_longer_than_most_x2"  # what would make a phone scroll sideways
    path.write_text(page_html(sample_report((products.FP16,), name=long), sample_crops(360)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"], timeout=PATIENCE)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, report) -> Iterator[Callable]:
    """Opens the report in a window of its own; `page.told` holds every address that it asked for and every complaint."""
    contexts = []

    def open_page(width: int, *, dark: bool = False):
        contexts.append(
            browser.new_context(
                viewport={"width": width, "height": 800},
                color_scheme="dark" if dark else "light",
                is_mobile=width < 600,
            )
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.told = []
        page.on("request", lambda request: page.told.append(request.url))
        for event in ("console", "pageerror"):
            page.on(event, lambda message: page.told.append(str(message)))
        page.goto(report.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (375, False), (320, True), (768, True)])
def test_it_fits_asks_for_nothing_and_complains_of_nothing(opened, report, width, dark):
    page = opened(width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("[...document.images].every(img => img.complete && img.naturalWidth > 0)")
    assert [told for told in page.told if not told.startswith("data:")] == [report.as_uri()]
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")


def test_the_slider_follows_the_keyboard(opened):
    page = opened(375)
    assert page.evaluate(AT) == "50%"
    slider = page.locator(".compare input").first
    for _ in range(3):
        slider.press("ArrowRight")
    assert page.evaluate(AT) == "53%"
    assert slider.get_attribute("aria-valuetext") == "53 % bicubic"
    assert "47%" in page.evaluate("getComputedStyle(document.querySelector('.layer.left')).clipPath")


def test_the_slider_follows_the_mouse(opened):
    page = opened(1280)
    stage = page.locator(".stage").first
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box["width"] == 336  # twice the crop's 168 pixels, so that every pixel is two wide
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle)
    page.mouse.up()
    assert page.evaluate(AT) == "25%"
    assert page.locator(".compare input").first.input_value() == "25"


def test_the_pair_can_be_chosen(opened):
    page = opened(1280)
    shown = "[...document.querySelectorAll('.compare')].map(figure => ['left', 'right'].map(side => figure.querySelector('.layer.' + side).dataset.kind).join(' '))"  # fmt: skip
    assert page.evaluate(shown) == ["bicubic network"] * len(PICTURES)
    page.get_by_label("float32 | int8").check()
    assert page.evaluate(shown) == ["network int8"] * len(PICTURES)
    assert page.locator(".tag-right").first.text_content() == "int8"
    visible = "[...document.querySelector('.stage').querySelectorAll('img')].filter(img => getComputedStyle(img).visibility === 'visible').length"  # fmt: skip
    assert page.evaluate(visible) == 2


@pytest.mark.parametrize("dark", [False, True])
def test_the_focus_is_seen_and_text_has_contrast(opened, dark):
    page = opened(1280, dark=dark)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for selector in (".lead", ".pass", ".fail", "nav a", "thead th", ".copy", ".conditions", "pre code", ".facts span"):
        assert contrast(page, selector) >= 4.5, selector  # WCAG AA for text of this size


def test_a_checksum_is_copied(opened):
    page = opened(1280)
    # The clipboard of a headless browser is not there to be read, so what is handed to it is.
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }; 0")
    page.locator("[data-copy]").nth(2).click()
    page.get_by_text("Copied", exact=True).wait_for()
    assert page.evaluate("window.copied") == f"{2:064x}"


def contrast(page, selector: str) -> float:
    """The ratio of luminances of an element's text and of the first opaque background behind it."""
    colors = page.evaluate(f"""(() => {{
      let element = document.querySelector({selector!r});
      const ink = getComputedStyle(element).color;
      while (getComputedStyle(element).backgroundColor === "rgba(0, 0, 0, 0)") element = element.parentElement;
      return [ink, getComputedStyle(element).backgroundColor];
    }})()""")
    lights = sorted(luminance([int(part) for part in color[4:-1].split(",")]) for color in colors)
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(rgb: list[int]) -> float:
    """Relative luminance as WCAG defines it."""
    linear = [
        value / 255 / 12.92 if value / 255 <= 0.04045 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in rgb
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
