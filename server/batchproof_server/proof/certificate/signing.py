"""Signatures of certificates: Ed25519 (RFC 8032) over the digest. Pure.

A signature says that the holder of a key vouches for a proof. What it signs is a fixed text with
the digest of the certificate, so that a signature made for anything else is none of a certificate.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS

_SIGNED_TEXT: Final = "batchproof certificate 1\n"


@dataclass(frozen=True, slots=True)
class KeySignature:
    """Who vouches for a certificate, if anybody does: an Ed25519 signature over its digest.

    Attributes:
        key: SHA-256 of the public key's 32 bytes, in hexadecimal.
        value: the 64 bytes of the signature, in hexadecimal.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    key: str
    value: str


class PublicKey(Protocol):
    """A key whose signatures can be told from others."""

    @property
    def identifier(self) -> str:
        """SHA-256 of its 32 bytes, in hexadecimal."""
        ...

    def verifies(self, signature: bytes, text: bytes) -> bool:
        """Whether the holder of the private key signed this text."""
        ...


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The public keys whose word is taken, by their identifiers."""

    by_id: Mapping[str, PublicKey] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Iterable[PublicKey]) -> "TrustedKeys":
        """These keys."""
        return cls({key.identifier: key for key in keys})

    def doubt(self, signature: KeySignature, digest: str) -> str | None:
        """Why a signature of the certificate with this digest is worth nothing; None if it is."""
        key = self.by_id.get(signature.key)
        if key is None:
            return "proof.trusted_keys does not name the key that signed it"
        try:
            value = bytes.fromhex(signature.value)
        except ValueError:
            value = b""
        if not key.verifies(value, signed_text(digest)):
            return "its signature is not one of its content"
        return None


def signed_text(digest: str) -> bytes:
    """What a signature of the certificate with this digest signs."""
    return f"{_SIGNED_TEXT}{digest}".encode()
