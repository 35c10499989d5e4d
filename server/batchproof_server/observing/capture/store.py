"""The directory of captured rows: written whole or not at all, and no more than it may hold."""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from batchproof_server.base.files import write_bytes
from batchproof_server.observing.capture.captured import CapturedRow
from batchproof_server.observing.capture.settings import CaptureSettings


class Kept(NamedTuple):
    """One row in the directory.

    Attributes:
        id: begins with its time.
        kept_s: since 1970.
        size_bytes: of its files.
    """

    id: str
    kept_s: float
    size_bytes: int
    record: Path
    content: Path


# Contract
#
# Below ``<model>/<version>/`` are ``pictures`` and ``tensors``, and beside them ``records``, each
# with ``random`` and ``suspicious``. A content is there before its record and goes after it, and
# both are renamed into place once they are on the disk: whoever reads a record finds its content,
# and neither is ever half there. Only files of this form are ever removed. One process owns a
# directory; lives on one thread.
class CaptureStore:
    """Keeps rows.

    Args:
        settings: how many, how long, and where.
    """

    def __init__(self, settings: CaptureSettings) -> None:
        self._settings = settings
        self._top = Path(settings.directory)
        self._kept: deque[Kept] = deque()
        self._size_bytes = 0

    def open(self, now_s: float) -> None:
        """Makes the directory, counts what is in it, and removes what is old or was left half done.

        Args:
            now_s: since 1970.

        Raises:
            OSError: it cannot be made, written or read.
        """
        self._top.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(self._top / _TRIAL, b"", _PRIVATE)
        (self._top / _TRIAL).unlink(missing_ok=True)
        halves: dict[tuple[Path, str, str], dict[str, Path]] = {}
        for file in self._top.glob("*/*/*/*/*"):
            kind, of_version = file.parents[1].name, file.parents[2]
            if file.name.startswith(_WRITING):
                file.unlink(missing_ok=True)
            elif _ID.fullmatch(file.stem) and kind in _KINDS:
                part = "record" if kind == _RECORDS else "content"
                halves.setdefault((of_version, file.parent.name, file.stem), {})[part] = file
        self._kept = deque(sorted(_whole(halves.values())))
        self._size_bytes = sum(each.size_bytes for each in self._kept)
        self.tidy(now_s)

    def keep(self, row: CapturedRow, id_: str, now_s: float) -> None:
        """Writes a row, and removes the oldest where there are too many.

        Args:
            row: says its model, version and sample.
            id_: of ``capture_id``.
            now_s: since 1970.

        Raises:
            OSError: it cannot be written; then nothing of it is there.
        """
        said = row.said
        of_version = self._top / _folder(str(said["model"])) / str(said["version"])
        kind = "tensors" if row.suffix == ".npz" else "pictures"
        content = of_version / kind / str(said["sample"]) / f"{id_}{row.suffix}"
        record = of_version / _RECORDS / str(said["sample"]) / f"{id_}.json"
        for folder in (content.parent, record.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        named = {"id": id_, "file": content.relative_to(of_version).as_posix(), **said}
        line = json.dumps(named).encode() + b"\n"
        write_bytes(content, row.content, _PRIVATE)
        try:
            write_bytes(record, line, _PRIVATE)
        except BaseException:
            content.unlink(missing_ok=True)
            raise
        self._kept.append(Kept(id_, now_s, len(line) + len(row.content), record, content))
        self._size_bytes += self._kept[-1].size_bytes
        self.tidy(now_s)

    def tidy(self, now_s: float) -> None:
        """Removes the oldest rows until the others are as few, small and young as they may be.

        Raises:
            OSError: one cannot be removed.
        """
        settings = self._settings
        while self._kept and (
            len(self._kept) > settings.max_count
            or self._size_bytes > settings.max_bytes
            or self._kept[0].kept_s < now_s - settings.max_age_s
        ):
            oldest = self._kept[0]
            oldest.record.unlink(missing_ok=True)
            oldest.content.unlink(missing_ok=True)
            self._kept.popleft()
            self._size_bytes -= oldest.size_bytes


def _whole(halves: Iterable[Mapping[str, Path]]) -> Iterator[Kept]:
    """The rows of which both files are there; the others are removed."""
    for files in halves:
        record, content = files.get("record"), files.get("content")
        if record is None or content is None:
            for file in files.values():
                file.unlink(missing_ok=True)
        else:
            state = record.stat()
            size_bytes = state.st_size + content.stat().st_size
            yield Kept(record.stem, state.st_mtime, size_bytes, record, content)


def capture_id(now_ns: int, number: int) -> str:
    """The name of a row: sorted by name they are sorted by age.

    Args:
        now_ns: since 1970.
        number: tells those of one process apart.
    """
    return f"{now_ns:020d}-{number % 1_000_000:06d}"


def _folder(name: str) -> str:
    """A model's name as the name of one visible folder."""
    quoted = quote(name, safe="")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted


_ID: Final = re.compile(r"\d{20}-\d{6}")
_RECORDS: Final = "records"
_KINDS: Final = ("pictures", "tensors", _RECORDS)
_WRITING: Final = ".writing-"
_TRIAL: Final = ".batchproof-trial"
_PRIVATE: Final = 0o600
