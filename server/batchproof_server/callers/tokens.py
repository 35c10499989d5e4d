"""Bearer tokens, and the lines of the file that knows them."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from batchproof_server.callers.settings import NAME

_PREFIX: Final = "bp"
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_TOKEN: Final = re.compile(r"bp_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_LINE: Final = re.compile(r"(\S+) ([0-9a-f]{12}) sha256:([0-9a-f]{64}) (\S+)")


# Contract: nothing of the secret is kept. It is 256 random bits, which nobody finds by trying, so a
# plain hash is enough: a slow one, as passwords need it, would only cost each request its time.
@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token as the file knows it.

    Attributes:
        name: of the caller who bears it.
        id: names the token; no secret.
        digest: SHA-256 of the whole token, lower-case hexadecimal.
        made: the day.
    """

    name: str
    id: str
    digest: str
    made: str

    def line(self) -> str:
        """As it stands in the file."""
        return f"{self.name} {self.id} sha256:{self.digest} {self.made}"


def new_token(name: str, day: str) -> tuple[str, KnownToken]:
    """A token that is shown once, and what is kept of it.

    Args:
        name: of the caller.
        day: on which it is made, ISO 8601.

    Raises:
        ValueError: the name is none.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name of a caller, expected 1 to 64 letters, digits, dots, hyphens or "
            "underscores"
        )
    token_id = secrets.token_hex(_ID_BYTES)
    token = f"{_PREFIX}_{token_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return token, KnownToken(name, token_id, _digest(token), day)


def read_tokens(text: str) -> tuple[KnownToken, ...]:
    """The lines of a file; empty ones and those that begin with # are nothing.

    Raises:
        ValueError: a line is no token; the text names the number and repeats nothing of it.
    """
    known = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None or not NAME.fullmatch(found[1]):
            raise ValueError(
                f"line {number} is no token, expected NAME ID sha256:DIGEST DAY, as "
                "batchproof-server token add writes it"
            )
        known.append(KnownToken(*found.groups()))
    return tuple(known)


# Contract: how long a look-up takes says nothing of a secret: a token is found by its id, which is
# none, and its digest is compared in constant time, also where there is no such id.
class Tokens:
    """Knows tokens.

    Args:
        known: of the file.
    """

    def __init__(self, known: Iterable[KnownToken] = ()) -> None:
        self._by_id: Mapping[str, KnownToken] = {each.id: each for each in known}

    def name_of(self, token: str) -> str | None:
        """Who bears it; None where it is unknown or no token at all."""
        found = _TOKEN.fullmatch(token)
        known = self._by_id.get(found[1], _NOBODYS) if found is not None else _NOBODYS
        is_same = hmac.compare_digest(_digest(token), known.digest)
        return known.name if is_same and known is not _NOBODYS else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


_NOBODYS: Final = KnownToken("", "", "0" * 64, "")
