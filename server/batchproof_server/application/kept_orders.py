"""What operators ordered before this start, and what keeps what they order from now on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from batchproof_server.application.config import Config
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.models.discovery import Place
from batchproof_server.models.keeper import Keeper
from batchproof_server.models.kept_orders import KeptOrders, Restored, restore
from batchproof_server.models.looking import Sources
from batchproof_server.models.order_book import OrderBook, orders_of, read_book
from batchproof_server.models.planning import first_places
from batchproof_server.rpc.management.keeping import Keep


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is wanted at the start.

    Attributes:
        file: keeps orders; None where they end with the server.
        before: that it holds.
        restored: these orders and the configuration together.
        configured_shadows: what the configuration says of shadows, by model.
    """

    file: Path | None
    before: KeptOrders
    restored: Restored
    configured_shadows: Mapping[str, int]

    def configured(self, config: Config) -> Config:
        """The configuration with the labels and shadows that hold now."""
        shadow = replace(config.shadow, versions=self.restored.shadows)
        return replace(config, version_labels=self.restored.labels, shadow=shadow)

    def places(self, places: tuple[Place, ...], sources: Sources) -> tuple[Place, ...]:
        """The versions that are known first, of those that were found; the keeper loads them.

        It knows what is not to be loaded. Labels and shadows may stand for that all the same.
        """
        wanted = self.restored
        return first_places(places, sources.settings, wanted.labels, wanted.shadows)

    def keep_with(self, keeper: Keeper) -> Keep | None:
        """Gives a keeper the orders; what writes those from now on, None where nothing does."""
        for name, said in self.restored.said.items():
            keeper.said[name].update(said)
        keeper.stopped |= self.restored.stopped
        if self.file is None:
            return None
        return OrderBook(
            self.file, self.before, partial(orders_of, keeper, self.configured_shadows)
        ).keep


def read_beginning(config: Config, sources: Sources, places: tuple[Place, ...]) -> Beginning:
    """Reads what was ordered.

    Args:
        config: of the server.
        sources: what the configuration says of the repository, labels included.
        places: of the versions that were found.

    Raises:
        InvalidSettings: the file cannot be read, or holds something else.
    """
    named, shadows = config.management.state_file, config.shadow.versions
    file, before = Path(named) if named else None, KeptOrders()
    if file is not None:
        try:
            before = read_book(file)
        except ValueError as fault:
            raise InvalidSettings((f"management.state_file: {fault}",)) from fault
    found = {(place.name, place.version) for place in places}
    return Beginning(file, before, restore(before, sources.labels, shadows, found), shadows)
