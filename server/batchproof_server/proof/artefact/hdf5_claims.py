"""Level 0 for HDF5 weights: what they claim and where they point. Reads no values.

Importing this module imports h5py, which Keras needs anyway.
"""

import json
import math
from collections.abc import Iterator
from typing import IO, Any, Final

import h5py  # type: ignore[import-untyped]  # it ships no types

from batchproof_server.base.errors import cut
from batchproof_server.proof.findings import Finding
from batchproof_server.proof.rules import found

# HDF5 may leave out what was never written, so a small file can claim any shape.
_BOMB_FLOOR_BYTES: Final = 16 << 20
_BOMB_RATIO: Final = 1000
_MOST_OBJECTS: Final = 1_000_000
_DEEPEST: Final = 200


def audit_hdf5(file: IO[bytes], name: str) -> tuple[Finding, ...]:
    """Walks groups and datasets without following a link out of the file.

    Args:
        file: the weights, seekable.
        name: of the member, for findings.
    """
    try:
        with h5py.File(file, "r") as weights:
            return tuple(_group(weights, name, set(), 0))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as fault:
        reason = cut(str(fault).splitlines()[0], 200) if str(fault) else type(fault).__name__
        return (found("BP002", name, f"it is no whole HDF5 file: {reason}"),)


def model_config(file: IO[bytes]) -> Any:
    """The configuration of the model that Keras saved in an HDF5 file; None where there is none.

    Args:
        file: as ``audit_hdf5`` found nothing in it.
    """
    try:
        with h5py.File(file, "r") as saved:
            text = saved.attrs.get("model_config")
            return None if text is None else json.loads(text)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, RecursionError):
        return None


def _group(group: Any, path: str, seen: set[int], depth: int) -> Iterator[Finding]:
    address = h5py.h5o.get_info(group.id).addr
    if address in seen:
        return
    seen.add(address)
    if depth > _DEEPEST or len(seen) > _MOST_OBJECTS:
        yield found("BP005", path, "it holds groups without end")
        return
    for key in group:
        link = group.get(key, getlink=True)
        where = f"{path}/{key}"
        if isinstance(link, h5py.ExternalLink | h5py.SoftLink):
            yield found("BP014", where, f"it is a {type(link).__name__}")
            continue
        item = group[key]
        if isinstance(item, h5py.Dataset):
            yield from _dataset(item, where)
        elif isinstance(item, h5py.Group):
            yield from _group(item, where, seen, depth + 1)


def _dataset(dataset: Any, where: str) -> Iterator[Finding]:
    if dataset.external or dataset.is_virtual:
        yield found("BP014", where, "its values are in another file")
        return
    claimed = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if claimed > _BOMB_FLOOR_BYTES and claimed > _BOMB_RATIO * stored:
        yield found("BP005", where, f"it claims {claimed} bytes and stores {stored}")
