"""What a server needs so that everything is on at once, for soak.py."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import psutil

SHADOW: Final = 3
LABEL: Final = "stable"
SHARED: Final = {1: 5, 2: 95}
"""The versions that share the label, which are copies of each other, as the shadow is one."""
CALLERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "shop": {"methods": ["predict", "read"]},
    "door": {"priority": "critical"},
    "nightly": {"priority": "best_effort"},
    "operator": {"methods": ["manage", "read"]},
}
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Setting:
    """A running server with everything on.

    Attributes:
        where: its addresses, by the names of its ports.
        process: of the server.
        bearing: the metadata of each caller's calls.
        model: its name.
    """

    where: Mapping[str, str]
    process: psutil.Process
    bearing: Mapping[str, Metadata]
    model: str


@contextmanager
def everything_on(bundle: Path, folder: Path, log: Path) -> Iterator[Setting]:
    """Serves three copies of a bundle: two share a label, one is the shadow of the others."""
    model = bundle.resolve().parent.name
    for version in (*SHARED, SHADOW):
        shutil.copytree(bundle, folder / "models" / model / str(version))
    bearing = {name: _bearing(folder / "tokens", name) for name in CALLERS}
    with ExitStack() as running:
        settings = _settings(model, folder, running.enter_context(_collecting()))
        token = bearing["shop"][0][1].partition(" ")[2]
        started = serving(
            folder / "models", settings, log, os.environ | {"BATCHPROOF_TOKEN": token}
        )
        where, process = running.enter_context(started)
        yield Setting(where, psutil.Process(process.pid), bearing, model)


def _settings(model: str, folder: Path, collector: str) -> dict[str, str]:
    weights = ", ".join(f"{version} = {weight}" for version, weight in SHARED.items())
    callers = {name: " ".join(_toml(each)) for name, each in CALLERS.items()}
    return {
        "VERSION_LABELS": f"{{ {json.dumps(model)} = {{ {LABEL} = {{ {weights} }} }} }}",
        "SHADOW": f"{{ versions = {{ {json.dumps(model)} = {SHADOW} }}, share = 0.2 }}",
        "DEVICES__KIND": '"process"',
        "PROOF__CERTIFICATE_DIRECTORY": json.dumps(str(folder / "certificates")),
        "ACCESS__TOKENS_FILE": json.dumps(str(folder / "tokens")),
        **{f"ACCESS__CALLERS__{name.upper()}": text for name, text in callers.items()},
        "CAPTURE": f"{{ directory = {json.dumps(str(folder / 'captured'))}, random_share = 0.01 }}",
        "TRACING": f'{{ endpoint = "{collector}", share = 0.02 }}',
        "DIAGNOSIS__TIME_LIMIT_S": "240.0",
        "WEB": "{ enabled = true, port = 0 }",
        "MANAGEMENT": "{ enabled = true, port = 0, "
        f"state_file = {json.dumps(str(folder / 'orders.json'))} }}",
        "SERVER__GRPC_PORT": "0",
        "SERVER__HTTP_PORT": "0",
        "LOG__LEVEL": '"warning"',
    }


def _toml(caller: Mapping[str, Any]) -> Iterator[str]:
    yield "{"
    yield ", ".join(f"{key} = {json.dumps(value)}" for key, value in caller.items())
    yield "}"


def _bearing(tokens: Path, name: str) -> Metadata:
    command = [sys.executable, "-m", "batchproof_server", "token", "add", str(tokens), name]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    return (("authorization", f"Bearer {made.stdout.strip()}"),)


@contextmanager
def serving(
    models: Path, settings: Mapping[str, str], log: Path, asking: Mapping[str, str]
) -> Iterator[tuple[Mapping[str, str], "subprocess.Popen[str]"]]:
    """Addresses and process of a server that answers.

    Args:
        models: the repository.
        settings: by their names in the environment, without the prefix.
        log: gets its lines.
        asking: the environment of whoever asks whether it answers.
    """
    named = {f"BATCHPROOF_{name}": value for name, value in settings.items()}
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "batchproof_server", "serve", str(models)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | named | {"TF_CPP_MIN_LOG_LEVEL": "2"},
        ) as process,
    ):
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"the server did not start:\n{log.read_text()}")
            where = json.loads(line)
            wait = [sys.executable, "-m", "batchproof_client", "status", "--wait", "300"]
            command = [*wait, "--server", where["grpc"]]
            subprocess.run(command, check=True, capture_output=True, env=asking)
            yield where, process
            process.terminate()
            process.wait()
        finally:
            process.kill()


@contextmanager
def _collecting() -> Iterator[str]:
    """A collector of traces that takes whatever comes."""
    server = grpc.server(ThreadPoolExecutor(2), options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((_TakesAll(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(0)


class _TakesAll(grpc.GenericRpcHandler):
    def service(self, handler_call_details: Any) -> Any:
        """Answers each call with an empty message."""
        del handler_call_details
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")


def counted(page: str, names: Sequence[str], label: str) -> dict[str, dict[str, int]]:
    """Of each family of a page of metrics its samples above 0, by the values of a label."""
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    for line in page.splitlines():
        head, _, value = line.rpartition(" ")
        name, _, labels = head.partition("{")
        if name in found and float(value):
            pairs = dict(each.split("=", 1) for each in labels.rstrip("}").split(",") if each)
            key = pairs.get(label, "").strip('"')
            found[name][key] = found[name].get(key, 0) + int(float(value))
    return found
