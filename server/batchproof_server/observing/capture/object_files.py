"""Files in an object store, through fsspec; imported where such a store is configured alone."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import fsspec

from batchproof_server.observing.capture.kept_files import TRIAL, KeptFile

T = TypeVar("T")


class ObjectStoreFailed(OSError):
    """The store refused, failed or did not answer; the text says why."""


def find_store(url: str) -> None:
    """Finds the package that an object store needs; reaches for no network.

    Args:
        url: checked by ``CaptureSettings``.

    Raises:
        ValueError: there is no such kind of store, or its package is not installed.
    """
    scheme = url.partition("://")[0]
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as missing:
        package = _PACKAGES.get(scheme)
        way = f'pip install "{package}"' if package else str(missing)
        raise ValueError(
            f"capture.directory: {scheme}:// needs a package that is not installed, expected: {way}"
        ) from missing
    except ValueError as unknown:
        raise ValueError(
            f"capture.directory: {scheme}:// is no object store that is known, expected such as "
            "s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
        ) from unknown


# Contract: every operation has a time limit, and ends on a thread of its own if it is not ended by
# it. While one goes on past its limit all others are refused, so that no more than one thread and
# one content are ever held by a store that hangs, and two operations never overtake each other.
class ObjectFiles:
    """Objects below a prefix. The store puts each of them whole or not at all.

    Args:
        url: such as ``s3://bucket/prefix``.
        timeout_s: for one operation.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._store: Any = None
        self._top = ""
        self._late: threading.Thread | None = None

    def open(self) -> None:
        """Finds the credentials, and writes on trial."""
        if self._store is None:
            # Outside credentials may be asked for over the network.
            self._store, top = self._limited(self._connect)
            self._top = top.rstrip("/")
        self.write(TRIAL, b"")
        self.remove(TRIAL)

    def files(self) -> Iterator[KeptFile]:
        """Those below the prefix."""
        found = self._limited(self._list)
        for name, facts in found.items():
            path = name.removeprefix("/").removeprefix(f"{self._top.removeprefix('/')}/")
            yield KeptFile(path, int(facts.get("size") or 0))

    def write(self, path: str, content: bytes) -> None:
        """Puts an object."""
        self._limited(lambda: self._store.pipe_file(f"{self._top}/{path}", content))

    def remove(self, path: str) -> None:
        """Removes an object; one that is not there is no fault."""
        self._limited(lambda: self._remove(f"{self._top}/{path}"))

    def _connect(self) -> tuple[Any, str]:
        # Ours is one of its own: another one's listings may be of before.
        found: tuple[Any, str] = fsspec.url_to_fs(
            self._url, skip_instance_cache=True, use_listings_cache=False
        )
        return found

    def _list(self) -> dict[str, dict[str, Any]]:
        self._store.invalidate_cache()
        try:
            found: dict[str, dict[str, Any]] = self._store.find(self._top, detail=True)
        except FileNotFoundError:  # a prefix without objects
            return {}
        return found

    def _remove(self, path: str) -> None:
        try:
            self._store.rm_file(path)
        except FileNotFoundError:
            return

    def _limited(self, work: Callable[[], T]) -> T:
        """What work returns, unless it fails or takes too long.

        Raises:
            ObjectStoreFailed: it did, or the one before has not ended.
        """
        if self._late is not None and self._late.is_alive():
            raise ObjectStoreFailed("the object store has not answered the operation before")
        results: list[T] = []
        faults: list[Exception] = []

        def run() -> None:
            try:
                results.append(work())
            except Exception as fault:  # noqa: BLE001 - stores raise what their libraries raise
                faults.append(fault)

        self._late = threading.Thread(target=run, name="capture-store", daemon=True)
        self._late.start()
        self._late.join(self._timeout_s)
        if faults:
            raise ObjectStoreFailed(_reason(faults[0])) from faults[0]
        if not results:
            raise ObjectStoreFailed(f"the object store did not answer within {self._timeout_s:g} s")
        return results[0]


def _reason(fault: Exception) -> str:
    """What a store says, without what may be a secret in a URL."""
    text = _SECRET.sub("***", str(fault))[:_MOST_CHARACTERS]
    return f"{type(fault).__name__}: {text}" if text else type(fault).__name__


_SECRET: Final = re.compile(r"(?<=://)[^\s/@]*(?=@)|(?<=\?)[^\s'\"]+")
_MOST_CHARACTERS: Final = 300


_PACKAGES: Final = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}
