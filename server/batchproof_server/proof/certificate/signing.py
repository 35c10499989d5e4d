"""Signatures of certificates: Ed25519 (RFC 8032) over the digest. Pure.

A signature says that the holder of a key vouches for a proof. What it signs is a fixed text with
the digest of the certificate, so that a signature made for anything else is none of a certificate.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS

_SIGNED_TEXT: Final = "batchproof certificate 1\n"
_ANOTHER_KIND: Final = "it is a key of another kind, expected Ed25519"


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


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key."""

    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, content: bytes) -> "SigningKey":
        """Reads a private key in PEM (PKCS 8) without a password.

        Raises:
            ValueError: it is something else.
        """
        try:
            key = load_pem_private_key(content, password=None)
        except TypeError as fault:  # what the package says of a password that is missing
            raise ValueError("the private key has a password, expected one without") from fault
        except (ValueError, UnsupportedAlgorithm) as fault:
            raise ValueError("it is no private key in PEM") from fault
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(_ANOTHER_KIND)  # noqa: TRY004 - the file is wrong, no argument
        return cls(key)

    def sign(self, digest: str) -> KeySignature:
        """Vouches for the certificate with this digest."""
        value = self.private.sign(_text(digest)).hex()
        return KeySignature(_key_id(self.private.public_key()), value)


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The public keys whose word is taken, by their identifiers."""

    by_id: Mapping[str, Ed25519PublicKey] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Iterable[Ed25519PublicKey]) -> "TrustedKeys":
        """These keys."""
        return cls({_key_id(key): key for key in keys})

    def doubt(self, signature: KeySignature, digest: str) -> str | None:
        """Why a signature of the certificate with this digest is worth nothing; None if it is."""
        key = self.by_id.get(signature.key)
        if key is None:
            return "proof.trusted_keys does not name the key that signed it"
        try:
            key.verify(bytes.fromhex(signature.value), _text(digest))
        except (InvalidSignature, ValueError):
            return "its signature is not one of its content"
        return None


def public_key(content: bytes) -> Ed25519PublicKey:
    """Reads a public key in PEM.

    Raises:
        ValueError: it is something else.
    """
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise ValueError("it is no public key in PEM") from fault
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(_ANOTHER_KIND)  # noqa: TRY004 - the file is wrong, no argument
    return key


def _key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def _text(digest: str) -> bytes:
    return f"{_SIGNED_TEXT}{digest}".encode()
