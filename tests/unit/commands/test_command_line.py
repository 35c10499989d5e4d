"""The table of the commands: complete, and imported only when it is asked for."""

import argparse
import subprocess
import sys

import pytest

from batchproof_server.__main__ import _COMMANDS, _command, _parser, main

HEAVY = (
    "cryptography",
    "grpc",
    "keras",
    "numpy",
    "PIL",
    "prometheus_client",
    "pydantic",
    "structlog",
    "tensorflow",
)


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["tta", "fit", "--help"]])
def test_help_imports_nothing_that_a_bare_install_lacks(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from batchproof_server.__main__ import main\n"
        f"try:\n    main({arguments!r})\n"
        f"finally:\n    print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("usage: batchproof-server")
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_of_the_parser_is_in_the_table_and_can_be_called() -> None:
    actions = _parser()._actions
    (commands,) = [each for each in actions if isinstance(each, argparse._SubParsersAction)]

    assert list(commands.choices) == [*_COMMANDS, "completion"]
    assert all(callable(_command(name)) for name in _COMMANDS)


def test_a_bare_install_is_told_what_the_server_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    assert main(["serve", "nowhere"]) == 2
    assert 'pip install ".[cpu]" in the repository' in capsys.readouterr().err
