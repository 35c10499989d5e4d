"""How the tests are distributed over workers: by file, and the long ones first."""

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from repo.checkout import ROOT, run
from support.distribution import LONGEST_FIRST, longest_first

TESTS = ROOT / "tests"


@dataclass(frozen=True)
class Found:
    """A test, as far as its place goes."""

    path: Path


def test_the_files_of_long_folders_begin_first_and_the_order_within_a_folder_stays() -> None:
    folders = [path.name for path in TESTS.iterdir() if [*path.rglob("test_*.py")]]
    items = [Found(TESTS / folder / f"test_{number}.py") for folder in folders for number in (2, 1)]
    random.Random(0).shuffle(items)  # noqa: S311 - an order, no secret
    ordered = items.copy()

    longest_first(cast("Any", ordered), TESTS)

    assert {*LONGEST_FIRST} < {*folders}
    first = dict.fromkeys(item.path.parent.name for item in ordered)
    assert [*first][: len(LONGEST_FIRST)] == [*LONGEST_FIRST]
    for folder in LONGEST_FIRST:
        assert _of(folder, ordered) == _of(folder, items)


def test_a_file_is_run_by_one_worker_in_the_order_of_the_files() -> None:
    planned = run(["make", "--dry-run", "pytest"]).stdout.splitlines()[-1]

    assert "--dist=loadfile --no-loadscope-reorder" in planned


def test_no_mark_asks_for_what_the_distribution_does_not_heed() -> None:
    heeded = re.compile(r"mark\.xdist_(?!_)\w+")
    marked = [path.name for path in TESTS.rglob("*.py") if heeded.search(path.read_text())]

    assert marked == []


def _of(folder: str, items: list[Found]) -> list[Found]:
    return [item for item in items if item.path.parent.name == folder]
