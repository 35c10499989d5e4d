"""Nothing in the tests depends on how fast the machine is: how long they wait is said once."""

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from repo.checkout import ROOT, project_table
from support.patience import HOPELESS_S, PATIENCE_S, attempts, longer

TESTS = ROOT / "tests"
HOME = TESTS / "support" / "patience.py"
SLEEPERS = {TESTS / "system" / "process.py"}
# Methods and functions that wait, whose limit is their last argument.
WAITS = {"wait", "wait_for", "join", "result", "poll", "timeout"}


def test_no_wait_has_a_limit_of_its_own() -> None:
    modules = set(TESTS.rglob("*.py")) - {HOME}
    faults = [
        f"{module.relative_to(ROOT)}:{fault}"
        for module in sorted(modules)
        for fault in _limits(module.read_text())
    ]

    assert faults == []


def test_nothing_sleeps_but_what_polls_a_process() -> None:
    modules = set(TESTS.rglob("*.py")) - SLEEPERS

    assert [module for module in modules if "time.sleep(" in module.read_text()] == [
        Path(__file__).resolve()
    ]


def test_a_test_may_wait_several_times_before_it_is_ended() -> None:
    assert project_table()["tool"]["pytest"]["ini_options"]["timeout"] >= 3 * PATIENCE_S


@pytest.mark.parametrize(
    "planted",
    [
        "event.wait(5)",
        "thread.join(0.5)",
        "await asyncio.wait_for(event.wait(), 1)",
        "async with asyncio.timeout(10): pass",
        "subprocess.run([], timeout=60)",
        "stub.Predict(asked, timeout=0.05)",
        "answers.get(timeout=60)",
        "mark = pytest.mark.timeout(600)",
        "ANSWER_PATIENCE_S = 20.0",
        "TIMEOUT_S: float = 1",
    ],
)
def test_a_planted_limit_is_found(planted: str) -> None:
    assert list(_limits(f"async def test() -> None:\n  {planted}"))


@pytest.mark.parametrize(
    "fine",
    [
        '", ".join(names)',
        "event.wait(PATIENCE_S)",
        "page.get(1, 2)",
        "stub.Predict(timeout=each_s)",
    ],
)
def test_what_waits_as_long_as_all_do_is_no_fault(fine: str) -> None:
    assert list(_limits(fine)) == []


def test_deadlines_to_try_grow_until_patience_is_over() -> None:
    tried: list[float] = []
    with pytest.raises(AssertionError, match="long enough"):
        tried.extend(longer())

    assert tried[0] == HOPELESS_S
    assert all(later == 2 * each for each, later in pairwise(tried))
    assert PATIENCE_S / 2 <= tried[-1] < PATIENCE_S


def test_attempts_end_when_patience_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = iter([0.0, 1.0, PATIENCE_S - 1, PATIENCE_S])
    clock = SimpleNamespace(monotonic=lambda: next(now_s))
    monkeypatch.setattr("support.patience.time", clock)

    made: list[int] = []
    with pytest.raises(AssertionError, match="in 2 attempts"):
        made.extend(attempts())

    assert made == [0, 1]


def _limits(source: str) -> Iterator[str]:
    """The line and the text of each number that limits a wait."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call() if any(_is_number(limit) for limit in _limits_of(node)):
                yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _limits_waits(name, value):
                yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if _limits_waits(name, value):
                yield f"{node.lineno}: {ast.unparse(node)}"


def _limits_of(call: ast.Call) -> Iterator[ast.expr]:
    yield from (word.value for word in call.keywords if word.arg == "timeout")
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr in WAITS and call.args:
        yield call.args[-1]


def _limits_waits(name: str, value: ast.expr | None) -> bool:
    return ("PATIENCE" in name or "TIMEOUT" in name) and _is_number(value)


def _is_number(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and type(value.value) in (int, float)
