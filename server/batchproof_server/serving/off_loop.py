"""The threads beside the loop: pictures are decoded there, and what is large is worked on."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

from pydantic import ConfigDict

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.events import DecodeRecord, Observer
from batchproof_server.base.freed_memory import return_freed_memory
from batchproof_server.base.validation import NO_UNKNOWN_KEYS
from batchproof_server.imaging.header import ImageHeader
from batchproof_server.imaging.recipe import Recipe

Result = TypeVar("Result")
# Runs on a decode thread, with a picture whose header was checked.
Work: TypeAlias = Callable[[bytes, ImageHeader], Result]

# What the C library may keep of freed memory for each thread: that of a picture of 2 megapixels.
KEPT_BYTES: Final = 1 << 24
# What is no more than this is done within the loop's turn, in well under a millisecond; handing it
# to a thread would take as long.
_QUICK_COPIED_BYTES: Final = 1 << 18
_QUICK_READ_BYTES: Final = 1 << 20
_QUICK_ROWS: Final = 8
_QUICK_VALUES: Final = 4_096


@dataclass(frozen=True, slots=True)
class DecodingSettings:
    """How much decoding goes on at the same time.

    Attributes:
        threads: pictures decoded at the same time; device processes have their shares of them, one
            each at least.
        max_decoded_bytes: the most memory that work on pictures may take at the same time, files,
            pixels and rows together; the default does for one picture of the largest default size
            in any format.
        max_kept_bytes: decoded bytes of all pictures that wait, after their plain view, to know
            whether their other views are wanted; a picture that finds no room is decoded again, and
            so is each that a device process decodes.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    threads: int = 2
    max_decoded_bytes: int = 720_000_000
    max_kept_bytes: int = 64_000_000

    def __post_init__(self) -> None:
        if self.threads < 1 or self.max_decoded_bytes < 1:
            raise ValueError("threads and max_decoded_bytes must be 1 or more")
        if self.max_kept_bytes < 0:
            raise ValueError("max_kept_bytes must be 0 or more")


class ByteBudget:
    """Bytes that may be in use at the same time; safe in any thread.

    Args:
        limit_bytes: the whole budget.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = 0
        self._freed = threading.Condition()
        # Whoever waits for much must not be overtaken for ever by those who want little.
        self._next = threading.Lock()

    @contextmanager
    def reserve(self, wanted_bytes: int) -> Iterator[None]:
        """Holds a part of the budget; waits for it as ``wait_for`` does."""
        self.wait_for(wanted_bytes)
        try:
            yield
        finally:
            self.give_back(wanted_bytes)

    def take(self, wanted_bytes: int) -> bool:
        """Takes a part of the budget if there is so much left and nobody waits; whether it did."""
        if self._next.locked():
            return False
        with self._freed:
            if self._used_bytes + wanted_bytes > self._limit_bytes:
                return False
            self._used_bytes += wanted_bytes
            return True

    def wait_for(self, wanted_bytes: int) -> None:
        """Takes a part of the budget; waits until there is so much left, in the order of arrival.

        Raises:
            InvalidInput: the whole budget would not do.
        """
        if wanted_bytes > self._limit_bytes:
            raise InvalidInput(
                f"work on the picture takes {wanted_bytes} bytes of memory, expected at most "
                f"{self._limit_bytes}; a smaller picture does"
            )
        with self._next, self._freed:
            while self._used_bytes + wanted_bytes > self._limit_bytes:
                self._freed.wait()
            self._used_bytes += wanted_bytes

    def give_back(self, taken_bytes: int) -> None:
        """Gives back what was taken."""
        with self._freed:
            self._used_bytes -= taken_bytes
            self._freed.notify_all()


# Contract: of the pixels, rows and scores of a request only so few are touched on the loop thread
# that it is never held up for a millisecond. This is the only place that decides on which thread
# work is done.
class OffLoop:
    """Runs what would hold the loop up on threads of its own.

    Args:
        settings: how much at the same time.
        clock: for measuring.
        observer: told of every decoded picture.
    """

    def __init__(self, settings: DecodingSettings, clock: Clock, observer: Observer) -> None:
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="decode")
        # What is nearly answered must not wait behind pictures that have only come.
        self._finishing = ThreadPoolExecutor(1, thread_name_prefix="finish")
        self._budget = ByteBudget(settings.max_decoded_bytes)
        self.kept_budget = ByteBudget(settings.max_kept_bytes)
        self._clock = clock
        self._observer = observer

    async def decode(self, recipe: Recipe, work: Work[Result], views: int, image: bytes) -> Result:
        """What ``work`` makes of a picture.

        Args:
            recipe: checks the header first.
            work: runs on a decode thread, within the budget of memory.
            views: rows that it makes of the picture besides its own.
            image: encoded.

        Raises:
            InvalidInput: the picture is refused.
        """
        run = partial(self._run, recipe, work, views, image)
        loop = asyncio.get_running_loop()
        image_format, result, duration_s = await loop.run_in_executor(self._threads, run)
        self._observer.notify(DecodeRecord(image_format, duration_s))
        return result

    async def wait_for_budget(self, wanted_bytes: int) -> Callable[[], None]:
        """Waits for memory for work that another process does; what gives it back.

        Raises:
            InvalidInput: that is more than the whole budget.
        """
        give_back = partial(self._budget.give_back, wanted_bytes)
        if self._budget.take(wanted_bytes):
            return give_back
        loop = asyncio.get_running_loop()
        waiting = loop.run_in_executor(self._threads, self._budget.wait_for, wanted_bytes)
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            waiting.add_done_callback(partial(_give_back_unused, give_back))
            raise
        return give_back

    def _run(
        self, recipe: Recipe, work: Work[Result], views: int, image: bytes
    ) -> tuple[str, Result, float]:
        header = recipe.header(image)
        wanted_bytes = recipe.decoding_bytes(image, header, views)
        result, duration_s = self._within(wanted_bytes, partial(work, image, header))
        return header.format, result, duration_s

    async def use_kept(self, work: Callable[[], Result], wanted_bytes: int) -> Result:
        """Runs work on a picture that was decoded before on a decode thread.

        Args:
            work: on the picture.
            wanted_bytes: the most memory that it takes beside the picture.

        Raises:
            InvalidInput: that is more than the whole budget.
        """
        run = partial(self._within, wanted_bytes, work)
        result, _ = await asyncio.get_running_loop().run_in_executor(self._threads, run)
        return result

    def _within(self, wanted_bytes: int, work: Callable[[], Result]) -> tuple[Result, float]:
        """Runs work with a part of the budget, held until the memory is really free again.

        Returns:
            What came of it, and how long it took.
        """
        with self._budget.reserve(wanted_bytes):
            started_s = self._clock.now_s()
            try:
                result = work()
                return result, self._clock.now_s() - started_s
            finally:
                if wanted_bytes > KEPT_BYTES:
                    return_freed_memory()

    async def run(
        self,
        work: Callable[[], Result],
        *,
        rows: int = 0,
        values: int = 0,
        copied_bytes: int = 0,
        read_bytes: int = 0,
    ) -> Result:
        """What ``work`` returns; off the loop thread if there is much to do.

        Args:
            work: takes time for each of the following.
            rows: of a request, each with work of its own.
            values: numbers that are computed with.
            copied_bytes: bytes that are read and written.
            read_bytes: bytes that are only read.
        """
        if (
            rows <= _QUICK_ROWS
            and values <= _QUICK_VALUES
            and copied_bytes <= _QUICK_COPIED_BYTES
            and read_bytes <= _QUICK_READ_BYTES
        ):
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._finishing, work)

    @staticmethod
    def is_quick(values: int) -> bool:
        """Whether computing with so many numbers, row by row or at once, holds nobody up."""
        return values <= _QUICK_VALUES

    def close(self) -> None:
        """Stops the threads once the pictures at hand are done."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._finishing.shutdown(wait=False, cancel_futures=True)


def _give_back_unused(give_back: Callable[[], None], waited: "asyncio.Future[None]") -> None:
    """Of memory that came when nobody wanted it any more."""
    if not waited.cancelled() and waited.exception() is None:
        give_back()


async def decode_each(
    decode: Callable[[bytes], Coroutine[Any, Any, Result]], images: Sequence[bytes]
) -> list[Result]:
    """What ``decode`` makes of each picture, in their order.

    Raises:
        InvalidInput: a picture is refused; the text says which when there are several.
    """
    if len(images) == 1:
        return [await decode(images[0])]
    return list(await all_or_none(_numbered(decode, image, n) for n, image in enumerate(images)))


async def _numbered(
    decode: Callable[[bytes], Coroutine[Any, Any, Result]], image: bytes, number: int
) -> Result:
    try:
        return await decode(image)
    except InvalidInput as refused:
        raise InvalidInput(f"image {number}: {refused}") from refused


async def all_or_none(
    work: Iterable[Coroutine[Any, Any, Result]],
) -> tuple[Result, ...]:
    """Runs the coroutines together; when one fails, cancels the others and raises its error."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return tuple(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
