"""Which descriptors are open in the process that runs the tests."""

from pathlib import Path

_OPEN = Path("/proc/self/fd")


def open_descriptors() -> set[tuple[int, str]]:
    """The number and the target of each; one that is closed and opened again is another.

    Tests compare what was opened since, and not how many there are: what an earlier test left to
    the garbage collector may be closed at any time.
    """
    found: set[tuple[int, str]] = set()
    for each in _OPEN.iterdir():
        try:
            found.add((int(each.name), str(each.readlink())))
        except FileNotFoundError:  # the listing's own
            continue
    return found
