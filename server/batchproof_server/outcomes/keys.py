"""Where the keys of handles come from: a file, or chance."""

import re
import secrets
from pathlib import Path
from typing import Final

from batchproof_server.base.files import read_text
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.outcomes.handle import MIN_SECRET_BYTES, SealingKey

MAX_KEYS: Final = 16
_MAX_FILE_BYTES: Final = 1 << 16
_EXPECTED: Final = (
    f"expected {2 * MIN_SECRET_BYTES} hexadecimal digits or more, as `openssl rand -hex "
    f"{MIN_SECRET_BYTES}` prints"
)


def process_key() -> tuple[SealingKey, ...]:
    """A random key that nobody else has, and that ends with the process."""
    return (SealingKey(secrets.token_bytes(MIN_SECRET_BYTES)),)


def read_keys(file: Path) -> tuple[SealingKey, ...]:
    """The keys of a file, one a line; empty lines and those that begin with ``#`` are none.

    Raises:
        InvalidSettings: the file cannot be read, or its keys are none, too many, too short, no
            hexadecimal digits or the same. No text of the file stands in the error.
    """
    try:
        lines = read_text(file, _MAX_FILE_BYTES).splitlines()
    except (OSError, ValueError) as fault:  # too long, or not UTF-8
        raise _fault(file, "cannot be read as a short text file") from fault
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    keys = tuple(
        _key(file, number, line) for number, line in numbered if line and not line.startswith("#")
    )
    if not 1 <= len(keys) <= MAX_KEYS:
        raise _fault(file, f"has {len(keys)} keys, expected 1 to {MAX_KEYS}, one a line")
    if len({key.id for key in keys}) < len(keys):
        raise _fault(file, "has the same key twice")
    return keys


def _key(file: Path, number: int, line: str) -> SealingKey:
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", line) or len(line) < 2 * MIN_SECRET_BYTES:
        raise _fault(file, f"line {number} is no key, {_EXPECTED}")
    return SealingKey(bytes.fromhex(line))


def _fault(file: Path, says: str) -> InvalidSettings:
    return InvalidSettings((f"outcomes.key_file: {file} {says}",))
