"""Who may call, put together of the configuration."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batchproof_server.base.clock import Clock
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.callers.grants import Grants
from batchproof_server.callers.settings import AccessSettings
from batchproof_server.callers.token_file import TokenFile
from batchproof_server.rpc.access import Guard, guarded, metered
from batchproof_server.rpc.calls import Calls
from batchproof_server.rpc.fronts.front import Routes
from batchproof_server.rpc.methods import Service


@dataclass(frozen=True, slots=True)
class Entrance:
    """Guards the ports where callers are configured; else lets everybody in, at no cost.

    Attributes:
        grants: shared by all ports, so that a caller has its quotas once; None lets everybody in.
        clock: of quotas.
    """

    grants: Grants | None
    clock: Clock

    def metered(self, services: tuple[Service, ...]) -> tuple[Service, ...]:
        """The services of a port, which charge their callers."""
        return services if self.grants is None else metered(services, self.clock)

    def guard(self, calls: Calls, services: tuple[Service, ...], records: str = "") -> Guard | None:
        """What looks at the calls of a port; None where nobody does.

        Args:
            calls: refuses.
            services: of the port.
            records: before the names of their methods in records.
        """
        if self.grants is None:
            return None
        methods = [each for service in services for each in service.methods.items()]
        names = {path: f"{records}{method.name}" for path, method in methods}
        return Guard(self.grants, calls, self.clock, names)

    def guarded(self, routes: Routes, calls: Calls, services: tuple[Service, ...]) -> Routes:
        """The routes of a port for those who may take them."""
        guard = self.guard(calls, services)
        return routes if guard is None else guarded(routes, guard)


def make_entrance(
    settings: AccessSettings, clock: Clock, report: Callable[[Exception], None]
) -> Entrance:
    """Reads who is known.

    Args:
        settings: who may do what.
        clock: of quotas, and of the looks at the file.
        report: told when the file cannot be read later.

    Raises:
        InvalidSettings: the file of the tokens cannot be read.
    """
    if not settings.is_on:
        return Entrance(None, clock)
    tokens = None
    if settings.tokens_file:
        try:
            tokens = TokenFile(Path(settings.tokens_file), clock, report)
        except ValueError as fault:
            raise InvalidSettings((f"access.tokens_file: {fault}",)) from fault
    return Entrance(Grants(settings.callers, tokens), clock)
