"""What may be set about captured requests."""

import math
import re
from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """Which answered rows are kept, where, and how many.

    Attributes:
        directory: where they are kept: a folder, or a prefix of an object store such as
            ``s3://bucket/prefix``; empty keeps none.
        store_timeout_s: for one operation of an object store.
        random_share: of the rows that are kept whatever they are, 0 to 1.
        low_confidence: rows whose confidence is below it are suspicious; 0: none is.
        far_deviations: rows of which a signal is so many standard deviations of the reference
            profile from its mean are suspicious; 0: none is.
        max_per_minute: of each of both samples.
        max_count: rows that are kept; the oldest go.
        max_bytes: of all files together.
        max_age_s: then a row goes.
        max_queued_bytes: of pictures and tensors that wait to be looked at and written; more are
            dropped.
        redact: ``module:function`` that is shown each row before it is written; empty for none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    directory: str = ""
    random_share: float = 0.001
    low_confidence: float = 0.5
    far_deviations: float = 6.0
    max_per_minute: int = 60
    max_count: int = 10_000
    max_bytes: int = 1_000_000_000
    max_age_s: float = 2_592_000.0
    max_queued_bytes: int = 64_000_000
    redact: str = ""
    store_timeout_s: float = 30.0

    @property
    def is_object_store(self) -> bool:
        """Whether the directory is one of an object store."""
        return "://" in self.directory

    def __post_init__(self) -> None:
        for name in ("random_share", "low_confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 to 1")
        if not 0 <= self.far_deviations < math.inf:
            raise ValueError(f"far_deviations is {self.far_deviations}, expected 0 or more")
        for name in ("max_per_minute", "max_count", "max_bytes", "max_queued_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        for name in ("max_age_s", "store_timeout_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a positive number")
        if self.is_object_store:
            _check_url(self.directory)
        if self.redact and not _HOOK.fullmatch(self.redact):
            raise ValueError(
                f"redact is {self.redact!r}, expected such as mypackage.privacy:redact"
            )


def _check_url(url: str) -> None:
    """Refuses what may hold a secret, without a word of it, and what is no prefix.

    Raises:
        ValueError: it is not of the form.
    """
    scheme, _, rest = url.partition("://")
    account = rest.partition("/")[0].rpartition("@")[0]
    if ":" in account or "?" in rest or "#" in rest:
        raise ValueError(
            "directory has a password, a question mark or a # in its URL, expected such as "
            "s3://bucket/prefix, and credentials where the store's own tools look for them"
        )
    if not _SCHEME.fullmatch(scheme) or "::" in rest or not rest.strip("/"):
        raise ValueError("directory is a URL of another form, expected such as s3://bucket/prefix")
    if scheme in ("file", "local"):
        raise ValueError(f"directory begins with {scheme}://, expected the path alone")


_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_HOOK: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
