"""Tallies of shadows that were kept: written and read again, and never believed unseen."""

import contextlib
import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.clock import utc_of
from batchproof_server.base.intervals import share_interval
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.shadowing.kept_tallies import (
    MAX_TALLIES_BYTES,
    MOST_PAIRS,
    read_tallies,
    tallies_text,
)
from batchproof_server.shadowing.records import SKIP_REASONS
from batchproof_server.shadowing.tally import KeptTally, PairTally
from batchproof_server.shadowing.verdict import assess_shadow

numbers = st.integers(1, 1 << 62)
sums = st.floats(0, 1e300)
skipped = st.dictionaries(st.sampled_from(SKIP_REASONS), st.integers(0, 1 << 53))


@st.composite
def tallies(draw: st.DrawFn) -> PairTally:
    compared = draw(st.integers(0, 1 << 53))
    return PairTally(
        draw(st.integers(0, 253_402_300_799_999)),
        compared,
        draw(st.integers(0, compared)),
        draw(sums),
        draw(sums),
        draw(st.integers(0, compared)),
        draw(st.floats(-1e300, 1e300)),
        draw(sums),
        draw(sums),
        draw(skipped),
    )


digests = st.text(string.hexdigits, max_size=64)
kept = st.dictionaries(
    st.tuples(st.text(max_size=9), numbers, numbers),
    st.builds(KeptTally, digests, digests, tallies()),
    max_size=3,
)


@given(kept)
def test_what_is_written_is_read_again(before: dict[tuple[str, int, int], KeptTally]) -> None:
    assert read_tallies(tallies_text(before)) == before


def test_of_too_many_pairs_the_newest_are_kept_and_the_file_is_read_again() -> None:
    many = {
        ("m" * 255, number, 1 << 62): KeptTally("f" * 64, "f" * 64, _longest(number))
        for number in range(MOST_PAIRS + 3)
    }
    text = tallies_text(many)
    assert len(text.encode()) < MAX_TALLIES_BYTES
    assert min(each.tally.since_ms for each in read_tallies(text).values()) == 3


def _longest(since_ms: int) -> PairTally:
    most, total = 1 << 53, 1.2345678901234567e-300
    reasons = dict.fromkeys(SKIP_REASONS, most)
    return PairTally(since_ms, most, most, total, total, most, -total, total, total, reasons)


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
fields = st.dictionaries(
    st.sampled_from([*PairTally.__dataclass_fields__, "other"]), documents | st.integers(0, 9)
)


@given(documents | fields, st.integers(-1, 3), st.text(max_size=3))
def test_whatever_a_file_holds_is_refused_or_can_be_told(
    tally: Any, version: int, name: str
) -> None:
    pair = {"model": name, "version": version, "shadow": 2, "executed": "", "shadowed": ""}
    text = json.dumps({"format": 1, "pairs": [pair | {"tally": tally}]})
    with contextlib.suppress(InvalidSettings):
        for each in read_tallies(text).values():
            assert assess_shadow(1, 2, each.tally, 0.01).sentences
            assert utc_of(each.tally.since_ms)
            assert 0 <= share_interval(each.tally.different, each.tally.compared).high <= 1


@pytest.mark.parametrize(
    ("tally", "sentence"),
    [
        ('{"since_ms": -1}', "since_ms is -1, expected 0 to"),
        ('{"since_ms": 1, "compared": 1, "different": 2}', "expected counts of which the last"),
        ('{"since_ms": 1, "timed": -1}', "expected counts of which the last"),
        ('{"since_ms": 1, "distance_sum": -0.5}', "distance_sum is -0.5, expected a sum"),
        ('{"since_ms": 1, "slower_sum_s": 1e999}', "slower_sum_s is inf, expected a sum"),
        ('{"since_ms": 1, "skipped": {"asleep": 1}}', "expected a count for one of busy, too"),
        ('{"since_ms": 1, "seen": 1}', "tally.seen: unknown key"),
        ("{}", "tally.since_ms: missing"),
    ],
)
def test_a_fault_is_named(tally: str, sentence: str) -> None:
    pair = '{"model": "m", "version": 1, "shadow": 2, "executed": "", "shadowed": "", "tally": '
    with pytest.raises(InvalidSettings, match=sentence):
        read_tallies(f'{{"format": 1, "pairs": [{pair}{tally}}}]}}')
