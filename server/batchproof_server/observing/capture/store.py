"""The captured rows that are kept: whole or not at all, and no more than may be."""

import json
import re
from collections import deque
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Final, NamedTuple
from urllib.parse import quote

from batchproof_server.observing.capture.captured import CapturedRow
from batchproof_server.observing.capture.kept_files import KeptFile, KeptFiles
from batchproof_server.observing.capture.settings import CaptureSettings


class Kept(NamedTuple):
    """One row that is there.

    Attributes:
        id: begins with its time.
        size_bytes: of its files.
        record: path of it, as is content.
    """

    id: str
    size_bytes: int
    record: str
    content: str

    @property
    def kept_s(self) -> float:
        """When it was kept, since 1970."""
        return int(self.id.partition("-")[0]) / 1e9


# Contract
#
# Below ``<model>/<version>/`` are ``pictures`` and ``tensors``, and beside them ``records``, each
# with ``random`` and ``suspicious``. A content is there before its record and goes after it:
# whoever reads a record finds its content, and neither is ever half there. Only files of this form
# are ever removed. What is there is listed before the first row and again after each failure, when
# nobody knows what came of it; else it is known. One process owns the files; lives on one thread.
class CaptureStore:
    """Keeps rows.

    Args:
        settings: how many, and how long.
        files: where.
    """

    def __init__(self, settings: CaptureSettings, files: KeptFiles) -> None:
        self._settings = settings
        self._files = files
        self._kept: deque[Kept] = deque()
        self._size_bytes = 0
        self._knows_files = False

    def keep(self, row: CapturedRow, id_: str, now_s: float) -> None:
        """Writes a row, and removes the oldest where there are too many.

        Args:
            row: says its model, version and sample.
            id_: of ``capture_id``.
            now_s: since 1970.

        Raises:
            OSError: it cannot be written; what is left of it goes as soon as that can be removed.
        """
        said = row.said
        of_version = f"{_folder(str(said['model']))}/{said['version']}"
        kind = "tensors" if row.suffix == ".npz" else "pictures"
        file = f"{kind}/{said['sample']}/{id_}{row.suffix}"
        record = f"{of_version}/{_RECORDS}/{said['sample']}/{id_}.json"
        line = json.dumps({"id": id_, "file": file, **said}).encode() + b"\n"
        kept = Kept(id_, len(line) + len(row.content), record, f"{of_version}/{file}")
        self.tidy(now_s)
        self._knows_files = False
        self._files.write(kept.content, row.content)
        try:
            self._files.write(record, line)
        except BaseException:
            with suppress(OSError):  # then it goes when the files are listed again
                self._files.remove(kept.content)
            raise
        self._knows_files = True
        self._kept.append(kept)
        self._size_bytes += kept.size_bytes
        self.tidy(now_s)

    def tidy(self, now_s: float) -> None:
        """Removes the oldest rows until the others are as few, small and young as they may be.

        Args:
            now_s: since 1970.

        Raises:
            OSError: the files cannot be written, listed or removed.
        """
        if not self._knows_files:
            self._list()
        self._knows_files = False
        settings = self._settings
        while self._kept and (
            len(self._kept) > settings.max_count
            or self._size_bytes > settings.max_bytes
            or self._kept[0].kept_s < now_s - settings.max_age_s
        ):
            oldest = self._kept[0]
            self._files.remove(oldest.record)
            self._files.remove(oldest.content)
            self._kept.popleft()
            self._size_bytes -= oldest.size_bytes
        self._knows_files = True

    def _list(self) -> None:
        """Counts the rows that are there; those of which one file is missing are removed."""
        self._files.open()
        halves: dict[tuple[PurePosixPath, str, str], dict[str, KeptFile]] = {}
        for file in self._files.files():
            path = PurePosixPath(file.path)
            if len(path.parts) == _DEPTH and path.parts[2] in _KINDS and _ID.fullmatch(path.stem):
                part = "record" if path.parts[2] == _RECORDS else "content"
                of_row = path.parents[2], path.parts[3], path.stem
                halves.setdefault(of_row, {})[part] = file
        rows = []
        for (*_, id_), parts in halves.items():
            record, content = parts.get("record"), parts.get("content")
            if record is None or content is None:
                for file in parts.values():
                    self._files.remove(file.path)
            else:
                size_bytes = record.size_bytes + content.size_bytes
                rows.append(Kept(id_, size_bytes, record.path, content.path))
        self._kept = deque(sorted(rows))
        self._size_bytes = sum(each.size_bytes for each in rows)


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
_DEPTH: Final = 5
