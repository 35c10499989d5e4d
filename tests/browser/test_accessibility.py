"""What axe-core finds in the page and in the HTML reports: nothing."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from browser.conftest import DESK, PHONE, Look
from support.bundles_on_disk import PICTURES, write_bundle
from support.patience import PATIENCE_S
from system.bundles import SAMPLES
from system.process import command

SIDE_PIXELS = 12
LABELS = ("red", "green", "blue")
LOOKS = ("light", "dark", "phone")
SHOWS_WHAT_IS_THERE = """() => {
  for (const each of document.querySelectorAll("details")) each.open = true;
}"""


def faults(page: Page) -> list[str]:
    """Every rule of axe-core that is broken, and where; closed parts are opened first."""
    page.evaluate(SHOWS_WHAT_IS_THERE)
    # All rules, the advice of best practice among them.
    response = Axe().run(page).response
    assert response["passes"], "axe-core looked at nothing"
    return [
        f"{rule['id']}: {rule['help']}: {node['target']} {node['failureSummary']}"
        for rule in response["violations"]
        for node in rule["nodes"]
    ]


def painted(label: int, number: int) -> Image.Image:
    """A stripe, its place by the number, on a ground of the label's colour."""
    ground = [60, 60, 60]
    ground[label] = 150
    image = Image.new("RGB", (SIDE_PIXELS, SIDE_PIXELS), tuple(ground))
    image.paste((250, 240, 200), (number // 8, 1 + number % 8, 6 + number // 8, 4 + number % 8))
    return image


def run(*arguments: str | Path, expected: int = 0) -> None:
    """A command of the server in a process of its own: this one has Playwright's event loop."""
    ended = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    assert ended.returncode == expected, ended.stderr


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of each command that writes one, by name."""
    folder = tmp_path_factory.mktemp("reports")
    bundle = write_bundle(
        folder / "colours" / "1", PICTURES + "normalize = { divisor = 255.0 }\n",
        shape=(SIDE_PIXELS, SIDE_PIXELS, 3), scale=3.0, offset=0.0,
    )  # fmt: skip
    (bundle / "labels.txt").write_text("\n".join(LABELS))
    data = folder / "labelled"
    for label, name in enumerate(LABELS):
        (data / name).mkdir(parents=True)
        for number in range(36):
            painted(label, number).save(data / name / f"{number}.png")
    # So that the diagnosis has reference pictures.
    (bundle / "samples").mkdir()
    for file in data.rglob("1*.png"):
        (bundle / "samples" / f"{file.parent.name}-{file.name}").write_bytes(file.read_bytes())
    run("profile", bundle, "--data", data)
    mixed = folder / "mixed"
    mixed.mkdir()
    dark = mixed / "dark.png"
    painted(0, 3).point(lambda level: level * 0.3).save(dark)
    usual = mixed / "usual.png"
    painted(1, 4).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(usual)
    (mixed / "broken.png").write_bytes(b"these are words")
    made = {name: folder / f"{name}.html" for name in ("fault", "clean", "folder", "drift")}
    run("diagnose", bundle, dark, "--label", "red", "--html", made["fault"])
    run("diagnose", bundle, usual, "--html", made["clean"])
    run("diagnose", bundle, mixed, "--html", made["folder"], expected=2)
    run("drift", bundle, "--data", data, "--html", made["drift"])
    return made


@pytest.fixture
def read(browser: Browser, reports: dict[str, Path]) -> Iterator[Look]:
    """Opens a report in a look."""
    contexts = []

    def open_report(name: str, look: str) -> Page:
        context = browser.new_context(viewport=PHONE if look == "phone" else DESK)
        contexts.append(context)
        page = context.new_page()
        page.emulate_media(color_scheme="dark" if look == "dark" else "light")
        page.goto(reports[name].as_uri())
        return page

    yield open_report
    for context in contexts:
        context.close()


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", ["fault", "clean", "folder", "drift"])
def test_everybody_can_read_a_report(read: Look, name: str, look: str) -> None:
    page = read(name, look)
    assert faults(page) == []
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0


@pytest.mark.parametrize("look", LOOKS)
def test_everybody_can_use_the_page(opened: Look, look: str) -> None:
    options = {"size": PHONE} if look == "phone" else {}
    page = opened(color=look, **options)
    page.get_by_label("Views").select_option("flip")
    page.get_by_label("Picture", exact=True).set_input_files(SAMPLES / "09-ankle-boot-1.png")
    expect(page.get_by_role("row", name="hflip")).to_be_visible(timeout=1000 * PATIENCE_S)
    page.get_by_role("button", name="Why this answer?").click()
    report = page.get_by_role("heading", name="Why this answer?")
    expect(report).to_be_focused(timeout=1000 * PATIENCE_S)
    assert faults(page) == []


def test_everybody_can_enter_the_token(unopened: Look) -> None:
    assert faults(unopened()) == []


def test_a_fault_that_is_planted_is_found(read: Look) -> None:
    page = read("clean", "light")
    page.evaluate("document.querySelector('img').removeAttribute('alt')")
    assert [each for each in faults(page) if each.startswith("image-alt")]
