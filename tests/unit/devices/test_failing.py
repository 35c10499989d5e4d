"""A version is given up when each of its devices keeps failing, and told of once."""

from batchproof_server.devices.failing import Failing


def test_one_device_that_keeps_failing_is_enough_where_there_is_one() -> None:
    told: list[str] = []
    failing = Failing(1)
    failing.listen(told.append)
    failing.note(0, "")
    assert told == []
    for _ in range(2):
        failing.note(0, "lost 6 times")
    assert told == ["lost 6 times"]


def test_of_several_all_have_to_keep_failing_at_the_same_time() -> None:
    told: list[str] = []
    failing = Failing(2)
    failing.listen(told.append)
    failing.note(0, "one")
    failing.note(0, "")
    failing.note(1, "two")
    assert told == []
    failing.note(0, "three")
    assert told == ["three"]
