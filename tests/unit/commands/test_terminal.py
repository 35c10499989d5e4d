"""Text from outside is text: nothing that is shown moves the cursor or turns a line round."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof.text import joined, printable, printable_lines
from batchproof_client.commands import terminal as client_terminal
from batchproof_server import commands
from batchproof_server.commands import terminal

HOSTILE = "shoe\x1b[2K\x1b]0;title\x07\r\u202eenvorp\u2066\x7f\x85\u2028"


@given(st.text())
def test_what_is_shown_can_be_printed_and_keeps_its_lines(text: str) -> None:
    assert printable(text).isprintable()
    shown = printable_lines(text)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert shown.count("\n") == text.count("\n")
    if text.isprintable():
        assert shown == text


@given(st.lists(st.text(), min_size=1))
def test_a_report_has_the_lines_that_it_was_made_of_and_no_more(lines: list[str]) -> None:
    assert len(joined(lines).split("\n")) == len(lines)


def test_no_report_of_a_command_joins_lines_that_may_hold_a_line_break() -> None:
    """A name of a file with a line break could write a line of its own into a report."""
    folder = Path(commands.__file__).parent
    joining = [
        file for file in folder.rglob("*.py") if '"\\n".join(lines' in file.read_text("utf-8")
    ]
    assert joining == []


@given(st.text())
def test_json_stays_the_same_json(text: str) -> None:
    assert json.loads(printable(json.dumps({"label": text}, ensure_ascii=False))) == {"label": text}


def test_commands_of_the_server_escape(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.write(HOSTILE)
    terminal.write_error(HOSTILE)
    shown = capsys.readouterr()
    assert shown.out == (
        "shoe\\u001b[2K\\u001b]0;title\\u0007\\r\\u202eenvorp\\u2066\\u007f\\u0085\\u2028\n"
    )
    assert shown.err == "batchproof-server: " + shown.out


def test_commands_of_the_client_escape(capsys: pytest.CaptureFixture[str]) -> None:
    client_terminal.write_table(("class", "score"), [(HOSTILE, "0.9")])
    client_terminal.write_json({"label": HOSTILE})
    client_terminal.write_line(HOSTILE)
    client_terminal.write_error(HOSTILE)
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert all(line.replace("\t", "").isprintable() for line in text.split("\n"))
    record = next(line for line in shown.out.splitlines() if line.startswith("{"))
    assert json.loads(record) == {"label": HOSTILE}
