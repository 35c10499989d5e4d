"""Who may call what: decided at the head of a call, before anything of its body is read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import ServingError
from batchproof_server.batching.connections import LetIn
from batchproof_server.callers.grants import Grants
from batchproof_server.callers.settings import MethodKind
from batchproof_server.rpc.calls import Behaviour, Call, Calls
from batchproof_server.rpc.fronts.front import (
    AnswerUnary,
    CallHead,
    HeadGate,
    Messages,
    Reply,
    Routes,
    ServeStream,
    Status,
)
from batchproof_server.rpc.methods import Service
from batchproof_server.rpc.status import REQUEST_ID_KEY, Failure

AUTHORIZATION: Final = "authorization"
"""The key under which a call brings its token."""
PRIORITY: Final = "x-batchproof-priority"
"""The key under which a call asks for another priority than its caller's."""
_MANAGEMENT: Final = "/batchproof.v1.ManagementService/"
KINDS: Final[Mapping[MethodKind, frozenset[str]]] = {
    "predict": frozenset(
        {
            "Predict",
            "PredictStream",
            "Diagnose",
            "ModelInfer",
            "ModelStreamInfer",
            "Classify",
            "Regress",
            "MultiInference",
        }
    ),
    "read": frozenset(
        {
            "ListModels",
            "GetModel",
            "ModelReady",
            "ServerMetadata",
            "ModelMetadata",
            "ModelConfig",
            "ModelStatistics",
            "RepositoryIndex",
            "GetModelMetadata",
            "GetModelStatus",
            "ServerReflectionInfo",
        }
    ),
    "report": frozenset({"ReportOutcome"}),
    "manage": frozenset(
        {"RepositoryModelLoad", "RepositoryModelUnload", "HandleReloadConfigRequest"}
    ),
}
"""The methods of the ports of requests, by their names."""
OPEN: Final = frozenset({"ServerLive", "ServerReady", "Check", "Watch"})
"""What says whether a server lives, for probes, which have no name."""


def kind_of(path: str) -> MethodKind | None:
    """The kind of a method; None for one that everybody may call.

    One that is in no kind is among those that few may call, so that a new method is not open to
    everybody by mistake.

    Args:
        path: ``/package.Service/Method``.
    """
    method = path.rpartition("/")[2]
    if path.startswith(_MANAGEMENT):
        return "manage"
    if method in OPEN:
        return None
    return next((kind for kind, names in KINDS.items() if method in names), "manage")


# Contract
#
# Whoever asks is known before a byte of the body is looked at: a unary call is refused by the gate,
# a stream before its first message. What goes on bears what its caller may do, in place of the
# address the caller's name, and no authorization: nothing behind this knows what it was. Each
# refusal is one record under the method's name.
class Guard:
    """Lets calls in.

    Args:
        grants: knows the callers.
        calls: refuses.
        clock: of quotas.
        names: of methods in records, by their paths, where these are others than their own.
    """

    def __init__(
        self, grants: Grants, calls: Calls, clock: Clock, names: Mapping[str, str]
    ) -> None:
        self._grants = grants
        self._calls = calls
        self._clock = clock
        self._names = names

    def admit(self, head: CallHead) -> CallHead:
        """The call as its caller's.

        Raises:
            Unauthenticated, Forbidden, InvalidInput: it is not let in.
        """
        kind = kind_of(head.method)
        if kind is None or head.grant is not None:
            return head
        grant = self._grants.of(_text(head, AUTHORIZATION), head.subjects)
        grant.check_method(kind)
        priority = grant.priority(_text(head, PRIORITY))
        metadata = tuple((key, value) for key, value in head.metadata if key != AUTHORIZATION)
        peer = grant.peer(head.peer)
        return head._replace(metadata=metadata, peer=peer, grant=grant, priority=priority)

    def admit_now(self, head: CallHead) -> CallHead:
        """As ``admit``, and its caller may have one more request now.

        Raises:
            Unauthenticated, Forbidden, InvalidInput, QuotaExceeded: it is not let in.
        """
        admitted = self.admit(head)
        if admitted.grant is not None:
            admitted.grant.quota.peek(self._clock.now_s())
        return admitted

    def refuse(self, head: CallHead, error: ServingError) -> Failure:
        """The failure of a call that is not let in, recorded."""
        name = self._names.get(head.method) or head.method.rpartition("/")[2]
        return self._calls.refuse(name, error, _request_id(head))


def guarded(routes: Routes, guard: Guard) -> Routes:
    """The same routes for those alone who may take them."""
    unary: Mapping[str, AnswerUnary] = {
        path: partial(_answer, guard, answer) for path, answer in routes.unary.items()
    }
    streams: Mapping[str, ServeStream] = {
        path: partial(_serve, guard, serve) for path, serve in routes.streams.items()
    }
    return Routes(unary, streams, GuardGate(routes.gate, guard), reads_at_once=False)


def metered(services: Iterable[Service], clock: Clock) -> tuple[Service, ...]:
    """The same services, which charge what callers ask for, whatever port it comes by."""
    return tuple(
        replace(
            service,
            methods={
                path: replace(method, behaviour=partial(_metered, method.behaviour, clock))
                for path, method in service.methods.items()
            },
        )
        for service in services
    )


async def _metered(behaviour: Behaviour, clock: Clock, message: Any, call: Call) -> Any:
    if (grant := call.caller.grant) is None:  # of a method that is open to all
        return await behaviour(message, call)
    quota = grant.quota
    quota.begin()
    try:
        quota.charge(clock.now_s())
        return await behaviour(message, call)
    finally:
        quota.end(call.trace.rows, clock.now_s())


async def _answer(
    guard: Guard, answer: AnswerUnary, head: CallHead, content: bytes | None
) -> Reply | Status:
    try:
        admitted = guard.admit(head)
    except ServingError as refusal:
        return guard.refuse(head, refusal)
    return await answer(admitted, content)


async def _serve(guard: Guard, serve: ServeStream, head: CallHead, messages: Messages) -> Status:
    try:
        admitted = guard.admit(head)
    except ServingError as refusal:
        return guard.refuse(head, refusal)
    return await serve(admitted, messages)


class GuardGate:
    """Looks at every call that is not open to all, and then as the gate behind it.

    Args:
        gate: looks at those that are let in.
        guard: knows who may ask.
    """

    def __init__(self, gate: HeadGate, guard: Guard) -> None:
        self._gate = gate
        self._guard = guard

    def wants(self, method: str) -> bool:
        """Whether the method is not open to all."""
        return kind_of(method) is not None

    def is_occupied(self) -> bool:
        """As the gate behind it says."""
        return self._gate.is_occupied()

    def look(self, heads: Sequence[CallHead], let_in: LetIn) -> list[Status | None]:
        """Of each head how its call is refused; None lets it go on."""
        looked: list[Status | None] = [None] * len(heads)
        wanted: dict[int, CallHead] = {}
        for place, head in enumerate(heads):
            try:
                admitted = self._guard.admit_now(head)
            except ServingError as refusal:
                looked[place] = self._guard.refuse(head, refusal)
            else:
                if self._gate.wants(head.method):
                    wanted[place] = admitted
        if wanted:
            refusals = self._gate.look(tuple(wanted.values()), let_in)
            for place, refused in zip(wanted, refusals, strict=True):
                looked[place] = refused
        return looked


def _text(head: CallHead, wanted: str) -> str | None:
    for key, value in head.metadata:
        if key == wanted:
            return value if isinstance(value, str) else value.decode("latin-1")
    return None


def _request_id(head: CallHead) -> str:
    found = (value for key, value in head.metadata if key == REQUEST_ID_KEY)
    value = next(found, "")
    return value if isinstance(value, str) else ""
