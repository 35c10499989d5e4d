"""Whatever names, labels and texts a report is made of, its page shows them and does nothing."""

from dataclasses import replace
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from batchproof.text import printable
from batchproof_client.connection import Endpoint
from batchproof_client.loadtest.page import page as load_page
from batchproof_client.loadtest.session import Address, LoadResult
from batchproof_server.commands.drift.page import drift_page
from batchproof_server.commands.drift.result import DriftResult
from batchproof_server.drift.comparing import (
    AccuracyEstimate,
    BinDrift,
    DriftComparison,
    SignalDrift,
)
from support.pages import HOSTILE, Page
from unit.loadtest.results import result

texts: Final = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(HOSTILE), min_size=2, max_size=3).map("".join),
    st.text(st.sampled_from("<>&\"'/=-!;#`{}\x00\x1b\x85\u202e\u2028\n\r\tax"), max_size=20),
    st.text(max_size=20),
)
BENIGN: Final = "x"


def drifted(
    model: str, data: str, note: str, signal: str, label: str, withheld: str
) -> DriftResult:
    """One signal that has drifted badly."""
    bins = (BinDrift(label, 0.5, 0.25, 5), BinDrift("other", 0.5, 0.75, 15))
    found = SignalDrift(signal, "severe", 20, 100, 0.5, 0.4, 0.3, 0.25, 9.0, 1.0, bins)
    accuracy = AccuracyEstimate(0.9, None, None, withheld)
    comparison = DriftComparison(20, 0, (found,), accuracy)
    return DriftResult(model, 3, data, 20, 21, "ab" * 32, 100, (note,), comparison)


@given(st.lists(texts, min_size=6, max_size=6))
@settings(deadline=None)
def test_the_page_of_a_comparison_is_made_of_the_same_parts_whatever_it_shows(
    came: list[str],
) -> None:
    model, data, note, signal, label, withheld = came
    page = Page(drift_page(drifted(model, data, note, signal, label, withheld)))
    assert page.faults == []
    assert page.forms == Page(drift_page(drifted(*[BENIGN] * 6))).forms
    assert printable(model) in page.text
    assert printable(data) in page.text


LOADED: Final = result()


def loaded(server: str, picture: str, model: str) -> LoadResult:
    """A load on this server, of which one picture was answered differently."""
    identity = LOADED.identity
    assert identity is not None
    (difference,) = identity.differences
    return replace(
        LOADED,
        address=Address(Endpoint(server), 10.0),
        settings=replace(
            LOADED.settings,
            kinds=tuple(replace(kind, model=model) for kind in LOADED.settings.kinds),
        ),
        identity=replace(identity, differences=(replace(difference, item=picture),)),
    )


@given(st.lists(texts, min_size=3, max_size=3))
@settings(deadline=None)
def test_the_page_of_a_load_is_made_of_the_same_parts_whatever_it_shows(came: list[str]) -> None:
    server, picture, model = came
    page = Page(load_page(loaded(server, picture, model)))
    assert page.faults == []
    assert page.forms == Page(load_page(loaded(*[BENIGN] * 3))).forms
    assert printable(server) in page.text


def test_the_reader_of_pages_sees_what_a_browser_would() -> None:
    for each in HOSTILE[:5]:
        assert Page(f"<html><body>{each}</body></html>").faults
