"""What the two commands have in common: Ctrl-C at any moment, and options wherever they stand."""

import argparse
import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

SHELLS: Final = ("bash", "zsh", "fish")
_NAMES_OF_FILES: Final = ("FILE", "IMAGE", "PATH", "PICTURE")
INTERRUPTED: Final = 130
"""128 + SIGINT, as a shell reports it."""


def client() -> int:
    """The program ``batchproof``; returns its exit code."""
    return _run("batchproof_client.__main__")


def server() -> int:
    """The program ``batchproof-server``; returns its exit code."""
    return _run("batchproof_server.__main__")


# Imported by name and not before: this package knows neither of the two, and Ctrl-C while gRPC is
# imported is heard here already.
def _run(module: str) -> int:
    open_standard_streams()
    try:
        code: int = importlib.import_module(module).main()
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        _leave()
    return code


def open_standard_streams() -> None:
    """Lets those that are closed lead nowhere.

    The next file or connection would get the number of standard error, and the lines of whoever
    writes to that.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - it has no name
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - stays open


def lead_nowhere(stream: TextIO) -> None:
    """Keeps the interpreter from writing again, when it ends, what could not be written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _leave() -> NoReturn:
    """Ends the process without waiting for threads that nothing can interrupt."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(INTERRUPTED)


def add_completion(commands: Any) -> None:
    """Adds the command ``completion`` to those of a program."""
    completion = commands.add_parser(
        "completion",
        help="print a script that lets a shell complete this command",
        description="Prints a script for SHELL. Put it where the shell looks, for instance "
        "`source <(batchproof completion bash)` in ~/.bashrc, or the output for fish in "
        "~/.config/fish/completions/.",
    )
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script with which ``shell`` completes commands, options and names of files.

    Args:
        parser: of the whole program.
        shell: one of ``SHELLS``.
    """
    shtab: Any = importlib.import_module("shtab")  # of use to this command alone
    for each in _arguments(parser):
        if each.type is Path or each.metavar in _NAMES_OF_FILES:
            vars(each)["complete"] = shtab.FILE  # shtab's own convention
    return str(shtab.complete(parser, shell))


def _arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    yield from parser._actions  # noqa: SLF001 - as below
    for each in _commands(parser).values():
        yield from _arguments(each)


def command_first(words: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """The same command line with each command before all options of it.

    ``--json predict a.png`` becomes ``predict --json a.png``, which argparse understands. Words
    that it would not understand in any order are left as they are.

    Args:
        words: the arguments of a program.
        parser: of the program, or of one of its commands.
    """
    commands = _commands(parser)
    place = _place_of_command(words, parser, commands)
    if place is None:
        return list(words)
    command, rest = words[place], [*words[:place], *words[place + 1 :]]
    return [command, *command_first(rest, commands[command])]


def _commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            return dict(action.choices)
    return {}


def _place_of_command(
    words: Sequence[str],
    parser: argparse.ArgumentParser,
    commands: Mapping[str, argparse.ArgumentParser],
) -> int | None:
    own = {name for each in parser._actions for name in each.option_strings}  # noqa: SLF001 - as above
    values: dict[str, int] = {}
    for name, count in _values_of_options(commands):
        values[name] = min(count, values.get(name, count))
    place = 0
    while place < len(words):
        word = words[place]
        if not word.startswith("-") or word == "-":
            return place if word in commands else None
        if word in own or word == "--":
            return None
        place += 1 + _values_of(word, values)
    return None


def _values_of(word: str, values: Mapping[str, int]) -> int:
    if "=" in word:
        return 0
    if word in values:
        return values[word]
    meant = {count for name, count in values.items() if word[:2] == "--" and name.startswith(word)}
    return meant.pop() if len(meant) == 1 else 0


def _values_of_options(
    commands: Mapping[str, argparse.ArgumentParser],
) -> Iterator[tuple[str, int]]:
    """Each option of the commands, and how many words after it are its value."""
    for parser in commands.values():
        for action in parser._actions:  # noqa: SLF001 - as above
            count = 1 if action.nargs is None else action.nargs
            for name in action.option_strings:
                yield name, count if isinstance(count, int) else 0
        yield from _values_of_options(_commands(parser))
