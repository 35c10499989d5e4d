"""What a turn of the loop leaves to be done is done once, in order, and after its answers."""

import asyncio

from batchproof_server.base.end_of_turn import EndOfTurn


class Told:
    """Remembers the lists that it was handed."""

    def __init__(self) -> None:
        self.lists: list[list[int]] = []
        self.turn = EndOfTurn[int](lambda values: self.lists.append(list(values)))


async def settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_the_values_of_one_turn_are_one_list_in_their_order() -> None:
    told = Told()
    for value in range(3):
        told.turn.add(value)
    await settle()
    told.turn.add(3)
    await settle()
    assert told.lists == [[0, 1, 2], [3]]


async def test_what_is_called_in_the_next_turn_is_called_before() -> None:
    told, seen = Told(), []
    told.turn.add(1)
    asyncio.get_running_loop().call_soon(lambda: seen.append(list(told.lists)))
    await settle()
    assert seen == [[]]
    assert told.lists == [[1]]


async def test_a_value_that_is_added_while_others_wait_goes_with_them() -> None:
    told = Told()
    told.turn.add(1)
    await asyncio.sleep(0)
    told.turn.add(2)
    await settle()
    assert told.lists == [[1, 2]]


async def test_a_value_that_cannot_wait_goes_at_once_behind_those_before_it() -> None:
    told = Told()
    told.turn.add(1)
    told.turn.add_now(2)
    assert told.lists == [[1, 2]]
    told.turn.add(3)
    await settle()
    assert told.lists == [[1, 2], [3]]


async def test_a_value_that_is_added_while_a_list_is_handed_over_goes_with_the_next() -> None:
    lists: list[list[int]] = []

    def take(values: object) -> None:
        assert isinstance(values, list)
        lists.append(values)
        if len(lists) < 3:
            turn.add(len(lists))

    turn = EndOfTurn[int](take)
    turn.add(0)
    for _ in range(3):
        await settle()
    assert lists == [[0], [1], [2]]
