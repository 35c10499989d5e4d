"""The keys that sign certificates and those that are trusted, in PEM. Pure.

Imported where a key is configured: the library takes 8 MB of a process.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from batchproof_server.proof.certificate.signing import KeySignature, signed_text

_ANOTHER_KIND: Final = "it is a key of another kind, expected Ed25519"


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
        value = self.private.sign(signed_text(digest)).hex()
        return KeySignature(VerifyingKey(self.private.public_key()).identifier, value)


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key."""

    public: Ed25519PublicKey

    @classmethod
    def from_pem(cls, content: bytes) -> "VerifyingKey":
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
        return cls(key)

    @property
    def identifier(self) -> str:
        """SHA-256 of its 32 bytes, in hexadecimal."""
        return hashlib.sha256(self.public.public_bytes_raw()).hexdigest()

    def verifies(self, signature: bytes, text: bytes) -> bool:
        """Whether the holder of the private key signed this text."""
        try:
            self.public.verify(signature, text)
        except InvalidSignature:
            return False
        return True
