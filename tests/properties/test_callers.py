"""Tokens are told from all others, quotas hold whatever comes, and no text tells a secret."""

import string
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from batchproof_server.base.errors import Forbidden, QuotaExceeded, ServingError, Unauthenticated
from batchproof_server.batching.connections import address_of
from batchproof_server.callers.grants import Grants
from batchproof_server.callers.quotas import Quota, QuotaLimits, RateBucket
from batchproof_server.callers.settings import CallerSettings
from batchproof_server.callers.tokens import Tokens, new_token, read_tokens
from batchproof_server.rpc.status import failure_of

NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=64)
GAPS_S = st.lists(st.floats(0, 5), max_size=60)
PARTS_CHARACTERS = 8
SECRET_BEGINS = len("bp_0123456789ab_")


@given(name=NAMES, others=st.lists(NAMES, max_size=5))
def test_each_token_is_known_as_its_callers_after_a_way_through_the_file(
    name: str, others: list[str]
) -> None:
    made = [new_token(each, "2026-01-31") for each in (name, *others)]
    text = "# a comment\n\n" + "".join(f"{known.line()}\n" for _, known in made)
    tokens = Tokens(read_tokens(text))
    assert [tokens.name_of(token) for token, _ in made] == [name, *others]
    for token, _ in made:
        assert token not in text
        assert token[SECRET_BEGINS:] not in text


@given(text=st.text(max_size=80), place=st.integers(0, 58), character=st.characters())
def test_what_differs_in_one_character_is_unknown_and_so_is_any_text(
    text: str, place: int, character: str
) -> None:
    token, known = new_token("shop", "2026-01-31")
    place %= len(token)
    other = token[:place] + character + token[place + 1 :]
    assume(token not in (other, text))
    tokens = Tokens((known,))
    assert tokens.name_of(other) is None
    assert tokens.name_of(text) is None
    assert Tokens().name_of(token) is None


@given(
    scheme=st.sampled_from(["Bearer ", "bearer ", "Basic ", "", "Bearer  Bearer "]),
    cut=st.integers(0, 20),
    is_known=st.booleans(),
    has_section=st.booleans(),
)
def test_no_refusal_holds_a_part_of_what_the_call_brought(
    scheme: str, cut: int, *, is_known: bool, has_section: bool
) -> None:
    token, known = new_token("shop", "2026-01-31")
    brought = token[: len(token) - cut]
    tokens = Tokens((known,) if is_known else ())
    settings = CallerSettings(methods=("read",), models=("cats",), max_concurrent=1)
    grants = Grants({"shop": settings} if has_section else {"other": settings}, tokens)
    for refusal in _refusals(grants, scheme + brought):
        said = failure_of(refusal, "id")
        for start in range(len("bp_"), len(brought) - PARTS_CHARACTERS):
            assert brought[start : start + PARTS_CHARACTERS] not in f"{said} {refusal!r}"


def _refusals(grants: Grants, authorization: str) -> list[ServingError]:
    """Whatever can be refused to who brings this."""
    try:
        grant = grants.of(authorization)
    except (Unauthenticated, Forbidden) as refusal:
        return [refusal]
    refused: list[ServingError] = []
    grant.quota.begin()
    asks: list[Any] = [
        lambda: grant.check_method("predict"),
        lambda: grant.check_model("dogs"),
        lambda: grant.quota.peek(0.0),
    ]
    for ask in asks:
        try:
            ask()
        except ServingError as refusal:
            refused.append(refusal)
    assert len(refused) == 3
    return refused


@given(per_s=st.floats(0.01, 1000), gaps_s=GAPS_S)
def test_no_more_is_taken_than_the_rate_over_the_time_and_one_second(
    per_s: float, gaps_s: list[float]
) -> None:
    bucket, now_s, taken = RateBucket(per_s), 0.0, 0
    for gap_s in gaps_s:
        now_s += gap_s
        if bucket.wait_s(now_s) == 0.0:
            bucket.take(1, now_s)
            taken += 1
        assert taken <= max(1.0, per_s) + now_s * per_s + 1e-6 * (1 + now_s * per_s)


@given(per_s=st.floats(0.1, 100), debt=st.floats(0, 1000))
def test_who_waits_as_long_as_told_may_go_on(per_s: float, debt: float) -> None:
    bucket = RateBucket(per_s)
    bucket.take(debt, 0.0)
    wait_s = bucket.wait_s(0.0)
    assert bucket.wait_s(wait_s * (1 + 1e-9) + 1e-9) == 0.0


@given(most=st.integers(1, 5), steps=st.lists(st.booleans(), max_size=60))
def test_never_more_requests_are_charged_at_the_same_time_than_allowed(
    most: int, steps: list[bool]
) -> None:
    quota, going, now_s = Quota("shop", QuotaLimits(max_concurrent=most)), 0, 0.0
    for begins in steps:
        if begins:
            quota.begin()
            try:
                quota.charge(now_s)
            except QuotaExceeded:
                assert going == most
                quota.end(0, now_s)
            else:
                going += 1
        elif going:
            quota.end(1, now_s)
            going -= 1
        assert quota.running == going <= most


PEERS = st.sampled_from(["ipv4:10.0.0.7:50123", "ipv6:%5B2001:db8::1%5D:80", "unix:/run/x", ""])


@given(name=NAMES, other=NAMES, first=PEERS, second=PEERS)
def test_a_callers_connections_share_what_the_caller_is_given_wherever_they_come_from(
    name: str, other: str, first: str, second: str
) -> None:
    assume(name != other)
    grants = Grants({name: CallerSettings(subjects=("CN=a",)), other: CallerSettings()})
    mine = grants.of(None, ("CN=a",))
    peers = [mine.peer(each) for each in (first, second)]
    assert address_of(peers[0]) == address_of(peers[1]) == f"caller={name}"
    assert (peers[0] == peers[1]) == (first == second)
    assert address_of(first) != address_of(peers[0])
