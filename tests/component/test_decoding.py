"""Decoding: order, the budget, which picture is to blame, and cancelled requests."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import pytest

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.imaging.header import ImageHeader
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.serving.off_loop import (
    ByteBudget,
    DecodingSettings,
    OffLoop,
    all_or_none,
    decode_each,
)
from support.bundles_on_disk import picture
from support.engine_bench import recipe_for
from support.fakes import PATIENCE_S, FakeClock, Recorder, until


@contextmanager
def decoding(**settings: int) -> Iterator[tuple[OffLoop, Recorder]]:
    recorder = Recorder()
    decodes = OffLoop(DecodingSettings(**settings), FakeClock(), recorder)
    try:
        yield decodes, recorder
    finally:
        decodes.close()


@dataclass
class GatedRecipe:
    """Holds each picture in its thread until the test lets all of them through."""

    opened: threading.Event = field(default_factory=threading.Event)
    opened_to_bad: threading.Event = field(default_factory=threading.Event)
    begun: list[bytes] = field(default_factory=list)

    def header(self, encoded: bytes) -> ImageHeader:
        """Of one pixel."""
        del encoded
        return ImageHeader("png", 1, 1)

    def decoding_bytes(self, encoded: bytes, header: ImageHeader, views: int = 0) -> int:
        """Ten each, and so many more for each view."""
        del header
        return 10 * (1 + views) if encoded else 99

    def apply(self, encoded: bytes, header: ImageHeader | None = None) -> Array:
        """Waits; a picture of ``bad`` fails."""
        del header
        self.begun.append(encoded)
        gate = self.opened_to_bad if encoded == b"bad" else self.opened
        assert gate.wait(PATIENCE_S)
        if encoded == b"bad":
            raise InvalidInput("corrupt")
        return np.frombuffer(encoded, np.uint8)

    def as_recipe(self) -> Recipe:
        """Itself, for the type checker."""
        return cast("Recipe", self)


async def decode(
    decodes: OffLoop, recipe: GatedRecipe | Recipe, images: Sequence[bytes], views: int = 0
) -> list[Array]:
    """The rows of each picture."""
    whole = cast("Recipe", recipe)
    return await decode_each(partial(decodes.decode, whole, whole.apply, views), images)


async def gated(decodes: OffLoop, recipe: GatedRecipe, images: Sequence[bytes]) -> list[Array]:
    """Decodes with a gated recipe."""
    return await decode(decodes, recipe, images)


async def test_one_row_for_each_picture_in_their_order() -> None:
    recipe = recipe_for(2, 2, 3)
    with decoding() as (decodes, recorder):
        rows = await decode(decodes, recipe, [picture(level) for level in range(5)])
    assert [row[0, 0, 0] for row in rows] == [0, 1, 2, 3, 4]
    assert [record.image_format for record in recorder.decoded] == ["png"] * 5


async def test_the_picture_to_blame_is_named_by_its_index_among_several() -> None:
    recipe = recipe_for(2, 2, 3)
    with decoding() as (decodes, recorder):
        with pytest.raises(InvalidInput, match=r"^image 1: "):
            await decode(decodes, recipe, [picture(), b"junk"])
        with pytest.raises(InvalidInput, match=r"^(?!image)"):
            await decode(decodes, recipe, [b"junk"])
    assert len(recorder.decoded) <= 1


async def test_what_does_not_fit_now_waits_and_what_never_would_is_refused() -> None:
    recipe = GatedRecipe()
    with decoding(threads=3, max_decoded_bytes=15) as (decodes, _):
        first = asyncio.ensure_future(gated(decodes, recipe, [b"a"]))
        await until(lambda: recipe.begun == [b"a"])
        second = asyncio.ensure_future(gated(decodes, recipe, [b"b"]))
        await until(decodes._budget._next.locked)
        with pytest.raises(InvalidInput, match="takes 99 bytes of memory, expected at most 15"):
            await gated(decodes, recipe, [b""])
        assert recipe.begun == [b"a"]
        recipe.opened.set()
        assert [len(await each) for each in (first, second)] == [1, 1]
    assert recipe.begun == [b"a", b"b"]


async def test_views_are_counted_with_their_picture() -> None:
    recipe = GatedRecipe()
    with (
        decoding(max_decoded_bytes=49) as (decodes, _),
        pytest.raises(InvalidInput, match="takes 50 bytes"),
    ):
        await decode(decodes, recipe, [b"a"], views=4)


async def test_who_waits_for_much_is_not_overtaken_by_those_who_want_little() -> None:
    budget, order = ByteBudget(10), list[str]()

    def work(name: str, wanted_bytes: int) -> None:
        with budget.reserve(wanted_bytes):
            order.append(name)

    with ThreadPoolExecutor(2) as threads:
        with budget.reserve(5):
            much = threads.submit(work, "much", 10)
            await until(budget._next.locked)
            little = threads.submit(work, "little", 1)
            assert order == []
        much.result(PATIENCE_S)
        little.result(PATIENCE_S)
    assert order == ["much", "little"]


async def test_a_failed_picture_gives_its_bytes_back() -> None:
    recipe = GatedRecipe()
    recipe.opened.set()
    recipe.opened_to_bad.set()
    with decoding(max_decoded_bytes=10) as (decodes, _):
        for _ in range(3):
            with pytest.raises(InvalidInput, match="corrupt"):
                await gated(decodes, recipe, [b"bad"])
        assert len(await gated(decodes, recipe, [b"good"])) == 1


async def test_a_cancelled_request_decodes_no_further_and_gives_its_bytes_back() -> None:
    recipe = GatedRecipe()
    with decoding(threads=1, max_decoded_bytes=10) as (decodes, recorder):
        images = [bytes([number]) for number in range(1, 9)]
        task = asyncio.ensure_future(gated(decodes, recipe, images))
        await until(lambda: len(recipe.begun) == 1)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        recipe.opened.set()
        await until(lambda: decodes._budget._used_bytes == 0)
        assert len(await gated(decodes, recipe, [b"next"])) == 1
    assert recipe.begun == [images[0], b"next"]
    assert len(recorder.decoded) == 1


async def test_one_bad_picture_stops_the_rest_of_its_request() -> None:
    recipe = GatedRecipe()
    recipe.opened_to_bad.set()
    with decoding(threads=1) as (decodes, _):
        with pytest.raises(InvalidInput, match="image 0: corrupt"):
            await gated(decodes, recipe, [b"bad", *[b"other"] * 9])
        recipe.opened.set()
        await gated(decodes, recipe, [b"next"])
    # The one thread may have begun the next picture before it heard of it.
    assert recipe.begun.count(b"other") <= 1


def test_what_is_used_never_exceeds_the_budget() -> None:
    budget = ByteBudget(10)
    with budget.reserve(6), budget.reserve(4):
        assert not budget.take(1)
    with budget.reserve(10):
        assert budget._used_bytes == 10
    assert budget._used_bytes == 0


@pytest.mark.parametrize("settings", [{"threads": 0}, {"max_decoded_bytes": 0}])
def test_settings_without_sense_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        DecodingSettings(**settings)


async def test_when_one_fails_the_others_are_cancelled_and_have_ended() -> None:
    ended: list[str] = []

    async def wait(name: str) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def fail() -> Any:
        raise InvalidInput("bad")

    with pytest.raises(InvalidInput, match="bad"):
        await all_or_none([wait("a"), fail(), wait("b")])
    assert sorted(ended) == ["a", "b"]


async def test_who_wants_little_takes_nothing_at_once_while_somebody_waits_for_much() -> None:
    budget = ByteBudget(10)
    assert budget.take(5)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(budget.wait_for, 8)
        await until(budget._next.locked)
        assert not budget.take(1)
        budget.give_back(5)
        waiting.result(PATIENCE_S)
    assert budget.take(2)
    assert not budget.take(1)


async def test_memory_that_is_waited_for_comes_when_it_is_there_or_is_refused() -> None:
    with decoding(max_decoded_bytes=10) as (decodes, _):
        first = await decodes.wait_for_budget(8)
        second = asyncio.ensure_future(decodes.wait_for_budget(9))
        await until(decodes._budget._next.locked)
        first()
        (await second)()
        with pytest.raises(InvalidInput, match="takes 11 bytes of memory, expected at most 10"):
            await decodes.wait_for_budget(11)
        (await decodes.wait_for_budget(10))()


async def test_memory_that_comes_when_nobody_wants_it_any_more_is_given_back() -> None:
    with decoding(max_decoded_bytes=10) as (decodes, _):
        first = await decodes.wait_for_budget(8)
        gone = asyncio.ensure_future(decodes.wait_for_budget(9))
        await until(decodes._budget._next.locked)
        gone.cancel()
        await asyncio.wait([gone])
        assert gone.cancelled()
        first()
        (await decodes.wait_for_budget(10))()
        assert decodes._budget._used_bytes == 0
