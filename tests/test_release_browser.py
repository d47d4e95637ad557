"""The report in a real browser: at desktop and phone width, by mouse and by keyboard, in both themes."""

import pytest
from helpers.browser import Browser, find_browser
from helpers.bundles import PICTURES, sample_crops, sample_report

from aethernet.release import products
from aethernet.release.page import page_html

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium: apt-get install chromium"),
]

RIGHT_ARROW, TAB = ("ArrowRight", 39), ("Tab", 9)
AT = "getComputedStyle(document.querySelector('.compare')).getPropertyValue('--at')"


@pytest.fixture(scope="module")
def browser():
    program = find_browser()
    assert program
    with Browser(program) as running:
        yield running


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    long = "aether_with_a_name_that_is_longer_than_most_x2"  # what would make a phone scroll sideways
    path.write_text(page_html(sample_report((products.FP16,), name=long), sample_crops(360)), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (375, False), (320, True), (768, True)])
def test_it_fits_asks_for_nothing_and_complains_of_nothing(browser, page, width, dark):
    browser.open(page, width, 800, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run("[...document.images].every(img => img.complete && img.naturalWidth > 0)")
    assert browser.requests() == [page.as_uri()]
    assert browser.problems() == []
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")


def test_the_slider_follows_the_keyboard(browser, page):
    browser.open(page, 375, 800)
    assert browser.run(AT) == "50%"
    browser.run("document.querySelector('.compare input').focus()")
    for _ in range(3):
        browser.press(*RIGHT_ARROW)
    assert browser.run(AT) == "53%"
    assert browser.run("document.querySelector('.compare input').getAttribute('aria-valuetext')") == "53 % bicubic"
    assert "47%" in browser.run("getComputedStyle(document.querySelector('.layer.left')).clipPath")


def test_the_slider_follows_the_mouse(browser, page):
    browser.open(page, 1280, 800)
    browser.run("document.querySelector('.stage').scrollIntoView({block: 'center', behavior: 'instant'})")
    box = browser.run("(({x, y, width, height}) => [x, y, width, height])(document.querySelector('.stage').getBoundingClientRect())")  # fmt: skip
    left, top, width, height = box
    assert width == 336  # twice the crop's 168 pixels, so that every pixel is two wide
    browser.drag((left + width / 2, top + height / 2), (left + width / 4, top + height / 2))
    assert browser.run(AT) == "25%"
    assert browser.run("document.querySelector('.compare input').value") == "25"


def test_the_pair_can_be_chosen(browser, page):
    browser.open(page, 1280, 800)
    shown = "[...document.querySelectorAll('.compare')].map(figure => ['left', 'right'].map(side => figure.querySelector('.layer.' + side).dataset.kind).join(' '))"  # fmt: skip
    assert browser.run(shown) == ["bicubic network"] * len(PICTURES)
    browser.run("document.querySelectorAll('.pairs input')[1].click()")
    assert browser.run(shown) == ["network int8"] * len(PICTURES)
    assert browser.run("document.querySelector('.tag-right').textContent") == "int8"
    visible = "[...document.querySelector('.stage').querySelectorAll('img')].filter(img => getComputedStyle(img).visibility === 'visible').length"  # fmt: skip
    assert browser.run(visible) == 2


def test_the_focus_is_seen_and_text_has_contrast(browser, page):
    for dark in (False, True):
        browser.open(page, 1280, 800, dark=dark)
        browser.press(*TAB)
        assert browser.run("document.activeElement.className") == "skip"
        assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        for selector in (
            ".lead",
            ".pass",
            ".fail",
            "nav a",
            "thead th",
            ".copy",
            ".conditions",
            "pre code",
            ".facts span",
        ):
            assert contrast(browser, selector) >= 4.5, selector  # WCAG AA for text of this size


def test_a_checksum_is_copied(browser, page):
    browser.open(page, 1280, 800)
    # The clipboard of a headless browser is not there to be read, so what is handed to it is.
    browser.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }; 0")
    browser.run("document.querySelectorAll('[data-copy]')[2].click()")
    assert browser.run("new Promise(done => setTimeout(() => done(window.copied), 50))") == f"{2:064x}"
    assert browser.run("document.querySelector('.status').textContent") == "Copied"


def contrast(browser: Browser, selector: str) -> float:
    """The ratio of luminances of an element's text and of the first opaque background behind it."""
    colors = browser.run(f"""(() => {{
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
