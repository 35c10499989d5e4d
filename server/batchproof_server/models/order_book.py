"""The file that keeps what operators ordered."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from batchproof_server.base.errors import OrderNotKept
from batchproof_server.base.files import read_text, reason_of, write_whole
from batchproof_server.models.keeper import Keeper
from batchproof_server.models.kept_orders import (
    MAX_ORDERS_BYTES,
    KeptOrders,
    ModelOrders,
    MovedLabel,
    MovedShadow,
    orders_text,
    read_orders,
)
from batchproof_server.models.off_loop import off_loop


def read_book(file: Path) -> KeptOrders:
    """The orders of a file; none where there is no file.

    Raises:
        ValueError: it cannot be read, or holds something else.
    """
    try:
        return read_orders(read_text(file, MAX_ORDERS_BYTES))
    except FileNotFoundError:
        if not file.parent.is_dir():
            raise ValueError(f"{file}: its folder does not exist") from None
        return KeptOrders()
    except OSError as fault:
        raise ValueError(f"{file}: {reason_of(fault)}") from fault
    except ValueError as fault:
        faults = "; ".join(str(fault).splitlines())
        raise ValueError(
            f"{file}: {faults}; move it away to start by the configuration alone"
        ) from fault


# Contract: on the loop thread. What is on the disk when ``keep`` returns is what was so when it was
# called, or later; a process that is killed leaves the file as it was before or as it is after.
class OrderBook:
    """Writes orders over those before when they have changed.

    Args:
        file: that keeps them.
        before: what it holds.
        orders: as they are now.
    """

    def __init__(self, file: Path, before: KeptOrders, orders: Callable[[], KeptOrders]) -> None:
        self._file = file
        self._written = before
        self._orders = orders
        self._turn = asyncio.Lock()

    async def keep(self) -> None:
        """Returns when the orders are on the disk.

        Raises:
            OrderNotKept: they cannot be written.
        """
        async with self._turn:
            now = self._orders()
            if now == self._written:
                return
            try:
                await off_loop(partial(write_whole, self._file, orders_text(now), 0o600))
            except OSError as fault:
                raise OrderNotKept(
                    "the order was carried out and will be forgotten at the next start: "
                    f"management.state_file cannot be written: {reason_of(fault)}"
                ) from fault
            self._written = now


def orders_of(keeper: Keeper, configured_shadows: Mapping[str, int]) -> KeptOrders:
    """What differs, by orders, from what the configuration says.

    Args:
        keeper: of the versions.
        configured_shadows: by model.
    """
    names = {*(name for name, _ in keeper.seen), *keeper.said, *keeper.stopped}
    models = {name: _orders_of(keeper, name, configured_shadows.get(name)) for name in names}
    nothing = ModelOrders()
    return KeptOrders(models={name: each for name, each in models.items() if each != nothing})


def _orders_of(keeper: Keeper, name: str, configured_shadow: int | None) -> ModelOrders:
    said, shadow = keeper.said.get(name, {}), keeper.versions.shadows.of(name)
    return ModelOrders(
        loaded=tuple(sorted(version for version, wanted in said.items() if wanted)),
        unloaded=tuple(sorted(version for version, wanted in said.items() if not wanted)),
        stopped=name in keeper.stopped,
        labels=_moved_labels(keeper, name),
        shadow=None if shadow == configured_shadow else MovedShadow(shadow, configured_shadow),
    )


def _moved_labels(keeper: Keeper, name: str) -> dict[str, MovedLabel]:
    """Those that an operator moved; what the configuration is yet to move is none of them."""
    now, configured = keeper.versions.labels.of(name), keeper.sources.labels.get(name, {})
    coming = keeper.coming_labels.names(name)
    return {
        label: MovedLabel(now.get(label), configured.get(label))
        for label in sorted({*now, *configured} - coming)
        if now.get(label) != configured.get(label)
    }
