"""Ctrl-C and the place of options, for both commands."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import batchproof_client.__main__
import batchproof_server.__main__
from batchproof import command_line
from batchproof.command_line import SHELLS, command_first, completion_script
from batchproof_client.commands.arguments import _parser as client_parser
from batchproof_server.__main__ import main as server_main
from support.patience import PATIENCE_S

SERVER = batchproof_server.__main__._parser()
CLIENT = client_parser("127.0.0.1:8500")


class Left(Exception):
    """The process would have ended here."""


def leave(code: int) -> None:
    raise Left(code)


def options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, object]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from options(each)
        yield from ((name, action.nargs) for name in action.option_strings)


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("predict a.png --json", "predict a.png --json"),
        ("--json predict a.png", "predict --json a.png"),
        ("--server h:1 --top-k=2 predict a.png", "predict --server h:1 --top-k=2 a.png"),
        ("--serv predict predict a.png", "predict --serv predict a.png"),
        ("--compare a.json b.json load", "load --compare a.json b.json"),
        ("--json a.png predict", "--json a.png predict"),
        ("--version predict", "--version predict"),
        ("--unknown predict a", "predict --unknown a"),
        ("- predict", "- predict"),
        ("--json", "--json"),
        ("", ""),
    ],
)
def test_a_command_of_the_client_comes_before_its_options(typed: str, understood: str) -> None:
    assert command_first(typed.split(), CLIENT) == understood.split()


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("--json --data d evaluate b", "evaluate --json --data d b"),
        ("--limit 5 recipe --json find b", "recipe find --limit 5 --json b"),
        ("profile b --data d", "profile b --data d"),
        ("--data d profile b", "profile --data d b"),
        ("--json profile show p", "profile show --json p"),
    ],
)
def test_so_does_one_of_the_server_and_the_action_of_a_command(typed: str, understood: str) -> None:
    assert command_first(typed.split(), SERVER) == understood.split()


@pytest.mark.parametrize("parser", [CLIENT, SERVER], ids=["client", "server"])
def test_an_option_has_as_many_values_in_every_command(parser: argparse.ArgumentParser) -> None:
    """Else nobody could tell the command from a value of an option before it."""
    found: dict[str, set[object]] = {}
    for name, count in options(parser):
        found.setdefault(name, set()).add(count)
    # Switches that take a value elsewhere, where they stand after: --tta of `evaluate`, and the
    # --version of the program, which `pack` takes for its bundle.
    assert {name for name, counts in found.items() if len(counts) > 1} <= {"--tta", "--version"}


@pytest.mark.parametrize(
    ("program", "module"), [("client", "batchproof_client"), ("server", "batchproof_server")]
)
def test_ctrl_c_while_a_command_is_imported_or_runs_is_130(
    program: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    stand_in = ModuleType("stand_in")
    stand_in.__dict__["main"] = interrupt
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setitem(sys.modules, f"{module}.__main__", stand_in)
    with pytest.raises(Left, match="130"):
        getattr(command_line, program)()


def test_any_other_end_of_a_command_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("stand_in")
    stand_in.__dict__["main"] = lambda: 1
    monkeypatch.setitem(sys.modules, "batchproof_client.__main__", stand_in)
    assert command_line.client() == 1


TELLS_WHERE_ITS_STREAMS_LEAD = """
import os, sys
from batchproof.command_line import open_standard_streams
open_standard_streams()
print("out", flush=True)
sys.stdin.read()
sys.stderr.write("error")
assert [each.fileno() for each in (sys.stdin, sys.stdout, sys.stderr)] == [0, 1, 2]
opened = os.open("/dev/zero", os.O_RDONLY)
child = os.spawnlp(os.P_WAIT, "sh", "sh", "-c", "test -c /dev/fd/0 -o -p /dev/fd/0 && echo x >&2")
os._exit(opened if child == 0 else 1)
"""


@pytest.mark.parametrize("closed", [(2,), (0,), (0, 1, 2)])
def test_standard_streams_that_are_closed_lead_nowhere(closed: tuple[int, ...]) -> None:
    redirects = " ".join(f"{each}<&-" if each == 0 else f"{each}>&-" for each in closed)
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            f'exec "$0" -c "$1" {redirects}',
            sys.executable,
            TELLS_WHERE_ITS_STREAMS_LEAD,
        ],
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    # Whatever is opened next gets the number of none of them.
    assert done.returncode == 3
    assert done.stdout == (b"" if 1 in closed else b"out\n")


def test_ctrl_c_ends_every_command_of_the_server_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_arguments: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(batchproof_server.__main__, "_command", lambda _name: interrupt)
    assert batchproof_server.__main__.main(["inspect", "anything"]) == 130


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("parser", [CLIENT, SERVER], ids=["client", "server"])
def test_every_command_and_option_is_in_the_script_of_a_shell(
    parser: argparse.ArgumentParser, shell: str
) -> None:
    script = completion_script(parser, shell)
    names = {name.lstrip("-") for name, _ in options(parser)}
    assert [name for name in sorted(names) if name not in script] == []
    assert "completion" in script


def completed_by_bash(tmp_path: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    (tmp_path / "script").write_text(completion_script(CLIENT, "bash"))
    typed = " ".join(f"'{word}'" for word in ("batchproof", *words))
    asked = (
        f'source "{tmp_path}/script"; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; '
        '_shtab_batchproof; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-c", asked],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    return done.stdout.split()


def test_bash_completes_commands_options_and_files(tmp_path: Path) -> None:
    assert completed_by_bash(tmp_path, "pre") == ["predict"]
    assert completed_by_bash(tmp_path, "predict", "--top") == ["--top-k"]
    assert completed_by_bash(tmp_path, "completion", "f") == ["fish"]
    (tmp_path / "shoe.png").touch()
    for words in ("predict",), ("diagnose",), ("load", "--images"), ("report-outcome", "--file"):
        assert completed_by_bash(tmp_path, *words, "sho") == ["shoe.png"], words


# Who has neither shell is told so by the name of what was skipped.
@pytest.mark.parametrize(
    "shell",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed"),
        )
        for name in ("bash", "zsh", "fish")
    ],
)
@pytest.mark.parametrize("parser", [CLIENT, SERVER], ids=["client", "server"])
def test_a_shell_reads_its_script_without_a_fault(
    parser: argparse.ArgumentParser, shell: str, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text(completion_script(parser, shell))
    done = subprocess.run(
        [str(shutil.which(shell)), "-n", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("program", ["client", "server"])
def test_the_script_is_printed(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    main = batchproof_client.__main__.main if program == "client" else server_main
    assert main(["completion", "fish"]) == 0
    assert "complete -c batchproof" in capsys.readouterr().out


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert batchproof_client.__main__.main(["completion", "csh"]) == 2
    assert "invalid choice: 'csh'" in capsys.readouterr().err
