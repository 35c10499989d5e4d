"""Which version callers mean."""

from typing import Final

from batchproof_server.base.errors import InvalidInput, ModelNotFound
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.versions import Versions
from batchproof_server.rpc.calls import Call

KEY: Final = "x-batchproof-key"
"""Metadata, or a header over HTTP: whoever sends the same one is answered by the same version."""
_MOST_KEY_CHARACTERS: Final = 256


def key_of(call: Call) -> str:
    """What decides between the versions that share a label: the caller's key, else the request id.

    Raises:
        InvalidInput: the key is too long or no printable ASCII.
    """
    for name, value in call.metadata:
        if name == KEY and value:
            key = value if isinstance(value, str) else value.decode("ascii", "replace")
            if len(key) > _MOST_KEY_CHARACTERS or not (key.isascii() and key.isprintable()):
                raise InvalidInput(
                    f"{KEY} has {len(key)} characters or unprintable ones, expected "
                    f"{_MOST_KEY_CHARACTERS} of printable ASCII at most; send a digest of it"
                )
            return key
    return call.request_id


def numbered_or_labelled(name: str, text: str, call: Call) -> ModelSelector:
    """A version that stands in a text: a number, else a label; the newest when it is empty.

    Raises:
        InvalidInput: it is a label, and as ``key_of`` says.
    """
    if not text:
        return ModelSelector(name)
    return _numbered(name, text) or ModelSelector(name, label=text, key=key_of(call))


def labelled_or_numbered(versions: Versions, name: str, label: str, key: str = "") -> ModelSelector:
    """A label; a number where no label of that name exists, because some clients send it there."""
    selector = ModelSelector(name, label=label, key=key)
    try:
        versions.find(selector)
    except ModelNotFound:
        return _numbered(name, label) or selector
    return selector


def _numbered(name: str, text: str) -> ModelSelector | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return ModelSelector(name, version=int(text)) if is_number else None


_MAX_DIGITS = 18
