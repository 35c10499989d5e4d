"""No command opens or rebuilds a model but within the limit that loading has."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import batchproof_server.commands as commands_package

FOLDER: Final = Path(commands_package.__file__).parent
LIMITS: Final = {"open_within", "call_within", "load_within"}
OPENS: Final = {"load_version", "inspect_model", "open_audited"}
# Of a source: each may trace, execute or build.
ASKS: Final = {
    "repair",
    "penultimate",
    "audit_graphs",
    "anatomy",
    "signature",
    "in_training_mode",
    "draw_in_training_mode",
}


def unlimited(tree: ast.AST) -> Iterator[str]:
    """Calls that open or ask a model outside the arguments of a limit."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in LIMITS:
            continue
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            owner, _, last = name.rpartition(".")
            opens_kind = last == "open" and owner.endswith("kind")
            if last in OPENS or opens_kind or (owner and last in ASKS):
                yield f"{node.lineno}: {name}"
        yield from unlimited(node)


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.py")), ids=lambda file: file.stem)
def test_a_model_is_opened_within_the_limit_of_loading(file: Path) -> None:
    assert not list(unlimited(ast.parse(file.read_text())))


def test_a_call_without_a_limit_is_found() -> None:
    text = "kind.open(file, settings)\nsource.repair()\nopen_within(config, file, kind.open)\n"
    assert list(unlimited(ast.parse(text))) == ["1: kind.open", "2: source.repair"]
