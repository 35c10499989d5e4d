"""What may be set about the proof, and what it tells while it goes on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS

Consistency: TypeAlias = Literal["strict", "tolerant"]


@dataclass(frozen=True, slots=True)
class ProofSettings:
    """How much must be proven before a version answers.

    Attributes:
        consistency: ``strict`` serves only buckets whose answers agree bit for bit; ``tolerant``
            serves all buckets and states the greatest difference between them.
        allow_unproven: serve a version that fails its proof; its certificate says "unproven". An
            artefact that is not safe to load is refused all the same.
        allow_probed: serve a version of which the audit left something undecided, so that only the
            probes speak; its certificate says "probed".
        reuse_certificates: skip the probes while a kept certificate holds: nothing has changed that
            they depend on.
        trusted_keys: files with a public key each (Ed25519, PEM); certificates in bundles that one
            of them signed are reused as well.
        certificate_directory: where the certificates that this server makes are kept; when it is
            empty, none is kept.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    consistency: Consistency = "strict"
    allow_unproven: bool = False
    allow_probed: bool = True
    reuse_certificates: bool = True
    certificate_directory: str = ""
    trusted_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the proof of one version stands.

    Attributes:
        step: ``probing``, ``comparing roundings``, or what became of a certificate that was found.
        done: parts of the step that are finished.
        total: parts of the step; 0 where it has none.
        detail: a sentence; may be empty.
    """

    model: str
    version: int
    step: str
    done: int = 0
    total: int = 0
    detail: str = ""


Tell: TypeAlias = Callable[[Progress], None]
"""Called on the loading thread; must be quick and must not raise."""


def silent(progress: Progress) -> None:
    """Tells nobody."""
    del progress
