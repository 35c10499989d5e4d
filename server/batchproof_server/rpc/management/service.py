"""``batchproof.v1.ManagementService``: what operators ask for."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, cast, get_args

from batchproof.v1 import management_pb2 as pb
from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.models.keeper import Keeper
from batchproof_server.models.orders import Orders
from batchproof_server.models.overview import VersionOverview, overview
from batchproof_server.models.weighted_versions import (
    Target,
    WeightedVersions,
    target_of,
    weights_of,
)
from batchproof_server.observing.logs import LogLevel
from batchproof_server.rpc.calls import Call
from batchproof_server.rpc.management.comparisons import write_comparison
from batchproof_server.rpc.methods import MethodSpec, Service, service_of
from batchproof_server.shadowing.orders import ShadowOrders

Entries: TypeAlias = Iterable[pb.VersionEntry]
_LEVELS: Final = get_args(LogLevel)


@dataclass(frozen=True, slots=True)
class ManagementService:
    """Hands over what operators ask for.

    Attributes:
        keeper: of the versions.
        orders: about versions.
        shadow_orders: about shadows.
        reload: reads the sources again; returns why they cannot be read.
        set_log_level: of the server's own lines.
        end: begins to end the server.
    """

    keeper: Keeper
    orders: Orders
    shadow_orders: ShadowOrders
    reload: Callable[[], Awaitable[str]]
    set_log_level: Callable[[LogLevel], None]
    end: Callable[[], None]

    def published(self) -> Service:
        """The service under its public name."""
        specs = {
            "ListVersions": MethodSpec(self._list),
            "LoadVersion": MethodSpec(self._load),
            "UnloadVersion": MethodSpec(self._unload),
            "RollBack": MethodSpec(self._roll_back),
            "Reload": MethodSpec(self._reload),
            "SetLabels": MethodSpec(self._set_labels),
            "SetShadow": MethodSpec(self._set_shadow),
            "CompareVersions": MethodSpec(self._compare),
            "SetLogLevel": MethodSpec(self._set_log_level),
            "Drain": MethodSpec(self._drain),
        }
        service = pb.DESCRIPTOR.services_by_name["ManagementService"]
        return service_of(service, specs, "management.")

    async def _list(self, request: pb.ListVersionsRequest, call: Call) -> pb.ListVersionsResponse:
        del call
        if request.model:
            self.orders.check_model(request.model)
        return pb.ListVersionsResponse(versions=self._entries(request.model))

    async def _load(self, request: pb.LoadVersionRequest, call: Call) -> pb.LoadVersionResponse:
        del call
        await self.orders.load(request.model, _version(request))
        return pb.LoadVersionResponse(versions=self._entries(request.model))

    async def _unload(
        self, request: pb.UnloadVersionRequest, call: Call
    ) -> pb.UnloadVersionResponse:
        del call
        await self.orders.unload(request.model, _version(request))
        return pb.UnloadVersionResponse(versions=self._entries(request.model))

    async def _roll_back(self, request: pb.RollBackRequest, call: Call) -> pb.RollBackResponse:
        del call
        version, unloaded = await self.orders.roll_back(request.model)
        return pb.RollBackResponse(version=version, unloaded=unloaded)

    async def _reload(self, request: pb.ReloadRequest, call: Call) -> pb.ReloadResponse:
        del request, call
        failure = await self.reload()
        await self.keeper.until(lambda: self.keeper.is_settled)
        return pb.ReloadResponse(failure=failure, versions=self._entries())

    async def _set_labels(self, request: pb.SetLabelsRequest, call: Call) -> pb.SetLabelsResponse:
        del call
        kept = self.orders.set_labels(request.model, _read_labels(request))
        alone = {
            label: target
            for label, target in kept.items()
            if not isinstance(target, WeightedVersions)
        }
        shared = {
            label: pb.VersionWeights(weights=weights_of(target))
            for label, target in kept.items()
            if isinstance(target, WeightedVersions)
        }
        return pb.SetLabelsResponse(labels=alone, shared=shared)

    async def _set_shadow(self, request: pb.SetShadowRequest, call: Call) -> pb.SetShadowResponse:
        del call
        self.shadow_orders.set(request.model, request.version or None)
        return pb.SetShadowResponse()

    async def _compare(
        self, request: pb.CompareVersionsRequest, call: Call
    ) -> pb.CompareVersionsResponse:
        del call
        found = self.shadow_orders.compare(request.model, request.tolerance)
        return pb.CompareVersionsResponse(comparisons=map(write_comparison, found))

    async def _set_log_level(
        self, request: pb.SetLogLevelRequest, call: Call
    ) -> pb.SetLogLevelResponse:
        del call
        if request.level not in _LEVELS:
            expected = ", ".join(_LEVELS)
            raise InvalidInput(f'level is "{cut(request.level)}", expected one of {expected}')
        self.set_log_level(cast("LogLevel", request.level))
        return pb.SetLogLevelResponse()

    async def _drain(self, request: pb.DrainRequest, call: Call) -> pb.DrainResponse:
        del request, call
        self.end()
        return pb.DrainResponse()

    def _entries(self, model: str = "") -> Entries:
        return map(_write, overview(self.keeper, model))


def _version(request: pb.LoadVersionRequest | pb.UnloadVersionRequest) -> int | None:
    return request.version if request.HasField("version") else None


def _read_labels(request: pb.SetLabelsRequest) -> dict[str, Target | None]:
    changes: dict[str, Target | None] = {}
    for label, shared in request.shared.items():
        if label in request.labels:
            raise InvalidInput(f'the label "{cut(label)}" is to stand for one version and several')
        try:
            changes[label] = target_of(shared.weights)
        except ValueError as fault:
            raise InvalidInput(f'the label "{cut(label)}": {fault}') from fault
    return changes | {label: version or None for label, version in request.labels.items()}


def _write(each: VersionOverview) -> pb.VersionEntry:
    status, seen = each.status, each.seen
    return pb.VersionEntry(
        model=each.model,
        version=each.version,
        state="" if status is None else status.state,
        findings=() if status is None else status.findings,
        step="" if status is None else status.step,
        labels=each.labels,
        label_shares=each.shares,
        is_default=each.is_default,
        is_found=seen is not None,
        is_partial=seen is not None and not seen.is_whole,
        is_changed=each.is_changed,
        is_refused=each.is_refused,
        is_shadow=each.is_shadow,
    )


def limited_to(service: Service, names: Iterable[str]) -> Service:
    """A service that has these methods only, none of which is a prediction."""
    paths = {f"/{service.name}/{name}" for name in names}
    methods = {path: method for path, method in service.methods.items() if path in paths}
    return Service(service.name, service.descriptor, methods, frozenset())
