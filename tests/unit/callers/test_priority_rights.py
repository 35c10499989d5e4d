"""The priority that a caller has, and what it may ask for."""

import itertools

import pytest

from batchproof_server.base.errors import Forbidden, InvalidInput
from batchproof_server.base.priorities import PRIORITIES, Priority, is_above
from batchproof_server.callers.grants import Grant
from batchproof_server.callers.quotas import Quota, QuotaLimits
from batchproof_server.callers.settings import CallerSettings


def grant(priority: Priority, highest: Priority | None = None) -> Grant:
    settings = CallerSettings(priority=priority, highest_priority=highest)
    return Grant("shop", settings, Quota("shop", QuotaLimits()))


@pytest.mark.parametrize(("own", "asked"), list(itertools.product(PRIORITIES, repeat=2)))
def test_a_caller_may_lower_its_priority_and_not_raise_it(own: Priority, asked: Priority) -> None:
    caller = grant(own)
    assert caller.priority(None) == own
    if is_above(asked, own):
        with pytest.raises(Forbidden, match=rf"asked for the priority {asked} and may have {own}"):
            caller.priority(asked)
    else:
        assert caller.priority(asked) == asked


def test_a_caller_may_ask_for_as_much_as_its_highest_priority() -> None:
    caller = grant("best_effort", "critical")
    assert caller.priority(None) == "best_effort"
    assert [caller.priority(each) for each in PRIORITIES] == list(PRIORITIES)


@pytest.mark.parametrize("asked", ["", "Critical", "urgent", "0", "x" * 5000])
def test_a_word_that_is_no_priority_is_told_which_there_are(asked: str) -> None:
    with pytest.raises(InvalidInput, match="expected one of critical, default, best_effort"):
        grant("critical").priority(asked)


def test_a_highest_priority_below_the_own_one_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ValueError, match="priority is critical and highest_priority default"):
        CallerSettings(priority="critical", highest_priority="default")
