"""Who may ask: callers with the token, pages of the origins that are allowed, known names."""

import hmac
import ipaddress
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from batchproof_server.web.rest.exchange import Headers, RestAnswer, RestHead, refusal

ANY: Final = "*"
_VERBS: Final = "GET, HEAD, POST, PUT"
_KEPT_S: Final = "600"


# Contract
#
# A browser says of every page which one asks for it: so whoever names an origin that is not allowed
# is refused, and a page that a person visits can do nothing with a port of the person's machine,
# also where it reads no answers. The port's own page may ask, where there is one. Callers that are
# no browsers name none.
# A page may also come under a name that was made to point to this address (DNS rebinding): its
# browser takes it for the port's own and names no origin when it reads. So where nobody is asked
# who they are, no request may name another host than an address, localhost, or a name that was
# configured. What names none comes from no browser.
class Access:
    """Lets requests in.

    Args:
        token: that each must bring; empty asks for none.
        origins: of pages; ``*`` is every page.
        own_scheme: of the port where it has a page of its own, which may ask; else empty.
        hosts: names of this server, beside those of the origins.
        asks_callers: whether callers are asked who they are, here or further on.
    """

    def __init__(
        self,
        token: str,
        origins: tuple[str, ...],
        own_scheme: str = "",
        *,
        hosts: tuple[str, ...] = (),
        asks_callers: bool = True,
    ) -> None:
        self._token = token.encode()
        self._origins = origins
        self._own_scheme = own_scheme
        self._names = frozenset(each.lower() for each in (*hosts, *_names_of(origins)))
        self._asks_callers = asks_callers

    def refuse(self, head: RestHead) -> RestAnswer | None:
        """How a request is refused, or answered for a browser that asks what it may; else None."""
        names_other = "host" in head.headers and not self.knows_host(head)
        if names_other and not self._asks_callers:
            return refusal(HTTPStatus.MISDIRECTED_REQUEST, OTHER_HOST)
        origin = head.headers.get("origin", "")
        if origin and not (self._allows(origin) or self._is_own(origin, head)):
            sentence = "pages of this origin may not ask here (web.allow_origins)"
            return refusal(HTTPStatus.FORBIDDEN, sentence)
        if origin and head.method == "OPTIONS":
            return RestAnswer(HTTPStatus.NO_CONTENT, b"", self._preflight(head))
        if self._token and not self._brings_token(head):
            sentence = "the request brings no valid token, expected Authorization: Bearer TOKEN"
            return refusal(HTTPStatus.UNAUTHORIZED, sentence, www_authenticate="Bearer")
        return None

    def shown_to(self, head: RestHead) -> Headers:
        """The headers with which a browser lets its page read an answer."""
        origin = head.headers.get("origin", "")
        if not origin or not self._allows(origin):
            return {}
        return {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": "*",
            "vary": "Origin",
        }

    def knows_host(self, head: RestHead) -> bool:
        """Whether a request names a host that is this server beyond doubt, or was configured.

        Anybody can make a name that points to this address, and a browser takes the page under that
        name for this server's. Nobody can do so with an address, or with ``localhost``.
        """
        host = head.headers.get("host", "")
        return ANY in self._origins or _is_beyond_doubt(host) or _name_of(host) in self._names

    def _is_own(self, origin: str, head: RestHead) -> bool:
        """Whether a page asks that came from this port."""
        host = head.headers.get("host", "")
        is_here = bool(self._own_scheme) and origin == f"{self._own_scheme}://{host}"
        return is_here and _is_beyond_doubt(host)

    def _allows(self, origin: str) -> bool:
        return ANY in self._origins or origin in self._origins

    def _brings_token(self, head: RestHead) -> bool:
        scheme, _, word = head.headers.get("authorization", "").partition(" ")
        brought = word.strip().encode("latin-1", "replace")
        return scheme.lower() == "bearer" and hmac.compare_digest(brought, self._token)

    def _preflight(self, head: RestHead) -> Headers:
        wanted = head.headers.get("access-control-request-headers", "")
        return {
            "access-control-allow-methods": _VERBS,
            "access-control-allow-headers": wanted,
            "access-control-max-age": _KEPT_S,
        }


_HOST: Final = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.-]+))(?::[0-9]{1,5})?"
)


def _name_of(host: str) -> str | None:
    """The host without its port, in small letters; None where it is none."""
    found = _HOST.fullmatch(host)
    return None if found is None else (found["six"] or found["name"]).lower()


def _names_of(origins: Iterable[str]) -> list[str]:
    return [name for each in origins if (name := _name_of(urlsplit(each).netloc))]


def _is_beyond_doubt(host: str) -> bool:
    name = _name_of(host)
    if name is None:
        return False
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


OTHER_HOST: Final = (
    "the request names a host that is not known to be this server; ask under its IP address or as "
    "localhost, or add the name to web.allow_hosts"
)
"""Why a request is refused that came under a name which anybody can make."""
