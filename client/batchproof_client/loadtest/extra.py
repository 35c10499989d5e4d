"""What only the extra ``[load]`` installs, and one sentence for whoever has not installed it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from batchproof_client.errors import LocalInputError

_PACKAGES: Final = {"hdrh": "hdrhistogram", "PIL": "pillow"}


@contextmanager
def needed() -> Iterator[None]:
    """Turns a missing outside package into a sentence; imports belong inside.

    Raises:
        LocalInputError: the package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        name = (missing.name or "").partition(".")[0]
        raise LocalInputError(
            f'this needs {_PACKAGES.get(name, name)}: pip install ".[load]" in the repository'
        ) from missing
