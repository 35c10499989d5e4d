"""Signatures of certificates: who may make one, and what one is worth."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from batchproof_server.proof.artefact.key_files import (
    MAX_KEY_BYTES,
    read_signing_key,
    read_trusted_keys,
)
from batchproof_server.proof.certificate.signing import KeySignature, TrustedKeys
from support.keys import write_keys

DIGEST = "ab" * 32


def test_a_signature_of_a_trusted_key_is_believed_for_its_own_digest_only(tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    signature = read_signing_key(private).sign(DIGEST)
    trusted = read_trusted_keys([str(public)])
    assert trusted.doubt(signature, DIGEST) is None
    assert trusted.doubt(signature, "cd" * 32) == "its signature is not one of its content"
    assert trusted.doubt(KeySignature(signature.key, "no hex"), DIGEST) is not None
    assert trusted.doubt(KeySignature(signature.key, "00" * 64), DIGEST) is not None


def test_a_key_that_nobody_named_is_not_believed(tmp_path: Path) -> None:
    private, _ = write_keys(tmp_path)
    _, other = write_keys(tmp_path, "other")
    signature = read_signing_key(private).sign(DIGEST)
    for trusted in (TrustedKeys(), read_trusted_keys([str(other)])):
        doubt = trusted.doubt(signature, DIGEST)
        assert doubt == "proof.trusted_keys does not name the key that signed it"


def test_one_of_several_keys_is_enough(tmp_path: Path) -> None:
    pairs = [write_keys(tmp_path, name) for name in ("old", "new")]
    trusted = read_trusted_keys([str(public) for _, public in pairs])
    for private, _ in pairs:
        assert trusted.doubt(read_signing_key(private).sign(DIGEST), DIGEST) is None


def test_a_signature_of_the_bare_digest_is_none_of_a_certificate(tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    key = read_signing_key(private)
    elsewhere = KeySignature(key.sign(DIGEST).key, key.private.sign(DIGEST.encode()).hex())
    assert read_trusted_keys([str(public)]).doubt(elsewhere, DIGEST) is not None


def test_a_private_key_is_never_shown(tmp_path: Path) -> None:
    private, _ = write_keys(tmp_path)
    assert repr(read_signing_key(private)) == "SigningKey()"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no private key in PEM"),
        (b"\xff" * 20, "no private key in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key"),
        (
            generate_private_key(SECP256R1()).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            "a key of another kind, expected Ed25519",
        ),
        (
            Ed25519PrivateKey.generate().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
            ),
            "has a password, expected one without",
        ),
        (b"x" * (MAX_KEY_BYTES + 10), "no private key in PEM"),
    ],
)
def test_what_is_no_private_key_is_named_with_its_file(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(ValueError, match=said) as fault:
        read_signing_key(tmp_path / "key.pem")
    assert str(tmp_path / "key.pem") in str(fault.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no public key in PEM"),
        (
            generate_private_key(SECP256R1())
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "a key of another kind, expected Ed25519",
        ),
    ],
)
def test_what_is_no_public_key_is_named_with_its_file(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "key.pub").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_trusted_keys([str(tmp_path / "key.pub")])
    with pytest.raises(ValueError, match="cannot be read"):
        read_trusted_keys([str(tmp_path / "absent.pub")])
