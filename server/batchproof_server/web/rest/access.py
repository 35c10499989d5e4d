"""Who may ask: callers with the token, and pages of the origins that are allowed."""

import hmac
import ipaddress
import re
from http import HTTPStatus
from typing import Final

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
class Access:
    """Lets requests in.

    Args:
        token: that each must bring; empty asks for none.
        origins: of pages; ``*`` is every page.
        own_scheme: of the port where it has a page of its own, which may ask; else empty.
    """

    def __init__(self, token: str, origins: tuple[str, ...], own_scheme: str = "") -> None:
        self._token = token.encode()
        self._origins = origins
        self._own_scheme = own_scheme

    def refuse(self, head: RestHead) -> RestAnswer | None:
        """How a request is refused, or answered for a browser that asks what it may; else None."""
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
        """Whether a request names a host that is this server beyond doubt, or was allowed.

        Anybody can make a name that points to this address, and a browser takes the page under that
        name for this server's. Nobody can do so with an address, or with ``localhost``.
        """
        host = head.headers.get("host", "")
        return _is_beyond_doubt(host) or self._allows(f"{self._own_scheme}://{host}")

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


def _is_beyond_doubt(host: str) -> bool:
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found["six"] or found["name"]
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
