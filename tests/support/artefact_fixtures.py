"""``.keras`` files written by hand, as an attacker or a broken disk would write them."""

import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]  # it ships no types
import numpy as np

GIGABYTE = 1 << 30


def config_of(*layers: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a sequential model, with a custom loss that is never loaded."""
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "outer", "layers": list(layers)},
        "compile_config": {"loss": {"class_name": "MyLoss", "module": "x"}},
    }


def layer(class_name: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    """One layer called ``it``."""
    return {"module": module, "class_name": class_name, "config": {"name": "it", **config}}


def weights(fill: Callable[[Any], None] = lambda _: None) -> bytes:
    """An HDF5 file with one small array, and whatever ``fill`` adds."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("layers/dense/vars/0", data=np.zeros((2, 3), np.float32))
        fill(file)
    return buffer.getvalue()


def archive(
    path: Path,
    config: Any = None,
    *,
    members: Mapping[str, bytes] | None = None,
    without: str = "",
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """A ``.keras`` file: configuration, metadata, weights, and ``members`` in their place."""
    parts = {
        "metadata.json": b"{}",
        "config.json": json.dumps(config or config_of(layer("Dense"))).encode(),
        "model.weights.h5": weights(),
        **(members or {}),
    }
    parts.pop(without, None)
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return path


def patched_sizes(path: Path, name: str, *, claimed: int, flags: int | None = None) -> Path:
    """Changes what the directory of an archive claims about a member."""
    content = bytearray(path.read_bytes())
    place = content.find(b"PK\x01\x02")
    while place >= 0:
        length = struct.unpack_from("<H", content, place + 28)[0]
        if content[place + 46 : place + 46 + length].decode() == name:
            struct.pack_into("<L", content, place + 24, claimed)
            if flags is not None:
                struct.pack_into("<H", content, place + 8, flags)
        place = content.find(b"PK\x01\x02", place + 4)
    path.write_bytes(content)
    return path


def _bomb(path: Path) -> Path:
    """300 MB of zeros in 300 kB."""
    return archive(
        path, members={"assets/zeros": bytes(300 << 20)}, compression=zipfile.ZIP_DEFLATED
    )


def _ten_gigabytes_stored(path: Path) -> Path:
    return patched_sizes(archive(path), "model.weights.h5", claimed=4 * GIGABYTE - 2)


def _lying_about_its_size(path: Path) -> Path:
    """Claims 1,000 bytes, holds 20 MB: whoever trusts the claim reads a part."""
    archive(path, members={"assets/a": bytes(20 << 20)}, compression=zipfile.ZIP_DEFLATED)
    return patched_sizes(path, "assets/a", claimed=1_000)


def _ten_gigabyte_array(file: Any) -> None:
    file.create_dataset("big", (GIGABYTE * 10 // 4,), np.float32, chunks=(1 << 20,), fillvalue=1)


def _external_array(file: Any) -> None:
    file.create_dataset("e", (4,), np.uint8, external=[("/etc/hostname", 0, 4)])


def _external_link(file: Any) -> None:
    file["link"] = h5py.ExternalLink("/etc/hostname", "/")


def _soft_link(file: Any) -> None:
    file["link"] = h5py.SoftLink("/layers")


def _many(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for index in range(10_001):
            file.writestr(str(index), b"")
    return path


def _directory_of_gigabytes(path: Path) -> Path:
    content = bytearray(archive(path).read_bytes())
    place = content.rfind(b"PK\x05\x06")
    struct.pack_into("<L", content, place + 12, 3 * GIGABYTE)
    path.write_bytes(content)
    return path


def _wide_directory(path: Path) -> Path:
    """The same with the fields of zip64."""
    content = archive(path).read_bytes()
    place = content.rfind(b"PK\x05\x06")
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 1 << 40, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, place, 1)
    path.write_bytes(content[:place] + record + locator + content[place:])
    return path


def _cut(path: Path) -> Path:
    content = archive(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def _flipped(path: Path) -> Path:
    content = bytearray(archive(path).read_bytes())
    content[content.find(b'"Dense"') + 2] ^= 0xFF
    path.write_bytes(content)
    return path


def _raw(content: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return write


def _member(name: str, content: bytes = b"") -> Callable[[Path], Path]:
    return lambda path: archive(path, members={name: content})


def _weights(fill: Callable[[Any], None]) -> Callable[[Path], Path]:
    return lambda path: archive(path, members={"model.weights.h5": weights(fill)})


def _config(content: bytes) -> Callable[[Path], Path]:
    return lambda path: archive(path, members={"config.json": content})


def _twice(path: Path) -> Path:
    content = archive(path, members={"config.jsoX": b"{}"}).read_bytes()
    path.write_bytes(content.replace(b"config.jsoX", b"config.json"))
    return path


def _encrypted(path: Path) -> Path:
    size = len(weights())
    return patched_sizes(archive(path), "model.weights.h5", claimed=size, flags=1)


def _linked(path: Path) -> Path:
    archive(path)
    with zipfile.ZipFile(path, "a") as file:
        info = zipfile.ZipInfo("assets/link")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/hostname")
    return path


# Name -> the rule that it breaks, and how to write it.
HOSTILE: Mapping[str, tuple[str, Callable[[Path], Path]]] = {
    "an empty file": ("BP002", _raw(b"")),
    "no zip archive": ("BP002", _raw(b"model" * 1000)),
    "an archive cut in half": ("BP002", _cut),
    "an archive with a changed byte": ("BP002", _flipped),
    "HDF5 under another name": ("BP010", _raw(weights())),
    "a pickle": ("BP011", _raw(b"\x80\x04\x95" + bytes(20))),
    "a zip bomb": ("BP004", _bomb),
    "a member that claims 4 GB": ("BP005", _ten_gigabytes_stored),
    "a member that is larger than it claims": ("BP002", _lying_about_its_size),
    "an array that claims 10 GB": ("BP005", _weights(_ten_gigabyte_array)),
    "an array in another file": ("BP014", _weights(_external_array)),
    "a link to another file": ("BP014", _weights(_external_link)),
    "a soft link": ("BP014", _weights(_soft_link)),
    "weights that are no HDF5": ("BP002", _member("model.weights.h5", b"x" * 100)),
    "weights cut short": ("BP002", _member("model.weights.h5", weights()[:700])),
    "ten thousand members": ("BP006", _many),
    "a directory that claims 3 GB": ("BP005", _directory_of_gigabytes),
    "a directory that claims a terabyte": ("BP005", _wide_directory),
    "a name that climbs up": ("BP003", _member("../../etc/cron.d/x")),
    "a name from the root": ("BP003", _member("/etc/cron.d/x")),
    "a name of Windows": ("BP003", _member("C:\\x")),
    "a symbolic link": ("BP003", _linked),
    "an encrypted member": ("BP007", _encrypted),
    "two configurations": ("BP002", _twice),
    "a compression that Keras does not use": (
        "BP002",
        lambda path: archive(path, compression=zipfile.ZIP_BZIP2),
    ),
    "no configuration": ("BP008", lambda path: archive(path, without="config.json")),
    "no weights": ("BP008", lambda path: archive(path, without="model.weights.h5")),
    "a member named like a pickle": ("BP011", _member("assets/vocabulary.pkl", b"x")),
    "a member that begins like a pickle": ("BP011", _member("assets/v", b"\x80\x04K\x01.")),
    "a configuration that is no JSON": ("BP009", _config(b"{")),
    "a configuration that is a list": ("BP009", _config(b"[1]")),
    "a configuration without end": ("BP009", _config(b"[" * 200_000)),
    "a configuration in no encoding": ("BP009", _config(b"\xff\xfe\xfd")),
}
