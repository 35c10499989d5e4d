"""What is answered under a path: a method of a service, its request read from HTTP."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote

from batchproof_server.base.errors import InvalidInput
from batchproof_server.rpc.contents import NO_CONTENTS, Contents
from batchproof_server.web.rest.exchange import JSON, Headers


@dataclass(frozen=True, slots=True, eq=False)
class RestAsked:
    """A request whose body has been read.

    Attributes:
        words: what the path names, such as ``model`` and ``version``; empty where it does not.
        query: behind the path, in its order.
        headers: by their names in small letters.
        body: after decompression.
    """

    words: Mapping[str, str]
    query: tuple[tuple[str, str], ...]
    headers: Headers
    body: bytes


_AS_JSON: Final[Headers] = MappingProxyType({"content-type": JSON})


class Written(NamedTuple):
    """The body of an answer and the headers that go with it."""

    body: bytes
    headers: Headers = _AS_JSON
    status: HTTPStatus = HTTPStatus.OK


class ReadRequest(NamedTuple):
    """A request for a method.

    Attributes:
        message: what the method takes.
        write: makes the body of what the method answers.
        contents: that the message has tickets for.
    """

    message: Any
    write: Callable[[Any], Written]
    contents: Contents = NO_CONTENTS


# Raises ServingError.
Read: TypeAlias = Callable[[RestAsked], ReadRequest]


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """One path.

    Attributes:
        path: a pattern with a group for each word.
        verbs: of HTTP.
        rpc: the method that answers, ``/package.Service/Method``.
        read: makes its request.
        predicts: whether it is a prediction, which may be refused unread.
        takes_large: whether its body holds a picture though it is no prediction.
        writing_bytes: that writing its answer is worth, beside the answer itself.
    """

    path: re.Pattern[str]
    verbs: tuple[str, ...]
    rpc: str
    read: Read
    predicts: bool = False
    takes_large: bool = False
    writing_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint that a request goes to.

    Attributes:
        words: what the path names.
        query: the part of the target behind the path.
    """

    endpoint: Endpoint
    words: Mapping[str, str] = field(default_factory=dict)
    query: str = ""

    def asked(self, headers: Headers, body: bytes) -> RestAsked:
        """The request with its body.

        Raises:
            InvalidInput: the query has too many parts.
        """
        try:
            query = parse_qsl(self.query, keep_blank_values=True, max_num_fields=_MOST_QUERIES)
        except ValueError as fault:
            raise InvalidInput(f"the query has more than {_MOST_QUERIES} parts") from fault
        return RestAsked(self.words, tuple(query), headers, body)


_MOST_QUERIES = 64
_NAME = r"[^/:]+"
MODEL = rf"/models/(?P<model>{_NAME})"
VERSION = rf"(?:/versions/(?P<version>{_NAME}))?"
LABEL = rf"(?:/versions/(?P<version>{_NAME})|/labels/(?P<label>{_NAME}))?"


def find_route(endpoints: tuple[Endpoint, ...], verb: str, target: str) -> "Route | set[str]":
    """Where a request goes, or the verbs that its path takes; none for an unknown path."""
    path, _, query = target.partition("?")
    verbs: set[str] = set()
    for endpoint in endpoints:
        found = endpoint.path.fullmatch(path)
        if found is None:
            continue
        if verb in endpoint.verbs:
            words = {name: unquote(word or "") for name, word in found.groupdict().items()}
            return Route(endpoint, words, query)
        verbs |= set(endpoint.verbs)
    return verbs
