"""The site in front of REST: its files, and the headers under which a browser shows them."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from batchproof_server.base.files import read_text
from batchproof_server.diagnosis.page import STYLE
from batchproof_server.web.rest.access import OTHER_HOST, Access
from batchproof_server.web.rest.connection import RestWork
from batchproof_server.web.rest.exchange import Headers, RestAnswer, RestHead, refusal
from batchproof_server.web.site.templates import FOLDER, Render

# A report that is read for its text brings its style along, which is this one alone.
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
SITE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; "
    f"style-src 'self' 'sha256-{_STYLE_HASH}'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of every answer of the site: it runs its own script alone, and fetches nothing from elsewhere."""
_HEADERS: Final[Headers] = MappingProxyType(
    {
        "content-security-policy": SITE_POLICY,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
)
_MOST_FILE_BYTES: Final = 1 << 20
_PREFIX: Final = "/site/"
_VERBS: Final = ("GET", "HEAD")


def site_files(render: Render) -> Mapping[str, RestAnswer]:
    """The files of the site by their paths. None of them says anything about the server."""
    static = FOLDER / "static"
    style = STYLE + read_text(static / "site.css", _MOST_FILE_BYTES)
    script = read_text(static / "site.js", _MOST_FILE_BYTES)
    return {
        "/": _file("text/html", render("index.html")),
        f"{_PREFIX}site.css": _file("text/css", style.encode()),
        f"{_PREFIX}site.js": _file("text/javascript", script.encode()),
    }


def _file(kind: str, content: bytes) -> RestAnswer:
    headers = {"content-type": f"{kind}; charset=utf-8", **_HEADERS}
    return RestAnswer(HTTPStatus.OK, content, headers)


# Contract
#
# The files are for everybody who reaches the port, so that a browser can show the field for the
# token; what they ask for then is REST's to judge, and so is everything that is not the site's.
# Whatever the site answers bears the policy. A request for it that names another host than this
# server's is refused: a page of elsewhere whose name was made to point here would see all of it.
class SiteFront:
    """Answers requests for the site, and leaves the others to REST.

    Args:
        rest: answers the others, and those for what is under ``/site/``.
        files: of the site.
        access: knows the names of this server.
    """

    def __init__(self, rest: RestWork, files: Mapping[str, RestAnswer], access: Access) -> None:
        self._rest = rest
        self._files = files
        self._access = access

    def judge(self, head: RestHead) -> RestAnswer | int:
        """How a request is answered without its body, or how many bytes that may have."""
        path = _path(head)
        if not self._is_ours(path):
            return self._rest.judge(head)
        if not self._access.knows_host(head):
            return _dressed(refusal(HTTPStatus.MISDIRECTED_REQUEST, OTHER_HOST))
        if path in self._files:
            return 0 if head.method in _VERBS else _dressed(_wrong_verb(head))
        judged = self._rest.judge(head)
        return judged if isinstance(judged, int) else _dressed(judged)

    async def answer(self, head: RestHead, body: bytes) -> RestAnswer:
        """The answer to a request that was let in."""
        path = _path(head)
        if (file := self._files.get(path)) is not None:
            return file
        answer = await self._rest.answer(head, body)
        return _dressed(answer) if self._is_ours(path) else answer

    def _is_ours(self, path: str) -> bool:
        return path in self._files or path.startswith(_PREFIX)


def _path(head: RestHead) -> str:
    return head.target.partition("?")[0]


def _dressed(answer: RestAnswer) -> RestAnswer:
    return replace(answer, headers={**answer.headers, **_HEADERS})


def _wrong_verb(head: RestHead) -> RestAnswer:
    allowed = ", ".join(_VERBS)
    sentence = f"the method is {head.method[:16]}, expected {allowed}"
    return refusal(HTTPStatus.METHOD_NOT_ALLOWED, sentence, allow=allowed)
