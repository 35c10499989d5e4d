"""The size and the names of hand-written code."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

from repo.checkout import ROOT, product_modules, tracked_files

LONGEST_FUNCTION_LINES = 60
MEDIAN_FUNCTION_LINES = 10
LONGEST_MODULE_LINES = 300
LONGEST_TEST_MODULE_LINES = 500  # a list of sentences reads well at any length, up to a point
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "handler", "misc"}

_ROAD = "each file more is on every request's road"
# A module over the limit -> why it is one thing.
LONG_MODULES: dict[str, str] = {
    "examples/fashion_mnist/train.py": "one file that runs wherever it is copied",
    "server/batchproof_server/batching/batcher.py": _ROAD,
    "server/batchproof_server/batching/device_work.py": _ROAD,
    "server/batchproof_server/rpc/calls.py": _ROAD,
    "server/batchproof_server/serving/predictor.py": _ROAD,
    "server/batchproof_server/base/events.py": "every event that may be told stands in one place",
    "server/batchproof_server/rpc/fronts/completion_queue/calls.py": _ROAD,
    "server/batchproof_server/models/versions.py": "every change of a state stands in one place",
    "server/batchproof_server/observing/logs.py": _ROAD,
    "server/batchproof_server/observing/prometheus/serving.py": "every series of serving in a row",
}


def test_no_function_is_longer_than_60_lines() -> None:
    too_long = [
        f"{path.relative_to(ROOT)}:{line} has {lines} lines"
        for path in _python_files()
        for line, lines in _functions(path.read_text())
        if lines > LONGEST_FUNCTION_LINES
    ]

    assert too_long == []


def test_the_median_function_of_the_product_has_at_most_10_lines() -> None:
    lengths = [lines for path in product_modules() for _, lines in _functions(path.read_text())]

    assert statistics.median(lengths) <= MEDIAN_FUNCTION_LINES


def test_a_module_over_300_lines_has_a_reason_here() -> None:
    too_long = {
        str(path.relative_to(ROOT))
        for path in _python_files()
        if len(path.read_text().splitlines()) > _longest(path)
    }

    assert too_long == set(LONG_MODULES)
    assert all(len(reason.split()) >= 4 for reason in LONG_MODULES.values())


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = [path for path in _python_files() if EMPTY_NAMES & {path.stem, path.parent.name}]

    assert empty == []


def test_the_folders_of_the_packages_are_no_packages_themselves() -> None:
    assert [
        name for name in ("proto", "server", "client") if (ROOT / name / "__init__.py").exists()
    ] == []


def test_a_function_is_counted_from_its_signature_to_its_last_line_without_its_docstring() -> None:
    source = 'def f(\n    a: int,\n) -> int:\n    """One.\n\n    Two.\n    """\n    return a\n'

    assert list(_functions(source)) == [(1, 4)]


def _longest(path: Path) -> int:
    inside_tests = path.is_relative_to(ROOT / "tests")
    return LONGEST_TEST_MODULE_LINES if inside_tests else LONGEST_MODULE_LINES


def _python_files() -> list[Path]:
    generated = ("_pb2", "_pb2_grpc")
    return [
        path
        for path in tracked_files()
        if path.suffix == ".py" and not path.stem.endswith(generated)
    ]


def _functions(source: str) -> Iterator[tuple[int, int]]:
    """First line and number of lines of each function; its docstring does not count."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_stub(node):
            yield node.lineno, _lines(node) - _docstring_lines(node)


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return _lines(node.body[0]) if ast.get_docstring(node) is not None else 0


def _is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A method of a Protocol: it has a promise and no body."""
    match node.body[-1]:
        case ast.Expr(value=ast.Constant(value=last)):
            return last is ...
        case _:
            return False
