"""Level 0 for ``.keras`` files: the form of the zip archive. Reads in pieces, never a whole member.

The limits follow what Keras writes: a few members, stored or deflated, with plain relative names.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from batchproof_server.base.errors import cut
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.rules import found

CONFIG_NAME: Final = "config.json"
_METADATA_NAME: Final = "metadata.json"
_METADATA_BYTES: Final = 1 << 16
# One of these holds the weights; keras.src.saving.saving_lib writes no other.
WEIGHTS_NAMES: Final = ("model.weights.h5", "model.weights.json", "model.weights.npz")

HDF5_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
_MOST_MEMBERS: Final = 10_000
_DIRECTORY_BYTES: Final = 8 << 20
_CONFIG_BYTES: Final = 64 << 20
# Below this a bad ratio hurts nobody; real weights stay under the ratio even when deflated.
_BOMB_FLOOR_BYTES: Final = 16 << 20
_BOMB_RATIO: Final = 100
_PIECE_BYTES: Final = 1 << 20
# End of central directory, with and without zip64: PKWARE's APPNOTE.TXT, 4.3.14 to 4.3.16.
_END: Final = struct.Struct("<4s4H2LH")
_END_LOCATOR: Final = struct.Struct("<4sLQL")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LONGEST_COMMENT: Final = 65_535
_PICKLE_SUFFIXES: Final = (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth")
_PICKLE_PROTOCOLS: Final = range(2, 6)


def audit_start(file: BinaryIO, name: str) -> Finding | None:
    """Tells what a file is by its first bytes.

    Args:
        file: at its start.
        name: for the finding.
    """
    start = file.read(len(HDF5_MAGIC))
    if not start:
        return found("BP002", name, "is empty, expected a .keras file")
    if start == HDF5_MAGIC:
        return found("BP010", name, "is HDF5, which is not served")
    if looks_pickled(start):
        return found("BP011", name, "is a pickle, expected a .keras file")
    return None


def audit_directory(file: BinaryIO, name: str) -> Finding | None:
    """Reads how long the archive's directory claims to be, before anybody reads it."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END.size - _LONGEST_COMMENT))
    tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < _END.size:
        return _broken(name)
    *_, entries, length, _, _ = _END.unpack_from(tail, place)
    position = size - len(tail) + place - _END_LOCATOR.size
    if wide := _wide_directory(file, position):
        entries, length = wide
    if entries > _MOST_MEMBERS:
        return found("BP006", name, f"claims {entries} members, at most {_MOST_MEMBERS} are read")
    if length > _DIRECTORY_BYTES:
        return found("BP005", name, f"claims a directory of {length} bytes")
    return None


def _wide_directory(file: BinaryIO, position: int) -> tuple[int, int] | None:
    if position < 0:
        return None
    file.seek(position)
    locator = file.read(_END_LOCATOR.size)
    if locator[:4] != b"PK\x06\x07":
        return None
    file.seek(min(_END_LOCATOR.unpack(locator)[2], position))
    record = file.read(_END_64.size)
    if len(record) < _END_64.size or record[:4] != b"PK\x06\x06":
        return None
    values = _END_64.unpack(record)
    return values[7], values[8]


def audit_members(archive: zipfile.ZipFile, artefact: Path) -> Iterator[Finding]:
    """Looks at what the directory of the archive claims about each member."""
    members = archive.infolist()
    total_bytes = artefact.stat().st_size
    if len(members) > _MOST_MEMBERS:
        yield found("BP006", artefact.name, f"has {len(members)} members")
        return
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        yield found("BP002", artefact.name, "has two members of one name")
    if sum(member.compress_size for member in members) > total_bytes:
        yield found("BP005", artefact.name, "its members claim more bytes than the file has")
    for member in members:
        yield from _member(member)
    if CONFIG_NAME not in names:
        yield found("BP008", artefact.name, f"has no {CONFIG_NAME}")
    if not set(WEIGHTS_NAMES) & set(names):
        yield found("BP008", artefact.name, f"has no {WEIGHTS_NAMES[0]}")


def _member(member: zipfile.ZipInfo) -> Iterator[Finding]:
    name, size, stored = member.filename, member.file_size, member.compress_size
    if _escapes(member):
        yield found("BP003", _shown(name), "its name leads out of the archive")
    if member.flag_bits & 1:
        yield found("BP007", _shown(name), "it is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield found("BP002", _shown(name), "it is compressed in a way that Keras does not use")
    elif member.compress_type == zipfile.ZIP_STORED and size != stored:
        yield found("BP005", _shown(name), f"it claims {size} bytes and stores {stored}")
    elif size > _BOMB_FLOOR_BYTES and size > _BOMB_RATIO * stored:
        yield found("BP004", _shown(name), f"it claims {size} bytes out of {stored}")
    elif name == CONFIG_NAME and size > _CONFIG_BYTES:
        yield found("BP005", name, f"it claims {size} bytes, at most {_CONFIG_BYTES} are read")
    if name.lower().endswith(_PICKLE_SUFFIXES):
        yield found("BP011", _shown(name), "its name is that of a pickle")


def _escapes(member: zipfile.ZipInfo) -> bool:
    name = member.filename
    link = member.external_attr >> 28 == 0xA  # noqa: PLR2004 - S_IFLNK, the kind of a symbolic link
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return link or not parts or ".." in parts or parts[0] == "/" or "\\" in name or ":" in parts[0]


def _shown(name: str) -> str:
    return repr(cut(name))


def audit_contents(archive: zipfile.ZipFile) -> Iterator[Finding]:
    """Reads each member once, in pieces: its checksum, its real size, pickles.

    Call it only when ``audit_members`` found nothing: then no member becomes longer than claimed.
    """
    for member in archive.infolist():
        try:
            with archive.open(member) as content:
                start = content.read(len(HDF5_MAGIC))
                while content.read(_PIECE_BYTES):
                    pass
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as fault:
            yield found("BP002", _shown(member.filename), cut(f"it cannot be read: {fault}", 200))
            continue
        if looks_pickled(start):
            yield found("BP011", _shown(member.filename), "it begins like a pickle")


def keras_version(archive: zipfile.ZipFile) -> str:
    """The version of Keras that wrote an archive, as it claims; empty where it does not say."""
    try:
        with archive.open(_METADATA_NAME) as content:
            values = json.loads(content.read(_METADATA_BYTES))
    except (KeyError, OSError, ValueError, RecursionError, zipfile.BadZipFile, zlib.error):
        return ""
    claimed = values.get("keras_version") if isinstance(values, dict) else None
    return cut(claimed, 20) if isinstance(claimed, str) else ""


def looks_pickled(start: bytes) -> bool:
    """Whether bytes begin with the mark of a pickle: PROTO and a protocol number."""
    return len(start) > 1 and start[0] == 0x80 and start[1] in _PICKLE_PROTOCOLS  # noqa: PLR2004 - PROTO


def _broken(name: str) -> Finding:
    return found("BP002", name, "is no whole zip archive; it may be cut short or damaged")
