"""The embedded model with its page, behind a token, and Debian's Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from support.patience import PATIENCE_S
from system.bundles import EMBEDDED
from system.process import ServerProcess, started

TOKEN = "of-the-page-0123456789"  # noqa: S105 - of this test alone
DESK: ViewportSize = {"width": 1100, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
Look = Callable[..., Page]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The embedded model, SERVING."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN)
    variables = {"BATCHPROOF_WEB__SITE": "true", "BATCHPROOF_WEB__TOKEN_FILE": str(token)}
    with started(EMBEDDED, "--web-port", "0", variables=variables) as running:
        yield running.wait_serving()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium, which is the system's."""
    program = shutil.which("chromium")
    assert program, "no chromium is installed: make test-browser installs it"
    with sync_playwright() as playwright:
        # Who runs as root, as CI does, has no sandbox.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = playwright.chromium.launch(executable_path=program, args=arguments)
        yield running
        running.close()


@pytest.fixture
def unopened(browser: Browser, server: ServerProcess) -> Iterator[Look]:
    """Opens pages before their token was entered; each looks for what no page may do."""
    said: list[str] = []
    contexts = []

    def look(*, color: str = "light", size: ViewportSize = DESK) -> Page:
        context = browser.new_context(viewport=size)
        contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE_S)
        page = context.new_page()
        page.emulate_media(color_scheme="dark" if color == "dark" else "light")
        page.on("console", lambda line: said.append(line.text))
        page.on("pageerror", lambda fault: said.append(str(fault)))
        page.on("request", lambda asked: said.append(_elsewhere(asked.url, server.web)))
        page.goto(f"http://{server.web}/")
        return page

    yield look
    for context in contexts:
        assert not context.cookies()
        context.close()
    # What the browser itself says of answers that are no 200.
    expected = ("", "Failed to load resource")
    assert [line for line in said if not (line == "" or line.startswith(expected[1]))] == []


@pytest.fixture
def opened(unopened: Look) -> Look:
    """Opens pages and enters the token."""

    def look(**options: object) -> Page:
        page = unopened(**options)
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_label("Token").press("Enter")
        page.get_by_label("Model", exact=True).wait_for()
        return page

    return look


@pytest.fixture
def shoot(tmp_path: Path) -> Callable[[Page, str], None]:
    """Keeps pictures of a page in the folder that SCREENSHOTS names."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)

    def take(page: Page, name: str) -> None:
        file = folder / f"{name}.png"
        page.screenshot(path=file, full_page=True)
        assert file.stat().st_size

    return take


def _elsewhere(url: str, address: str) -> str:
    """An address that is not the server's, else nothing."""
    return "" if url.startswith((f"http://{address}/", "blob:", "data:")) else url
