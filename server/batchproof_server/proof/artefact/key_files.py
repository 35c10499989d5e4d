"""Reads the files of keys that sign certificates, and of those whose signature is believed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from batchproof_server.base.files import read_start, reason_of
from batchproof_server.proof.certificate.signing import TrustedKeys

if TYPE_CHECKING:
    from batchproof_server.proof.certificate.ed25519 import SigningKey

MAX_KEY_BYTES: Final = 64 << 10
_Key = TypeVar("_Key")


def read_signing_key(file: Path) -> "SigningKey":
    """Reads a private key.

    Raises:
        ValueError: the file cannot be read or holds something else; the text names it.
    """
    from batchproof_server.proof.certificate.ed25519 import SigningKey  # noqa: PLC0415 - takes 8 MB

    return _read(file, SigningKey.from_pem)


def read_trusted_keys(files: Sequence[str]) -> TrustedKeys:
    """Reads one public key of each file.

    Raises:
        ValueError: a file cannot be read or holds something else; the text names it.
    """
    if not files:
        return TrustedKeys()
    from batchproof_server.proof.certificate.ed25519 import VerifyingKey  # noqa: PLC0415 - takes 8 MB

    return TrustedKeys.of([_read(Path(file), VerifyingKey.from_pem) for file in files])


def _read(file: Path, parse: Callable[[bytes], _Key]) -> _Key:
    try:
        content = read_start(file, MAX_KEY_BYTES)
    except OSError as fault:
        reason = reason_of(fault)
        raise ValueError(f"{file}: cannot be read ({reason})") from fault
    try:
        return parse(content)
    except ValueError as fault:
        raise ValueError(f"{file}: {fault}") from fault
