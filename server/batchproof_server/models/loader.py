"""What makes versions answer, whatever executes them."""

from collections.abc import Callable
from typing import Protocol

from batchproof_server.models.discovery import Place
from batchproof_server.models.served import ServedModel


class Loader(Protocol):
    """Makes versions answer."""

    async def load(self, place: Place, tell_step: Callable[[str], None]) -> ServedModel:
        """Reads, compiles and proves a version, off the loop.

        Args:
            place: where it lies.
            tell_step: learns on the loop thread what is being done.

        Raises:
            ModelRefused: with everything that is wrong with it.
        """
        ...
