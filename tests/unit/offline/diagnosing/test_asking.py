"""How rows are asked about: together, and one by one where one of them has no answer."""

import asyncio
from pathlib import Path

import numpy as np

from batchproof_server.application.config import Config
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.signature import Array
from batchproof_server.models.discovery import Place
from batchproof_server.models.loading import load_version
from batchproof_server.offline.diagnosing.asking import RowAsker, run_here
from support.bundles_on_disk import LOGITS, write_bundle

ROWS = tuple(np.full(4, number, np.float32) for number in range(6))


def asked(tmp_path: Path, rows: tuple[Array, ...]) -> tuple[list[bool], list[int]]:
    """Whether each row has an answer, and the rows of each execution."""
    model = load_version(
        Place("m", 1, write_bundle(tmp_path / "m" / "1", LOGITS)), loading_plugs(Config())
    )
    executed: list[int] = []

    async def execute(part: Array) -> Array:
        executed.append(len(part))
        return part[:, :3]

    asker = RowAsker(model, 4, execute, run_here)
    answers = asyncio.run(asker.each_or_none(rows))
    return [each is not None for each in answers], executed


def test_rows_are_asked_about_together(tmp_path: Path) -> None:
    assert asked(tmp_path, ROWS) == ([True] * 6, [4, 2])


def test_a_row_without_an_answer_takes_none_from_the_others(tmp_path: Path) -> None:
    rows = (*ROWS[:2], np.full(4, np.nan, np.float32), *ROWS[2:])
    has_answer, executed = asked(tmp_path, rows)
    assert has_answer == [True, True, False, True, True, True, True]
    assert executed[-7:] == [1] * 7


def test_rows_of_several_sizes_are_asked_about_one_by_one(tmp_path: Path) -> None:
    assert asked(tmp_path, (*ROWS[:2], np.ones(5, np.float32))) == ([True] * 3, [1, 1, 1])


def test_of_no_rows_nobody_is_asked(tmp_path: Path) -> None:
    assert asked(tmp_path, ()) == ([], [])
