"""The page in a real browser: a picture is dropped, answered and diagnosed, and nothing else."""

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from browser.conftest import PHONE, TOKEN, Look
from support.patience import PATIENCE_S
from system.bundles import SAMPLES

Shoot = Callable[[Page, str], None]
BOOT = SAMPLES / "09-ankle-boot-1.png"
DROP = """([text, name]) => {
  const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  const target = document.getElementById("drop");
  const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
  target.dispatchEvent(new DragEvent("dragover", options));
  target.dispatchEvent(new DragEvent("drop", options));
}"""
expect.set_options(timeout=1000 * PATIENCE_S)


def drop(page: Page, file: Path) -> None:
    """Drops a file on the page, as a mouse does."""
    page.evaluate(DROP, [base64.b64encode(file.read_bytes()).decode(), file.name])


def choose(page: Page, name: str, content: bytes) -> None:
    """Chooses a file by its field."""
    page.get_by_label("Picture", exact=True).set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": content}
    )


def png(width: int, height: int) -> bytes:
    """A grey picture."""
    content = io.BytesIO()
    Image.new("L", (width, height), 90).save(content, "png")
    return content.getvalue()


def test_a_token_opens_the_page_and_a_reload_forgets_it(unopened: Look) -> None:
    page = unopened()
    expect(page.get_by_label("Token")).to_be_focused()
    page.get_by_label("Token").fill("another-token-0123456789")
    page.get_by_role("button", name="Open the page").click()
    expect(page.locator("#entrance-fault")).to_have_text("The token is not known here.")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Open the page").click()
    expect(page.get_by_role("row", name="fashion-mnist")).to_contain_text("ready")
    expect(page.get_by_role("row", name="fashion-mnist")).to_contain_text("proven")
    page.reload()
    expect(page.get_by_label("Token")).to_have_value("")
    expect(page.get_by_label("Model", exact=True)).to_be_hidden()


def test_a_picture_that_is_dropped_is_answered_and_diagnosed(opened: Look, shoot: Shoot) -> None:
    page = opened()
    page.get_by_label("Views").select_option("flip")
    drop(page, BOOT)
    expect(page.get_by_role("status")).to_have_text("The answer is Ankle boot.")
    expect(page.get_by_role("row", name="hflip")).to_contain_text("Ankle boot")
    page.get_by_role("button", name="Why this answer?").click()
    expect(page.get_by_role("heading", name="Why this answer?")).to_be_focused()
    expect(page.locator("#report")).to_contain_text(BOOT.name)
    expect(page.get_by_role("img", name="noise: confidence of the plain class")).to_be_visible()
    # The pictures of the report are shown, not only named.
    sizes = page.locator("#report img").evaluate_all("all => all.map(each => each.naturalWidth)")
    assert sizes
    assert all(sizes)
    shoot(page, "site-diagnosis")


def test_the_report_can_be_saved_as_it_is(opened: Look) -> None:
    page = opened()
    drop(page, BOOT)
    page.get_by_role("button", name="Why this answer?").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the report").click()
    assert Path(download.value.path()).read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("broken.png", png(28, 28)[:45], "corrupt or truncated"),
        ("words.png", b"these are words, and no picture", "expected"),
        ("empty.png", b"", "no picture"),
        ("vast.png", png(8_000, 5_001), "pixels"),
    ],
    ids=["broken", "words", "empty", "vast"],
)
def test_what_is_no_picture_gets_a_sentence(
    opened: Look, name: str, content: bytes, says: str
) -> None:
    page = opened()
    choose(page, name, content)
    expect(page.locator("#fault")).to_contain_text(says)
    page.get_by_role("button", name="Why this answer?").click()
    expect(page.locator("#fault")).not_to_be_empty()
    # What comes next is answered as ever.
    drop(page, BOOT)
    expect(page.get_by_role("status")).to_have_text("The answer is Ankle boot.")
    expect(page.locator("#fault")).to_be_empty()


def test_a_picture_of_almost_40_megapixels_is_answered(opened: Look) -> None:
    page = opened()
    choose(page, "large.png", png(8_000, 5_000))
    expect(page.get_by_role("status")).to_contain_text("The answer is")


def test_the_keyboard_alone_does(unopened: Look) -> None:
    page = unopened()
    page.on("filechooser", lambda _: None)  # so that they are looked for long before one opens
    keyboard = page.keyboard
    expect(page.get_by_label("Token")).to_be_focused()
    keyboard.type(TOKEN)
    keyboard.press("Enter")
    page.get_by_label("Model", exact=True).wait_for()
    _tab_to(page, "file")
    with page.expect_file_chooser() as chooser:
        keyboard.press("Enter")
    chooser.value.set_files(BOOT)
    expect(page.get_by_role("status")).to_have_text("The answer is Ankle boot.")
    _tab_to(page, "views")
    keyboard.type("d4")
    _tab_to(page, "classify")
    keyboard.press("Enter")
    expect(page.get_by_role("row", name="rot90")).to_be_visible()
    _tab_to(page, "diagnose")
    keyboard.press("Space")
    expect(page.get_by_role("heading", name="Why this answer?")).to_be_focused()


def _tab_to(page: Page, name: str) -> None:
    """Presses Tab until an element has the focus, which is to be seen."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == name:
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            assert page.evaluate(outline) != "none"
            return
    raise AssertionError(f"Tab does not reach {name}")


def test_everything_has_a_name_and_a_role(opened: Look) -> None:
    page = opened()
    for label in ("Picture", "Model", "Views", "What it really is, if you know"):
        expect(page.get_by_label(label, exact=True)).to_be_visible()
    for heading in ("Ask about a picture", "Models", "Live"):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(page.get_by_role("main")).to_have_count(1)


def test_live_figures_come_from_the_counters_of_the_server(opened: Look) -> None:
    page = opened()
    drop(page, BOOT)
    latency = page.get_by_role("img", name="fashion-mnist version 1: time to answer")
    expect(latency).to_have_accessible_name(
        re.compile(r"time to answer: [0-9.e+]+, [0-9.e+]+, [0-9.e+]+ ms now")
    )
    expect(page.get_by_role("img", name="class: share of the pictures")).to_be_visible()


@pytest.mark.parametrize("way", ["leave", "cancel"])
def test_who_leaves_or_cancels_hangs_up(opened: Look, way: str) -> None:
    """What the server does then is in tests/wire/rest/test_site.py."""
    page = opened()
    drop(page, BOOT)
    expect(page.get_by_role("status")).to_have_text("The answer is Ankle boot.")
    page.route("**/site/diagnosis*", lambda _: None)  # is not answered
    page.get_by_role("button", name="Why this answer?").click()
    cancel = page.get_by_role("button", name="Cancel")
    cancel.wait_for()
    with page.expect_event("requestfailed", lambda asked: "/site/diagnosis" in asked.url):
        if way == "leave":
            page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide'))")
        else:
            cancel.click()
    expect(page.get_by_role("status")).to_have_text("Cancelled.")
    expect(cancel).to_be_hidden()


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_the_page_fits_its_window(opened: Look, shoot: Shoot, look: str) -> None:
    options = {"size": PHONE} if look == "phone" else {}
    page = opened(color="dark" if look == "dark" else "light", **options)
    page.get_by_label("Views").select_option("flip")
    # One between two looks at the counters, so that there are trends to draw.
    for name in ("01-trouser", "08-bag", "07-sneaker", "05-sandal", "09-ankle-boot"):
        with page.expect_response("**/site/live"):
            drop(page, SAMPLES / f"{name}-1.png")
        answer = name[3:].replace("-", " ").capitalize()
        expect(page.get_by_role("status")).to_have_text(f"The answer is {answer}.")
    page.get_by_role("img", name="fashion-mnist version 1: time to answer").wait_for()
    page.get_by_role("img", name="class: share of the pictures").wait_for()
    several = re.compile("M.*L.*L")
    expect(page.locator("svg .trend").first).to_have_attribute("d", several)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0
    shoot(page, f"site-{look}")
