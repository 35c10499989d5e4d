"""Bodies that come compressed, unpacked up to a limit; and answers that go so."""

import zlib
from typing import Final

from batchproof_server.base.errors import InvalidInput, NotImplementedYet, cut
from batchproof_server.web.rest.exchange import Headers

_GZIP: Final = 16 + zlib.MAX_WBITS
_FORMS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}
_LEVEL: Final = 1
_WORTH_IT_BYTES: Final = 1_024


def is_known(encoding: str) -> bool:
    """Whether a body under this ``Content-Encoding`` can be read."""
    return encoding.strip().lower() in ("", "identity", *_FORMS)


def unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """A body as it was before it was compressed.

    Args:
        body: as it came.
        encoding: its ``Content-Encoding``; empty for none.
        max_bytes: the most that is unpacked.

    Raises:
        NotImplementedYet: the encoding is not known.
        InvalidInput: it is broken, or has more bytes.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _FORMS:
        raise NotImplementedYet(f"Content-Encoding is {cut(name)}, expected gzip or deflate")
    unpacking = zlib.decompressobj(_FORMS[name])
    try:
        plain = unpacking.decompress(body, max_bytes + 1)
    except zlib.error as fault:
        raise InvalidInput(f"the body cannot be decompressed, expected {name}") from fault
    if len(plain) > max_bytes:
        raise InvalidInput(
            f"the body has more than {max_bytes} bytes after decompression, expected {max_bytes} "
            "at most (rpc.max_message_bytes)"
        )
    if not unpacking.eof or unpacking.unused_data:
        raise InvalidInput(f"the body ends before or after its {name} data")
    return plain


def wanted_form(accept_encoding: str, size_bytes: int) -> str:
    """How an answer of so many bytes is compressed; empty leaves it as it is."""
    if size_bytes < _WORTH_IT_BYTES:
        return ""
    offers = [offer.strip().lower().replace(" ", "") for offer in accept_encoding.split(",")]
    return next((name for name in ("gzip", "deflate") if name in offers), "")


def packed(body: bytes, form: str, headers: Headers) -> tuple[bytes, Headers]:
    """A body in one of these forms, and its headers."""
    packing = zlib.compressobj(_LEVEL, wbits=_FORMS[form])
    return packing.compress(body) + packing.flush(), {**headers, "content-encoding": form}
