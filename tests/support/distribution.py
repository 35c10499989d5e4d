"""In which order the workers of a run take the files of the tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

LONGEST_FIRST: Final = ("system", "repo", "model", "wire")
"""Folders whose files take minutes; those of the others take seconds."""


def longest_first(items: list[pytest.Item], tests: Path) -> None:
    """Orders tests so that no worker begins a long file when the others have nothing left to do.

    A file is run by one worker, for its tests share servers. The order within a folder stays.

    Args:
        items: what was collected; sorted in place.
        tests: the folder of all tests.
    """
    items.sort(key=lambda item: _turn(item.path.relative_to(tests).parts))


def _turn(parts: Sequence[str]) -> int:
    first = parts[0]
    return LONGEST_FIRST.index(first) if first in LONGEST_FIRST else len(LONGEST_FIRST)
