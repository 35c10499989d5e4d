"""Level 0 for SavedModels: the files of the directory, before TensorFlow reads them. Pure files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from batchproof_server.base.files import links_out_of, read_end
from batchproof_server.proof.artefact.archive_form import looks_pickled
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.rules import found

GRAPH_NAME: Final = "saved_model.pb"
_INDEX: Final = "variables.index"
_DATA: Final = "variables.data-"
_FINGERPRINT: Final = "fingerprint.pb"
# protobuf reads no message of 2 GiB or more.
LARGEST_GRAPH_BYTES: Final = (1 << 31) - 1
# The last bytes of a checkpoint's index, which is a LevelDB table; tensorflow/core/lib/io/format.h.
_TABLE_MAGIC: Final = bytes.fromhex("57fb808b247547db")
_PICKLE_SUFFIXES: Final = (".pkl", ".pickle", ".joblib", ".dill")
_VARINT_BITS: Final = 64


def audit_saved_model(directory: Path) -> Iterator[Finding]:
    """Looks for what is missing, cut short or out of place."""
    graph = directory / GRAPH_NAME
    if not graph.is_file():
        yield found("BP015", directory.name, f"has no {GRAPH_NAME}")
        return
    yield from _graph(graph)
    yield from _variables(directory / "variables")
    if not (directory / _FINGERPRINT).is_file():
        yield found("BP018", directory.name, f"has no {_FINGERPRINT}")
    yield from _strangers(directory)


def _graph(graph: Path) -> Iterator[Finding]:
    size = graph.stat().st_size
    if size > LARGEST_GRAPH_BYTES:
        yield found("BP005", GRAPH_NAME, f"has {size} bytes, more than a message can have")
    elif size == 0:
        yield found("BP015", GRAPH_NAME, "is empty")
    elif not _whole_message(graph, size):
        yield found("BP015", GRAPH_NAME, "is cut short or damaged")


def _whole_message(path: Path, size: int) -> bool:
    """Whether the outermost fields of a protocol buffer fill the file exactly."""
    position = 0
    with path.open("rb") as file:
        while position < size:
            tag = _varint(file.read(10))
            if tag is None or tag[0] >> 3 == 0:
                return False
            file.seek(position + tag[1])
            length = _field_bytes(file.read(10), tag[0] & 7)
            if length is None:
                return False
            position += tag[1] + length
            file.seek(min(position, size))
    return position == size


def _field_bytes(start: bytes, wire_type: int) -> int | None:
    if wire_type in (1, 5):
        return 8 if wire_type == 1 else 4
    number = _varint(start)
    if number is None or wire_type not in (0, 2):
        return None
    return number[1] if wire_type == 0 else number[0] + number[1]


def _varint(start: bytes) -> tuple[int, int] | None:
    """A number and how many bytes it takes."""
    value = 0
    for index, byte in enumerate(start):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint has its top bit clear
            return (value, index + 1) if value < 1 << _VARINT_BITS else None
    return None


def _variables(directory: Path) -> Iterator[Finding]:
    if not directory.is_dir():
        yield found("BP016", "variables", "there is no such directory")
        return
    index, names = directory / _INDEX, [path.name for path in directory.iterdir()]
    shards = sorted(name for name in names if name.startswith(_DATA))
    if not index.is_file():
        if shards:
            yield found("BP016", _INDEX, "is missing")
        # A model without variables has neither.
        return
    if read_end(index, len(_TABLE_MAGIC)) != _TABLE_MAGIC:
        yield found("BP016", _INDEX, "is cut short or damaged")
    if not shards:
        yield found("BP016", f"{_DATA}00000-of-00001", "is missing")
        return
    expected = int(shards[0].rpartition("-of-")[2] or 0)
    if len(shards) != expected:
        yield found("BP016", shards[0], f"{len(shards)} of {expected} parts are here")


def _strangers(directory: Path) -> Iterator[Finding]:
    outside = links_out_of(directory)
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if name in outside:
            yield found("BP003", name, "it is a link that leads out of the directory")
        elif path.is_file() and path.suffix.lower() in _PICKLE_SUFFIXES:
            yield found("BP011", name, "its name is that of a pickle")
        elif path.is_file() and "assets.extra" not in name and _pickled(path):
            yield found("BP011", name, "it begins like a pickle")


def _pickled(path: Path) -> bool:
    if path.name.startswith(("variables.", "saved_model", "fingerprint", "keras_metadata")):
        return False  # numbers that may begin with any byte
    with path.open("rb") as file:
        return looks_pickled(file.read(2))
