"""Who may ask: callers with the token, and pages of the origins that are allowed."""

import hmac
from http import HTTPStatus
from typing import Final

from batchproof_server.web.rest.exchange import Headers, RestAnswer, RestHead, refusal

ANY: Final = "*"
_VERBS: Final = "GET, HEAD, POST, PUT"
_KEPT_S: Final = "600"


# Contract
#
# A browser says of every page which one asks for it, and that is not this server's own: so whoever
# names an origin that is not allowed is refused, and a page that a person visits can do nothing
# with a port of the person's own machine, also where it reads no answers. Callers that are no
# browsers name none.
class Access:
    """Lets requests in.

    Args:
        token: that each must bring; empty asks for none.
        origins: of pages; ``*`` is every page.
    """

    def __init__(self, token: str, origins: tuple[str, ...]) -> None:
        self._token = token.encode()
        self._origins = origins

    def refuse(self, head: RestHead) -> RestAnswer | None:
        """How a request is refused, or answered for a browser that asks what it may; else None."""
        origin = head.headers.get("origin", "")
        if origin and not self._allows(origin):
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
