"""The operations pages: metrics, and whether the server is alive and ready."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

METHODS = ("GET", "HEAD")
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Pages:
    """What the pages say. Every function is called on a thread of the HTTP port; one at a time.

    Attributes:
        exposition: from the ``Accept`` header to the text of the metrics and its content type.
        is_alive: whether the event loop turns; must not wait for it.
        is_ready: whether requests are answered now.
    """

    exposition: Callable[[str], tuple[bytes, str]]
    is_alive: Callable[[], bool]
    is_ready: Callable[[], bool]

    def takes_time(self, target: str) -> bool:
        """Whether a page is more than a sentence."""
        return target.partition("?")[0] == "/metrics"

    def answer(self, method: str, target: str, accept: str) -> "HttpResponse":
        """Answers one request: 404 for another path, 405 for another method."""
        pages = {"/metrics": self._metrics, "/livez": self._livez, "/readyz": self._readyz}
        page = pages.get(target.partition("?")[0])
        if page is None:
            return sentence(HTTPStatus.NOT_FOUND, "not found, expected one of " + ", ".join(pages))
        if method not in METHODS:
            return sentence(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed, expected GET")
        return page(accept)

    def _metrics(self, accept: str) -> "HttpResponse":
        body, content_type = self.exposition(accept)
        return HttpResponse(HTTPStatus.OK, body, content_type)

    def _livez(self, _accept: str) -> "HttpResponse":
        if self.is_alive():
            return sentence(HTTPStatus.OK, "alive")
        return sentence(HTTPStatus.SERVICE_UNAVAILABLE, "not alive: the event loop does not turn")

    def _readyz(self, _accept: str) -> "HttpResponse":
        if self.is_ready():
            return sentence(HTTPStatus.OK, "ready")
        return sentence(HTTPStatus.SERVICE_UNAVAILABLE, "not ready: requests are not answered now")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Status, body and the body's content type."""

    status: HTTPStatus
    body: bytes
    content_type: str


def sentence(status: HTTPStatus, text: str) -> HttpResponse:
    """A response of one line of text."""
    return HttpResponse(status, f"{text}\n".encode(), _TEXT)
