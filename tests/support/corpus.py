"""What fuzzing found before, as files, and where it puts what it finds next."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hypothesis import settings

FUZZ: Final = Path(__file__).resolve().parents[1] / "data" / "fuzz"
FOUND: Final = "found"
"""The name of the file of a finding, until somebody gives it one that says what it shows."""


def stored(kind: str) -> dict[str, bytes]:
    """The inputs of one kind by the names of their files, in their order."""
    files = sorted(file for file in (FUZZ / kind).rglob("*") if file.is_file())
    return {file.relative_to(FUZZ / kind).as_posix(): file.read_bytes() for file in files}


@contextmanager
def kept_if_it_fails(kind: str, content: bytes, folder: Path = FUZZ) -> Iterator[None]:
    """Writes an input that fails a check among the stored ones, where it is tried again.

    Hypothesis fails the smallest input last, so that is the one that stays.
    """
    try:
        yield
    except Exception:
        file = folder / kind / FOUND
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        raise


def short_or_long() -> settings:
    """The same few examples in every run; under ``make fuzz``, many others each time."""
    return settings(derandomize=settings.get_current_profile_name() == "house")
