"""Who decides by the name of an artefact kind or an engine, found by walking the syntax trees."""

import ast
from collections.abc import Collection, Iterator, Mapping

from repo.doors import uses

# Modules that compare something else of the same name with a literal -> what that is.
OTHER_THINGS: Mapping[str, str] = {
    "batchproof_server.imaging.mistakes": "the resize library of a recipe",
    "batchproof_server.imaging.recipe": "the resize library of a recipe",
    "batchproof_server.imaging.resize": "the resize library of a recipe",
    "batchproof_server.proof.keras.config": "the Python package of a class in a file",
    "batchproof_server.proof.keras.model": "the Python package of a layer's class",
}


def compared_names(source: str, names: Collection[str]) -> Iterator[tuple[int, str]]:
    """Line and literal of each comparison with one of the names, lookups in literals included."""
    for node in ast.walk(ast.parse(source)):
        for literal in _literals(node):
            if literal.value in names:
                yield literal.lineno, str(literal.value)


def plug_imports(module: str, source: str, folders: Collection[str]) -> Iterator[tuple[int, str]]:
    """Line and target of each import from the folder of a kind or an engine."""
    for use in uses(module, source):
        if any(use.target == folder or use.target.startswith(f"{folder}.") for folder in folders):
            yield use.line, use.target


def _literals(node: ast.AST) -> Iterator[ast.Constant]:
    match node:
        case ast.Compare(left=left, comparators=others):
            sides: list[ast.expr] = [left, *others]
        case ast.MatchValue(value=value):
            sides = [value]
        case ast.Subscript(value=ast.Dict() as table):
            sides = [table]
        case _:
            return
    for side in sides:
        yield from (inner for inner in ast.walk(side) if isinstance(inner, ast.Constant))
