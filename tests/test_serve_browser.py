"""The page of `aethernet serve` in a real browser: drop, queue, slider, magnifier, download, cancel, errors; by mouse and keyboard."""

import base64
import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.upscaling import SCALE, write_network
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
pytest.importorskip("uvicorn", reason="the extra web is not installed")
pytest.importorskip("httpx", reason="the client of the tests is not installed")

from helpers.serving import DIES, WAITS, listening, picture  # noqa: E402

from aethernet.data.embedded import embedded_pictures  # noqa: E402
from aethernet.upscale.serve import worker  # noqa: E402

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium: apt-get install chromium"),
]
PATIENCE = 60_000  # milliseconds for any answer: a busy machine starts a browser slowly
SHOTS = os.environ.get("SCREENSHOTS")
"""A folder for screenshots, to look at."""
TOKEN = "a-token-that-is-long-enough"
DROP = """(files) => {
  const data = new DataTransfer();
  for (const [name, type, text] of files) {
    data.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name, { type }));
  }
  for (const name of ["dragenter", "dragover", "drop"]) {
    document.getElementById("zone").dispatchEvent(new DragEvent(name, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}"""
"""What a browser does when files are dropped."""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"], timeout=PATIENCE)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    model = write_network(tmp_path_factory.mktemp("model") / "net.safetensors")
    with listening(worker.work, models=[str(model)], engine="torch") as (address, _):
        yield address


@pytest.fixture(scope="module")
def pretended():
    with listening(max_bytes=2**16, max_pixels=4000) as (address, service):
        yield address, service


@pytest.fixture
def opened(browser) -> Iterator[Callable]:
    """Opens a page in a browser of its own; `page.told` holds every address elsewhere and every complaint."""
    contexts = []

    def open_page(address: str, width: int = 1280, *, dark: bool = False):
        contexts.append(
            browser.new_context(
                viewport={"width": width, "height": 800},
                color_scheme="dark" if dark else "light",
                is_mobile=width < 600,
                has_touch=width < 600,
            )
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.told = []
        own = address.partition("#")[0].rstrip("/")
        page.on("request", lambda request: None if request.url.startswith((own, "blob:" + own)) else page.told.append(request.url))  # fmt: skip
        for event in ("console", "pageerror"):
            page.on(event, lambda message: page.told.append(str(getattr(message, "text", message))))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()


def drop(page, *files: tuple[str, bytes]) -> None:
    types = {"png": "image/png", "jpg": "image/jpeg", "tif": "image/tiff"}
    page.get_by_text("Drop pictures here").wait_for()
    listed = [(name, types.get(name.rpartition(".")[2], ""), base64.b64encode(data).decode()) for name, data in files]
    page.evaluate(DROP, listed)


def job(page, name: str):
    return page.locator("#jobs li").filter(has_text=name)


def photograph() -> bytes:
    pixels = next(iter(embedded_pictures("val").values()))[:180, :260]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def until(page, expression: str) -> None:
    """Waits for it to be true; Playwright's own way would evaluate text in the page, which the policy of the page refuses."""
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def shot(page, name: str) -> None:
    if SHOTS:
        page.wait_for_timeout(300)
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True), (320, False), (768, True)])
def test_its_whole_life(opened, real, width, dark):
    page = opened(real, width, dark=dark)
    page.get_by_text("Drop pictures here").wait_for()
    shot(page, f"empty_{width}")
    assert page.locator("input[name=scale]").count() == 1 and page.get_by_text(f"×{SCALE}").count() == 1
    drop(
        page,
        ("astronaut.png", photograph()),
        ("second.jpg", picture((50, 40), "JPEG")),
        ("broken.png", photograph()[:-999]),
    )
    page.get_by_text("Queue: 2 of 3 done").wait_for()
    assert "cut off" in job(page, "broken.png").locator("p").text_content()
    assert page.locator("#shown").text_content() in ("astronaut.png", "second.jpg"), (
        "the first one that is done is shown"
    )
    job(page, "astronaut.png").get_by_role("button", name="Compare").click() if page.locator("#shown").text_content() != "astronaut.png" else None  # fmt: skip
    until(page, "document.getElementById('after').naturalWidth === 520")
    until(page, "document.getElementById('before').naturalWidth === 260")
    assert "260 × 180 → 520 × 360, PNG" in job(page, "astronaut.png").locator("p").first.text_content()
    assert page.evaluate("document.documentElement.scrollWidth") == width, "nothing sticks out"
    slider = page.get_by_label("Boundary of before and after")
    assert slider.bounding_box()["width"] == page.locator("#stage").bounding_box()["width"]
    for _ in range(5):
        slider.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == "45 % before"
    assert "55%" in page.evaluate("getComputedStyle(document.getElementById('before')).clipPath")
    page.locator("#magnify").click()
    assert page.locator("#magnify").get_attribute("aria-pressed") == "true"
    page.wait_for_timeout(100)
    inks = "(id) => { const c = document.getElementById(id); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return new Set(d).size; }"  # fmt: skip
    assert page.evaluate(inks, "glass-before") > 20 and page.evaluate(inks, "glass-after") > 20, "both show a picture"
    shot(page, f"done_{width}")
    with page.expect_download() as loaded:
        job(page, "astronaut.png").get_by_role("link", name="Download").click()
    assert loaded.value.suggested_filename == f"astronaut_x{SCALE}.png"
    assert Path(loaded.value.path()).read_bytes()[1:4] == b"PNG"
    with page.expect_download() as loaded:
        page.get_by_text("Download all (ZIP)").click()
    assert Path(loaded.value.path()).read_bytes()[:2] == b"PK"
    job(page, "broken.png").get_by_role("button", name="Remove").click()
    page.get_by_text("Queue: 2 of 2 done").wait_for()
    page.get_by_role("button", name="Remove all").click()
    page.get_by_text("No pictures yet.").wait_for()
    assert page.evaluate("fetch('/api/jobs').then((answer) => answer.json())") == {"jobs": []}
    assert page.told == []


def test_the_slider_follows_the_pointer(opened, real):
    page = opened(real)
    drop(page, ("a.png", photograph()))
    page.get_by_text("Queue: 1 of 1 done").wait_for()
    until(page, "document.getElementById('after').naturalWidth === 520")
    box = page.locator("#stage").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle)
    page.mouse.up()
    assert abs(float(page.get_by_label("Boundary of before and after").input_value()) - 25) < 1
    page.locator("#stage").press("ArrowRight")
    assert page.locator("#glass").is_visible(), "the keyboard moves the magnifier"
    left = page.evaluate("document.querySelector('.spot').style.left")
    page.locator("#stage").press("Shift+ArrowRight")
    until(page, f"document.querySelector('.spot').style.left !== '{left}'")


def test_on_a_phone_the_comparison_opens_below_its_picture(opened, real):
    """Not below the whole queue; and it goes beside it, and back, where a window becomes wide."""
    page = opened(real, 390)
    drop(page, *((f"{number}.png", picture(seed=number)) for number in range(9)))
    page.get_by_text("Queue: 9 of 9 done").wait_for()
    place = "document.querySelector('.view').parentElement.querySelector('h3, #zone').textContent.trim()"
    page.get_by_role("button", name="Compare 4.png").click()
    assert page.evaluate(place) == "4.png" and page.evaluate("document.activeElement.id") == "shown"
    until(page, "document.getElementById('after').naturalWidth === 38")
    until(page, "() => { const { top, bottom } = document.getElementById('stage').getBoundingClientRect(); return top >= 0 && bottom <= innerHeight; }")  # fmt: skip
    shot(page, "below_390")
    page.get_by_role("button", name="Compare 2.png").click()
    assert page.evaluate(place) == "2.png" and page.locator(".view").count() == 1
    page.set_viewport_size({"width": 1280, "height": 800})
    until(page, "document.querySelector('.view').parentElement.id === 'tool'")
    page.set_viewport_size({"width": 390, "height": 800})
    until(page, "document.querySelector('.view').parentElement.tagName === 'LI'")
    page.get_by_role("button", name="Hide 2.png").press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Compare 2.png"
    assert not page.locator(".view").is_visible()
    page.get_by_role("button", name="Compare 3.png").click()
    page.get_by_role("button", name="Remove 3.png").click()
    page.get_by_text("Queue: 8 of 8 done").wait_for()
    assert page.evaluate("document.querySelectorAll('.view').length") == 1
    page.get_by_role("button", name="Remove all").click()
    assert page.told == []


def test_pictures_are_chosen_and_pasted(opened, real):
    page = opened(real)
    page.get_by_text("Drop pictures here").wait_for()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").press("Enter")
    assert chooser.value.is_multiple()
    chooser.value.set_files(
        [{"name": name, "mimeType": "image/png", "buffer": picture()} for name in ("a.png", "b.png")]
    )
    page.get_by_text("Queue: 2 of 2 done").wait_for()
    page.evaluate(
        """(text) => {
          const data = new DataTransfer();
          data.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], "image.png", { type: "image/png" }));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        }""",
        base64.b64encode(picture()).decode(),
    )
    page.get_by_text("Queue: 3 of 3 done").wait_for()
    page.get_by_role("button", name="Remove image.png").click()
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused in ("Compare b.png", "Hide b.png"), (
        "the focus goes to a neighbour, which may be the one that is shown"
    )
    page.get_by_role("button", name="Remove all").click()


def test_what_a_browser_cannot_show_is_said(opened, real):
    page = opened(real)
    file = io.BytesIO()
    Image.open(io.BytesIO(picture())).save(file, "TIFF")
    drop(page, ("scan.tif", file.getvalue()))
    page.get_by_role("button", name="Compare scan.tif").click()
    page.get_by_text("This browser cannot show the result (TIFF, 38 × 26): download it").wait_for()
    assert page.evaluate("document.activeElement.id") == "shown"
    page.get_by_role("button", name="Remove all").click()


def test_a_service_that_ends_is_told(opened):
    with listening() as (address, _):
        page = opened(address)
        page.get_by_text("Drop pictures here").wait_for()
        page.get_by_label("Format of the result").select_option("jpg")
        page.get_by_label("Quality").fill(str(WAITS))
        drop(page, ("slow.png", picture()))
        job(page, "slow.png").get_by_text("windows, 1 of 4").wait_for()
    page.get_by_text("The service does not answer").wait_for()


@pytest.mark.parametrize("width", [1280, 390])
def test_progress_cancel_and_try_again(opened, pretended, width):
    page = opened(pretended[0], width)
    page.get_by_text("Drop pictures here").wait_for()
    page.get_by_label("Format of the result").select_option("jpg")
    page.get_by_label("Quality").fill(str(WAITS))
    drop(page, ("slow.png", picture()))
    job(page, "slow.png").get_by_text("windows, 1 of 4").wait_for()
    assert page.get_by_label("Progress of slow.png").evaluate("bar => bar.value") == 0.25
    page.get_by_label("Quality").fill("")
    drop(page, ("next.png", picture()))
    job(page, "next.png").get_by_text("waits, 1 before it").wait_for()
    shot(page, f"queue_{width}")
    cancel = job(page, "slow.png").get_by_role("button", name="Cancel slow.png")
    cancel.focus()
    cancel.press("Enter")
    job(page, "slow.png").get_by_text("cancelled").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Try again", "the focus stays"
    page.get_by_text("Queue: 1 of 2 done").wait_for()
    page.locator("#status").get_by_text("next.png is done").wait_for(state="attached")
    page.get_by_role("button", name="Remove all").click()
    assert page.told == []


@pytest.mark.parametrize("width", [1280, 390])
def test_errors_in_words(opened, pretended, width):
    page = opened(pretended[0], width)
    drop(page, ("notes.txt", b"hello"), ("large.png", picture((80, 60))), ("heavy.png", b"x" * 2**17))
    job(page, "notes.txt").get_by_text("not a picture of a known format").wait_for()
    job(page, "large.png").get_by_text("it declares 80 x 60 pixels, more than the 4,000 that are allowed").wait_for()
    job(page, "heavy.png").get_by_text("more than the 66 kB that are allowed").wait_for()
    page.get_by_label("Format of the result").select_option("jpg")
    page.get_by_label("Quality").fill(str(DIES))
    drop(page, ("deadly.png", picture()))
    job(page, "deadly.png").get_by_text("the process that computed it ended").wait_for()
    shot(page, f"errors_{width}")
    page.get_by_label("Quality").fill("")
    page.get_by_label("Format of the result").select_option("same")
    drop(page, ("sound.png", picture()))
    page.get_by_text("Queue: 1 of 5 done").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_full_queue_is_waited_for(opened):
    with listening(queue_per_client=1) as (address, _):
        page = opened(address)
        page.get_by_text("Drop pictures here").wait_for()
        page.get_by_label("Format of the result").select_option("jpg")
        page.get_by_label("Quality").fill(str(WAITS))
        drop(page, ("slow.png", picture()))
        job(page, "slow.png").get_by_text("windows, 1 of 4").wait_for()
        page.get_by_label("Quality").fill("")
        drop(page, ("next.png", picture()))
        job(page, "next.png").get_by_text("waits: the queue is full").wait_for()
        page.get_by_role("button", name="Cancel slow.png").click()
        page.get_by_text("Queue: 1 of 2 done").wait_for()


def test_the_token_is_asked_for_and_kept(opened):
    with listening(token=TOKEN) as (address, _):
        page = opened(address)
        page.get_by_label("This service asks for its token").fill("something else entirely")
        page.keyboard.press("Enter")
        page.get_by_text("That is not the token.").wait_for()
        shot(page, "token_1280")
        page.get_by_label("This service asks for its token").fill(TOKEN)
        page.keyboard.press("Enter")
        drop(page, ("a.png", picture()))
        page.get_by_text("Queue: 1 of 1 done").wait_for()
        page.reload()
        page.get_by_text("Queue: 1 of 1 done").wait_for()
        job(page, "a.png").get_by_role("button", name="Compare").click()
        page.get_by_text("Its original is not here any more").wait_for()
        page = opened(f"{address}/#token={TOKEN}")
        page.get_by_text("Drop pictures here").wait_for()
        assert TOKEN not in page.evaluate("location.href")


def test_everything_has_a_name_and_the_keyboard_reaches_it(opened, real):
    page = opened(real)
    drop(page, ("a.png", photograph()), ("b.png", picture()))
    page.get_by_text("Queue: 2 of 2 done").wait_for()
    nameless = page.evaluate("""() => [...document.querySelectorAll("button, a, input, select, canvas, [tabindex='0']")]
      .filter((each) => each.checkVisibility() && !(each.getAttribute("aria-label") || each.textContent.trim() || (each.labels && each.labels.length)))
      .map((each) => each.outerHTML)""")
    assert nameless == []
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    reached = []
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label') || document.activeElement.name"))  # fmt: skip
        assert page.evaluate("document.activeElement === document.body || document.activeElement.matches('.hidden') || document.activeElement.matches('input[type=radio]') || getComputedStyle(document.activeElement).outlineStyle !== 'none'"), reached[-1]  # fmt: skip
    for name in ("choose", "scale", "network", "format", "quality", "Remove a.png", "Download b_x2.png", "zip", "clear", "stage", "slider", "magnify", "zoom"):  # fmt: skip
        assert name in reached, (name, reached)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_axe_finds_nothing(opened, pretended, width, dark):
    """Names, roles, landmarks, contrast and what else the rules of axe-core see; in every state of a picture."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe: pip install axe-playwright-python"
    )

    def check() -> None:
        assert [
            each["id"] + ": " + each["nodes"][0]["html"] for each in axe.Axe().run(page).response["violations"]
        ] == []

    page = opened(pretended[0], width, dark=dark)
    page.get_by_text("Drop pictures here").wait_for()
    check()
    page.get_by_label("Format of the result").select_option("jpg")
    for name, quality, text in (("deadly.png", DIES, "the process that computed it ended"), ("slow.png", WAITS, "windows, 1 of 4"), ("sound.png", 90, "waits")):  # fmt: skip
        if name == "slow.png":
            page.get_by_label("Quality").fill("")
            drop(page, ("shown.png", picture(seed=1)))
            job(page, "shown.png").get_by_role("button", name="Hide").wait_for()
        page.get_by_label("Quality").fill(str(quality))
        drop(page, (name, picture()))
        job(page, name).get_by_text(text).wait_for()
    page.get_by_role("button", name="Magnifier").click()
    check()
    page.get_by_role("button", name="Remove all").click()
    with listening(token=TOKEN) as (address, _):
        page = opened(address, width, dark=dark)
        page.get_by_label("This service asks for its token").fill("something else entirely")
        page.keyboard.press("Enter")
        page.get_by_text("That is not the token.").wait_for()
        check()


def test_a_choice_is_seen_in_forced_colours(opened, pretended):
    """Where a system draws its own colours, backgrounds go."""
    page = opened(pretended[0])
    page.emulate_media(forced_colors="active")
    page.get_by_text("Drop pictures here").wait_for()
    colors = "(text) => getComputedStyle([...document.querySelectorAll('#scales span')].find((each) => each.textContent === text)).backgroundColor"  # fmt: skip
    assert page.evaluate(colors, "×4") != page.evaluate(colors, "×2")


def test_what_happens_at_once_is_said_together(opened, pretended):
    page = opened(pretended[0])
    page.get_by_text("Drop pictures here").wait_for()
    page.evaluate("for (let number = 0; number < 9; number++) say(`${number} is done`)")
    page.locator("#status").get_by_text("0 is done; 1 is done; 2 is done; and 6 more").wait_for(state="attached")


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast(opened, real, dark):
    from test_release_browser import contrast

    page = opened(real, dark=dark)
    drop(page, ("a.png", photograph()), ("b.png", b"x"))
    page.get_by_text("Queue: 1 of 2 done").wait_for()
    job(page, "b.png").get_by_role("button", name="Try again").wait_for()
    for selector in ("h1", "header p", "#choose", "#limits", "#scales span", "#hint", "#jobs .soft", "#jobs .problem", "#jobs button", "#zip", "#glass figcaption", "footer"):  # fmt: skip
        assert contrast(page, selector) >= 4.5, selector  # WCAG AA for text of this size
