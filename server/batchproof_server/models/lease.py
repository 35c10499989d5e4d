"""What keeps a loaded version in use."""

import asyncio
from types import TracebackType

from batchproof_server.base.errors import Draining
from batchproof_server.models.served import ServedModel


# Contract: entering and leaving are a count, because every request does both. Whoever entered has
# the model until they leave; after ``end`` nobody enters any more.
class Lease:
    """Keeps a loaded version in use; the same value for all who use it.

    Args:
        served: the version.
    """

    __slots__ = ("_holders", "_is_over", "_nobody", "_served")

    def __init__(self, served: ServedModel) -> None:
        self._served = served
        self._holders = 0
        self._is_over = False
        self._nobody = asyncio.Event()

    def __enter__(self) -> ServedModel:
        if self._is_over:
            raise Draining(f'model "{self._served.name}" is going away; try another server')
        self._holders += 1
        return self._served

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._holders -= 1
        if self._is_over and not self._holders:
            self._nobody.set()

    async def end(self) -> None:
        """Returns when nobody uses the version any more; nobody new may from now on."""
        self._is_over = True
        if self._holders:
            await self._nobody.wait()
