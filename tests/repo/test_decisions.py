"""The pages of docs/decisions have one form."""

import re
from datetime import date
from pathlib import Path

import pytest

from repo.checkout import ROOT

PAGES = sorted((ROOT / "docs" / "decisions").glob("*.md"))
HEAD = re.compile(
    r"# (?P<number>\d{4}): \S.*\n\n"
    r"Status: (?P<status>accepted|superseded by \d{4})\n"
    r"Date: (?P<date>\d{4}-\d{2}-\d{2})\n\n"
    r"## Context\n"
)
SECTIONS = ["Context", "Decision", "Consequences", "What would change our mind"]


def test_the_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(page.name[:4]) for page in PAGES]

    assert numbers == list(range(1, len(PAGES) + 1))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_decision_begins_with_its_number_status_and_date(page: Path) -> None:
    head = HEAD.match(page.read_text())

    assert head is not None
    assert page.name.startswith(f"{head['number']}-")
    assert date.fromisoformat(head["date"]).isoformat() == head["date"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_decision_has_the_four_sections_in_their_order(page: Path) -> None:
    assert re.findall(r"^#{1,6} (.*)$", page.read_text(), re.MULTILINE)[1:] == SECTIONS


@pytest.mark.parametrize(
    "text",
    [
        "# 12. Title\n\nStatus: accepted\nDate: 2026-01-02\n\n## Context\n",
        "# 0012: Title\n\n## Context\n",
        "# 0012: Title\n\nStatus: proposed\nDate: 2026-01-02\n\n## Context\n",
        "# 0012: Title\n\nStatus: accepted\nDate: January\n\n## Context\n",
    ],
)
def test_a_planted_head_of_another_form_is_found(text: str) -> None:
    assert HEAD.match(text) is None
