"""What operators order is kept before they are told that it is done."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeAlias

from batchproof_server.base.errors import OrderNotKept, ServingError
from batchproof_server.rpc.calls import Behaviour, Call
from batchproof_server.rpc.methods import Service

# Writes the orders as they are now; raises OrderNotKept.
Keep: TypeAlias = Callable[[], Awaitable[None]]
ORDERS: Final = frozenset(
    {
        "LoadVersion",
        "UnloadVersion",
        "RollBack",
        "SetLabels",
        "SetShadow",
        "RepositoryModelLoad",
        "RepositoryModelUnload",
        "HandleReloadConfigRequest",
    }
)
"""The methods that change what is wanted, by their names."""


def keeping(services: Iterable[Service], keep: Keep | None) -> tuple[Service, ...]:
    """The same services, which answer an order when it is kept; as they are where nothing keeps."""
    return tuple(services if keep is None else (_keeping(each, keep) for each in services))


def _keeping(service: Service, keep: Keep) -> Service:
    methods = {
        path: replace(method, behaviour=partial(_kept, method.behaviour, keep))
        if path.rpartition("/")[2] in ORDERS
        else method
        for path, method in service.methods.items()
    }
    return replace(service, methods=methods)


async def _kept(behaviour: Behaviour, keep: Keep, message: Any, call: Call) -> Any:
    try:
        answer = await behaviour(message, call)
    except ServingError:
        # An order about whole models that was refused may have done a part of it.
        with suppress(OrderNotKept):  # the next one says so
            await keep()
        raise
    await keep()
    return answer
