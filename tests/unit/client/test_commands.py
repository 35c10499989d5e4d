import io
import json
import sys
from pathlib import Path

import pytest

from batchproof_client import LocalInputError
from batchproof_client.commands.arguments import (
    ModelsArguments,
    PredictArguments,
    StatusArguments,
    UsageError,
    parse,
)
from batchproof_client.commands.pictures import Picture, expand
from batchproof_client.commands.terminal import progress, write_error, write_json, write_table


class Terminal(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        """Always."""
        return True


def test_predict_is_parsed() -> None:
    argv = "predict a.png b --server h:1 --model m:3 --top-k 2 --probabilities --concurrency 4"
    parsed = parse([*argv.split(), "--timeout-s", "2.5", "--json"], "default:1")
    assert isinstance(parsed, PredictArguments)
    assert parsed.images == ("a.png", "b")
    assert (parsed.model, parsed.top_k, parsed.concurrency) == ("m:3", 2, 4)
    assert parsed.probabilities
    assert (parsed.server.server, parsed.server.timeout_s) == ("h:1", 2.5)
    assert parsed.server.json
    assert parsed.server.tls is None


def test_the_default_server_is_the_callers() -> None:
    parsed = parse(["models"], "default:1")
    assert isinstance(parsed, ModelsArguments)
    assert parsed.server.server == "default:1"


def test_status_is_parsed() -> None:
    parsed = parse(["status", "--wait", "3"], "s:1")
    assert isinstance(parsed, StatusArguments)
    assert parsed.wait_s == 3.0


def test_tls_options_are_collected() -> None:
    argv = "models --tls-ca ca --tls-cert c --tls-key k --tls-server-name n"
    parsed = parse(argv.split(), "s:1")
    assert isinstance(parsed, ModelsArguments)
    tls = parsed.server.tls
    assert tls is not None
    assert (tls.root_certificates, tls.client_certificate, tls.client_key) == ("ca", "c", "k")
    assert tls.server_name == "n"
    plain = parse(["models", "--tls"], "s:1")
    assert isinstance(plain, ModelsArguments)
    assert plain.server.tls is not None
    with pytest.raises(LocalInputError, match="needs its key"):
        parse(["models", "--tls-cert", "c"], "s:1")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ("", "required: COMMAND"),
        ("predict", "required: IMAGE"),
        ("predict a --top-k -1", "-1 is below 0"),
        ("predict a --top-k 0", "0 is below 1"),
        ("predict a --top-k x", '"x" is not a number'),
        ("predict a --concurrency 0", "0 is below 1"),
        ("status --wait 0", "0 is not above 0"),
        ("models --timeout-s inf", "inf is not above 0"),
        ("frobnicate", "invalid choice"),
    ],
)
def test_bad_usage_is_one_sentence(argv: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        parse(argv.split(), "s:1")
    assert "\n" not in str(caught.value)


def test_folders_patterns_and_files_become_pictures_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("shots/b.PNG", "shots/deep/a.jpg", "shots/notes.txt", "c[1].webp", "d.bin"):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    Path("empty").mkdir()
    named = [picture.name for picture in expand(["d.bin", "shots", "*/*.PNG", "c[1].webp"])]
    assert named == ["d.bin", "shots/b.PNG", "shots/deep/a.jpg", "shots/b.PNG", "c[1].webp"]
    assert expand(["missing.png"]) == (Picture("missing.png"),)
    (empty,) = expand(["empty"])
    assert ".webp in this folder" in empty.fault
    (nothing,) = expand(["*.gif"])
    assert "no file matches" in nothing.fault


def test_a_terminal_gets_a_table_and_a_pipe_gets_tabs(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", terminal)
    write_table(("a", "b"), [("1", "[red]2[/red]")], caption="who")
    monkeypatch.setattr(sys, "stdout", pipe)
    write_table(("a", "b"), [("1", "two\nlines\t")], caption="who")
    assert "[red]2[/red]" in terminal.getvalue()
    assert "who" in terminal.getvalue()
    assert pipe.getvalue() == "a\tb\n1\ttwo\\nlines\\t\n"


def test_a_name_of_two_lines_is_one_line_on_a_terminal_and_in_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_error("two\nlines.png: cannot be read")
    assert capsys.readouterr().err == "batchproof: two\\nlines.png: cannot be read\n"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    write_table(("file",), [("two\nlines",)])
    assert "two\\nlines" in terminal.getvalue()


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"label": "stövel"})
    out = capsys.readouterr().out
    assert out == '{"label": "stövel"}\n'
    assert json.loads(out) == {"label": "stövel"}


def test_the_bar_is_for_terminals_and_for_more_than_one_thing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(1) as bar:
        bar.advance(bar.task_ids[0])
    assert terminal.getvalue() == ""
    with progress(2) as bar:
        bar.advance(bar.task_ids[0])
    assert "pictures" in terminal.getvalue()
