"""``batchproof-server ctl``: what an operator asks of a running server."""

import json
import math
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import grpc

from batchproof.text import joined
from batchproof.v1 import management_pb2 as pb
from batchproof.v1 import management_pb2_grpc as pb_grpc
from batchproof_server.base.files import read_start
from batchproof_server.commands.ctl.labels import read_labels, shown_labels, write_labels
from batchproof_server.commands.tables import table
from batchproof_server.commands.terminal import write, write_error

FAILED: Final = 1
USAGE: Final = 2


def ctl(arguments: Namespace) -> int:
    """Runs the command.

    Returns:
        0 when the server did it, 1 when it refused or was not reached, 2 for wrong usage.
    """
    try:
        request = _REQUESTS[arguments.order](arguments)
        _check_timeout(arguments.timeout_s)
        channel, metadata = _channel(arguments), _metadata(arguments)
    except (ValueError, OSError) as fault:
        write_error(str(fault))
        return USAGE
    with channel:
        stub: Any = pb_grpc.ManagementServiceStub(channel)
        method = getattr(stub, _METHODS[arguments.order])
        try:
            answer = method(request, timeout=arguments.timeout_s, metadata=metadata)
        except grpc.RpcError as failure:
            write_error(_sentence(failure, arguments.server))
            return FAILED
    return _show(arguments, answer)


_METHODS: Final = {
    "list": "ListVersions",
    "load": "LoadVersion",
    "unload": "UnloadVersion",
    "rollback": "RollBack",
    "reload": "Reload",
    "label": "SetLabels",
    "shadow": "SetShadow",
    "compare": "CompareVersions",
    "log-level": "SetLogLevel",
    "drain": "Drain",
}
_REQUESTS: Final[Mapping[str, Callable[[Namespace], Any]]] = {
    "list": lambda given: pb.ListVersionsRequest(model=given.model),
    "load": lambda given: pb.LoadVersionRequest(model=given.model, version=_number(given.version)),
    "unload": lambda given: pb.UnloadVersionRequest(
        model=given.model, version=_number(given.version)
    ),
    "rollback": lambda given: pb.RollBackRequest(model=given.model),
    "reload": lambda _given: pb.ReloadRequest(),
    "label": lambda given: read_labels(given.model, given.labels),
    "shadow": lambda given: pb.SetShadowRequest(model=given.model, version=_number(given.version)),
    "compare": lambda given: pb.CompareVersionsRequest(
        model=given.model, tolerance=given.tolerance
    ),
    "log-level": lambda given: pb.SetLogLevelRequest(level=given.level),
    "drain": lambda _given: pb.DrainRequest(),
}


def _number(version: int | None) -> int | None:
    if version is not None and not 1 <= version < _MAX_VERSION:
        raise ValueError(f"the version is {version}, expected 1 or more")
    return version


_MAX_VERSION: Final = 1 << 63


def _check_timeout(timeout_s: float) -> None:
    if not (math.isfinite(timeout_s) and timeout_s > 0):
        raise ValueError(f"--timeout-s is {timeout_s:g}, expected seconds above 0")


def _metadata(arguments: Namespace) -> tuple[tuple[str, str], ...]:
    if arguments.token_file is None:
        return ()
    token = _content(arguments.token_file) or b""
    return (("authorization", f"Bearer {token.decode('ascii', 'replace').strip()}"),)


def _channel(arguments: Namespace) -> grpc.Channel:
    if arguments.ca is None:
        if arguments.certificate or arguments.key:
            raise ValueError("--certificate and --key need --ca, which speaks TLS")
        return grpc.insecure_channel(arguments.server)
    credentials = grpc.ssl_channel_credentials(
        _content(arguments.ca), _content(arguments.key), _content(arguments.certificate)
    )
    return grpc.secure_channel(arguments.server, credentials)


_MAX_PEM_BYTES: Final = 1 << 20


def _content(file: Path | None) -> bytes | None:
    return None if file is None else read_start(file, _MAX_PEM_BYTES)


def _sentence(failure: Any, server: str) -> str:
    code, details = failure.code(), failure.details()
    if code is grpc.StatusCode.UNAVAILABLE and "connect" in details:
        return (
            f"nobody answers on {server}; does the server run with --management-port, and is this "
            "the address in the first line that it writes?"
        )
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"{server} is no management port; it is in the first line that the server writes"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{server} has not answered in time; it may still be at it: see `ctl list`"
    return str(details)


def _show(arguments: Namespace, answer: Any) -> int:
    match arguments.order:
        case "list" if arguments.json:
            write(json.dumps([_plain(entry) for entry in answer.versions], indent=2))
        case "list" | "load" | "unload":
            write(_versions(answer.versions))
        case "reload":
            if answer.failure:
                write_error(answer.failure)
                return FAILED
            write(_versions(answer.versions))
        case "rollback":
            write(f"version {answer.version} answers, version {answer.unloaded} is unloaded")
        case "label":
            write(write_labels(answer))
        case "compare" if arguments.json:
            write(json.dumps([_plain(each) for each in answer.comparisons], indent=2))
        case "compare":
            write(_comparisons(answer.comparisons))
        case _:
            pass
    sys.stdout.flush()
    return 0


def _plain(entry: pb.VersionEntry | pb.VersionComparison | pb.SignalDrift) -> dict[str, Any]:
    return {
        field.name: _plain_value(getattr(entry, field.name), is_repeated=field.is_repeated)
        for field in entry.DESCRIPTOR.fields
    }


def _plain_value(value: Any, *, is_repeated: bool) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if not is_repeated:
        return value
    return [_plain(each) if isinstance(each, pb.SignalDrift) else each for each in value]


def _comparisons(comparisons: Iterable[pb.VersionComparison]) -> str:
    lines: list[str] = []
    for each in comparisons:
        basis = "by ground truth" if each.by_ground_truth else "as a shadow"
        lines.append(f"version {each.judged} beside {each.version}, {basis}: {each.judgement}")
        lines += [f"  counted since {each.counted_since}"] if each.counted_since else []
        lines += [f"  {sentence}" for sentence in each.sentences]
        skipped = ", ".join(f"{count} {reason}" for reason, count in sorted(each.skipped.items()))
        lines += [f"  rows that were not compared: {skipped}"] if skipped else []
    nothing = "nothing to compare: no shadow executed a row, no ground truth of two versions"
    return joined(lines or [nothing])


def _versions(entries: Iterable[pb.VersionEntry]) -> str:
    rows = [("model", "version", "state", "labels", "notes")]
    rows += [
        (
            entry.model,
            str(entry.version),
            entry.state or "not loaded",
            shown_labels(entry),
            "; ".join(_notes(entry)),
        )
        for entry in entries
    ]
    return "\n".join(table(rows, left=len(rows[0])))


def _notes(entry: pb.VersionEntry) -> Iterable[str]:
    if entry.is_default:
        yield "default"
    if entry.is_shadow:
        yield "shadow"
    if entry.step:
        yield entry.step
    if not entry.is_found:
        yield "gone from the repository"
    if entry.is_partial:
        yield "still being copied"
    if entry.is_changed:
        yield "its files have changed since it was loaded"
    if entry.is_refused:
        yield "unloaded by an operator"
    yield from entry.findings
