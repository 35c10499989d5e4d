"""Which version the callers of other protocols mean."""

from batchproof_server.base.errors import ModelNotFound
from batchproof_server.models.selection import ModelSelector
from batchproof_server.models.versions import Versions


def numbered_or_labelled(name: str, text: str) -> ModelSelector:
    """A version that stands in a text: a number, else a label; the newest when it is empty."""
    if not text:
        return ModelSelector(name)
    return _numbered(name, text) or ModelSelector(name, label=text)


def labelled_or_numbered(versions: Versions, name: str, label: str) -> ModelSelector:
    """A label; a number where no label of that name exists, because some clients send it there."""
    selector = ModelSelector(name, label=label)
    try:
        versions.find(selector)
    except ModelNotFound:
        return _numbered(name, label) or selector
    return selector


def _numbered(name: str, text: str) -> ModelSelector | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return ModelSelector(name, version=int(text)) if is_number else None


_MAX_DIGITS = 18
