"""What docs/first-hour.md shows is true: its commands are run and their output is compared."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from support.patience import PATIENCE_S
from system.process import environment, started

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "first-hour.md"
MODULES = {"batchproof-server": "batchproof_server", "batchproof": "batchproof_client"}
CUT = "..."
_LONGEST_S = 4 * PATIENCE_S


def blocks() -> Iterator[tuple[list[str], list[str]]]:
    """Each command of the page, and the lines that are shown of its output."""
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        first, *shown = re.sub(r"\\\n\s*", "", block).splitlines()
        yield shlex.split(first.removeprefix("$ ")), shown


def told(line: str) -> str:
    """A line without its figures, which another processor may round otherwise."""
    return re.sub(r"\d[\d.,]*", "#", line)


def command(words: list[str]) -> list[str]:
    program, *rest = words
    known = ["-m", MODULES[program]] if program in MODULES else []
    return [sys.executable, *known, *rest]


def test_each_command_of_the_page_says_what_the_page_shows(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    server = ""
    with ExitStack() as running:
        for words, shown in blocks():
            if words[:2] == ["batchproof-server", "serve"]:
                served = running.enter_context(started(tmp_path / words[2]))
                server = served.wait_serving().grpc
                continue
            more = ["--server", server] if words[0] == "batchproof" else []
            ended = subprocess.run(
                [*command(words), *more],
                cwd=tmp_path,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=_LONGEST_S,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
            said = iter(map(told, ended.stdout.splitlines()))
            missing = [line for line in shown if line != CUT and told(line) not in said]
            assert missing == [], ended.stdout
    assert server
