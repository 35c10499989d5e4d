"""The program of a device process: loads one version, tells what it is, serves it, and ends.

``python -m batchproof_server.application.device_process SOCKET MEMORY BYTES PICTURES SLOT...``,
with descriptors that the server hands down, and the bytes of the request in the shared memory.
"""

import ctypes
import dataclasses
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

from batchproof_server.application.config import Config, prepare_engines
from batchproof_server.application.plugs import loading_plugs
from batchproof_server.base.clock import MonotonicClock
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.signature import Array
from batchproof_server.base.validation import parse_settings
from batchproof_server.devices.arena import Arena
from batchproof_server.devices.executing import SlotExecutor
from batchproof_server.devices.picture_records import PictureAsked
from batchproof_server.devices.picture_serving import PictureServer
from batchproof_server.devices.records import Tag, pack
from batchproof_server.imaging.decoded import PictureRows, RowsOfPictures
from batchproof_server.models.device_facts import facts_of_loaded
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.recorded import load_warm
from batchproof_server.observing.library_logs import capture_library_logs
from batchproof_server.observing.log_outlet import LogOutlet
from batchproof_server.observing.logs import configure_logs, say_lost
from batchproof_server.observing.traces.settings import TracingSettings
from batchproof_server.proof.settings import Progress
from batchproof_server.tta.expansion import Expansion
from batchproof_server.tta.plan import Plan, unpack_views

DEVICE_COMMAND: Final = (sys.executable, "-P", "-m", "batchproof_server.application.device_process")
_PR_SET_PDEATHSIG: Final = 1
# A sentence of progress is cut so that its record is sent whole.
_MOST_DETAIL_CHARACTERS: Final = 2_000


def device_request(config: Config, place: Place) -> bytes:
    """What a device process is asked to do; read by ``main``."""
    directory = str(place.directory)
    request = {
        "config": dataclasses.asdict(
            # Headers of a collector may hold a secret, and a device process traces nothing.
            dataclasses.replace(config, version_labels={}, tracing=TracingSettings())
        ),
        "place": {"name": place.name, "version": place.version, "directory": directory},
        "front": os.getpid(),
    }
    return json.dumps(request, default=os.fspath).encode()


def main(arguments: Sequence[str]) -> int:
    """Runs until the front hangs up.

    Returns:
        0 at the end of an orderly life; 1 when the version could not be loaded.
    """
    descriptor, memory, request_bytes, pictures, *slots = map(int, arguments)
    channel, arena = socket.socket(fileno=descriptor), Arena(memory)
    for inherited in (descriptor, memory, pictures, *slots):
        os.set_inheritable(inherited, False)  # noqa: FBT003 - it has no name
    request: Any = json.loads(arena.read(request_bytes))
    end_with_front(request["front"], channel)
    config = parse_settings(Config, request["config"])
    place = Place(**{**request["place"], "directory": Path(request["place"]["directory"])})
    prepare_engines()
    with (
        LogOutlet(sys.stderr.fileno(), partial(say_lost, config.log.format)) as lines,
        capture_library_logs(configure_logs(config.log.level, config.log.format, lines)),
    ):
        loaded = _load(config, place, _Reports(channel, arena))
        if loaded is None:
            return 1
        if loaded.expansion is not None:
            row, arenas = loaded.backend.signature.inputs[0], tuple(map(Arena, slots))
            make_rows = partial(_make_rows, loaded.expansion, lru_cache(_KEPT_PLANS)(unpack_views))
            server = PictureServer(arenas, row, make_rows, MonotonicClock())
            decode(server, socket.socket(fileno=pictures), decode_threads(config))
        SlotExecutor(loaded.backend, arena).serve(channel)
    return 0


def decode_threads(config: Config) -> int:
    """How many threads decode in each device process."""
    return -(-config.decoding.threads // config.devices.count)


def decode(server: PictureServer, channel: socket.socket, threads: int) -> None:
    """Decodes the pictures that come over a channel, on so many threads, from now on."""
    for number in range(threads):
        name = f"decode-{number}"
        threading.Thread(target=server.serve, args=(channel,), name=name, daemon=True).start()


def _make_rows(
    expansion: Expansion,
    plan_of: Callable[[bytes], Plan],
    encoded: bytes,
    asked: PictureAsked,
    out: Array | None,
) -> PictureRows:
    plan = plan_of(asked.views)
    expand = None if plan.is_plain else partial(expansion.rows, plan=plan)
    rows = RowsOfPictures(expansion.recipe, expand, plan.plain, asked.is_watched)
    return rows.make(encoded, out=out)


def end_with_front(front: int, channel: socket.socket) -> None:
    """Sees to it that this process does not outlive the front, whatever it is doing.

    The front asks for the end by hanging up; signals that the terminal or the service manager sends
    to the whole group are for the front alone.

    Args:
        front: process id.
        channel: to the front.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != front:  # it was dead before the kernel was asked
        os._exit(1)
    watch = threading.Thread(target=_exit_at_hang_up, args=(channel,), name="watch", daemon=True)
    watch.start()


def _exit_at_hang_up(channel: socket.socket) -> None:
    """Ends the process when the front hung up and what it does does not end by itself."""
    poll = select.poll()
    poll.register(channel, 0)  # hanging up is always told
    poll.poll()
    threading.Event().wait(_END_PATIENCE_S)
    os._exit(1)


_END_PATIENCE_S: Final = 2.0
# Of the policies that requests name and of the views that they bring.
_KEPT_PLANS: Final = 64


@dataclass(frozen=True, slots=True)
class _Reports:
    """What is told to the front while a version is loaded."""

    channel: socket.socket
    arena: Arena

    def tell(self, progress: Progress) -> None:
        """There is progress."""
        short = dataclasses.replace(progress, detail=progress.detail[:_MOST_DETAIL_CHARACTERS])
        self.channel.send(pack(Tag.PROGRESS, 0, json.dumps(dataclasses.asdict(short)).encode()))

    def end(self, tag: Tag, text: bytes) -> None:
        """Loading is over."""
        self.arena.write(text)
        self.channel.send(pack(tag, len(text)))


def _load(config: Config, place: Place, front: _Reports) -> LoadedModel | None:
    """Loads the version and tells of it; None when that failed."""
    try:
        loaded = load_warm(place, loading_plugs(config, front.tell))
        SlotExecutor(loaded.backend, front.arena).check(loaded.batching.buckets_rows)
    except ModelRefused as refused:
        text = {"text": str(refused), "findings": refused.findings}
        front.end(Tag.REFUSED, json.dumps(text).encode())
        return None
    except Exception:  # noqa: BLE001 - whoever asked must hear of whatever it is
        front.end(Tag.BROKE, traceback.format_exc().encode(errors="replace"))
        return None
    front.end(Tag.LOADED, facts_of_loaded(loaded).to_json())
    return loaded


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
