"""Short reading work on a thread of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


async def off_loop(work: Callable[[], Result]) -> Result:
    """Does something that blocks; who cancels it does not wait for it."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="read-bundle")
    future = asyncio.wrap_future(thread.submit(work))
    thread.shutdown(wait=False)  # the loop does not wait for it
    return await future
