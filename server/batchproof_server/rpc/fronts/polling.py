"""Who reads what callers send: the thread that waits for gRPC's queue, which may be the loop's."""

import os
from collections.abc import MutableMapping
from importlib.metadata import version
from typing import Final

_WISHES: Final = "GRPC_EXPERIMENTS"
_READS_ITSELF: Final = "-event_engine_listener"
# From this release on nothing is known: a wish that the core does not know is told on every start.
_UNKNOWN_FROM: Final = (1, 86)


def read_on_the_queue(environ: MutableMapping[str, str] = os.environ) -> None:
    """Has gRPC's core read connections on the thread that waits; to be called before its import.

    By default threads of the core's own read, and wake the one that waits: two hand-overs more for
    each message. Whoever set ``GRPC_EXPERIMENTS`` decides otherwise.
    """
    release = tuple(int(part) for part in version("grpcio").split(".")[:2])
    if release < _UNKNOWN_FROM:
        environ.setdefault(_WISHES, _READS_ITSELF)
