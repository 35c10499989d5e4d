"""Ctrl-C and the place of options, for both commands."""

import argparse
import os
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import batchproof_server.__main__
from batchproof import command_line
from batchproof.command_line import command_first
from batchproof_client.commands.arguments import _parser as client_parser

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
    # Of tta it is a switch for `evaluate` and takes a policy elsewhere: then it stands after.
    assert {name for name, counts in found.items() if len(counts) > 1} <= {"--tta"}


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


def test_ctrl_c_ends_every_command_of_the_server_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_arguments: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(batchproof_server.__main__, "_command", lambda _name: interrupt)
    assert batchproof_server.__main__.main(["inspect", "anything"]) == 130
