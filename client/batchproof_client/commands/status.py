"""``batchproof status``: whether the server and its models are serving."""

import asyncio
import sys
from dataclasses import dataclass
from typing import Final

from batchproof_client.client import AsyncClient
from batchproof_client.commands.arguments import StatusArguments
from batchproof_client.commands.terminal import write_json, write_table
from batchproof_client.errors import BatchproofError, DeadlineExceeded, ModelNotFound, Unavailable
from batchproof_client.kinds import Health

_FIRST_POLL_S: Final = 0.05
_LAST_POLL_S: Final = 1.0
# A question while waiting: short, so that a server that comes up late is met soon.
_POLL_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Status:
    """The health of the server and of each of its models, by name."""

    server: Health
    models: dict[str, Health]


async def status(client: AsyncClient, arguments: StatusArguments) -> int:
    """Returns 0 when the server is SERVING, 1 when not.

    Raises:
        BatchproofError: the server could not be asked, not even once in the time to wait.
    """
    if arguments.wait_s:
        await _wait(client, arguments.wait_s)
    found = await _ask(client)
    if arguments.server.json:
        models = {name: health.name for name, health in found.models.items()}
        write_json({"server": found.server.name, "models": models})
    else:
        rows = [(f"model {name}", health.name) for name, health in found.models.items()]
        write_table(("of", "status"), [("server", found.server.name), *rows])
    return 0 if found.server is Health.SERVING else 1


async def _wait(client: AsyncClient, wait_s: float) -> None:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + wait_s
    poll_s = _FIRST_POLL_S
    dots = 0
    while not await _serves(client, min(_POLL_TIMEOUT_S, wait_s)):
        if loop.time() + poll_s >= deadline_s:
            break
        _write_dot(".")
        dots += 1
        await asyncio.sleep(poll_s)
        poll_s = min(_LAST_POLL_S, poll_s * 2)
    if dots:
        _write_dot("\n")


def _write_dot(dot: str) -> None:
    sys.stderr.write(dot)
    sys.stderr.flush()


async def _serves(client: AsyncClient, timeout_s: float) -> bool:
    try:
        return await client.health(timeout_s=timeout_s) is Health.SERVING
    except (Unavailable, DeadlineExceeded):
        return False


async def _ask(client: AsyncClient) -> Status:
    server = await client.health()
    try:
        names = sorted({summary.name for summary in await client.list_models()})
    except BatchproofError:
        if server is Health.SERVING:
            raise
        names = []  # a server that is not serving owes no list
    return Status(server, {name: await _model_health(client, name) for name in names})


async def _model_health(client: AsyncClient, name: str) -> Health:
    try:
        return await client.health(name)
    except ModelNotFound:
        return Health.UNKNOWN
