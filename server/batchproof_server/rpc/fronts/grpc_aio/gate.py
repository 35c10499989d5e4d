"""Refuses a prediction before its message is read, when nothing could answer it anyway."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import grpc
from grpc import aio

from batchproof_server.base.errors import InvalidInput, QueueFull
from batchproof_server.models.versions import Versions
from batchproof_server.rpc.calls import Calls, Context
from batchproof_server.rpc.pressure import Pressure
from batchproof_server.serving.predictor import Predictor

# From the methods that ask for one prediction to their names in records.
PREDICTIONS: Final[Mapping[str, str]] = {
    "/batchproof.v1.PredictionService/Predict": "Predict",
    "/inference.GRPCInferenceService/ModelInfer": "inference.ModelInfer",
    "/tensorflow.serving.PredictionService/Predict": "tensorflow.Predict",
}

_Behaviour: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Found: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"


class LoadShedder:
    """Knows whether one more row could be answered, by whatever version.

    Args:
        predictor: turns the caller's time into a deadline.
        versions: whose queues are asked.
        pressure: knows what no queue does.
    """

    def __init__(self, predictor: Predictor, versions: Versions, pressure: Pressure) -> None:
        self._predictor = predictor
        self._versions = versions
        self._pressure = pressure

    def is_pressed(self) -> bool:
        """Whether looking closer is worth it: it costs each call a message of its own."""
        return self._pressure.is_pressed or any(
            model.batcher.is_pressed for model in self._versions.ready()
        )

    def check(self, timeout_s: float | None) -> None:
        """Returns when some version would accept one row.

        Args:
            timeout_s: what is left of the caller's time; None when there is no limit.

        Raises:
            QueueFull: none would.
        """
        models = self._versions.ready()
        self._pressure.check_room((model.name for model in models), timeout_s)
        deadline_s = self._predictor.deadline_s(timeout_s)
        refusals = [model.batcher.refusal(1, deadline_s) for model in models]
        full = [each for each in refusals if isinstance(each, QueueFull)]
        # Where a version drains, the call goes on to be told so.
        if full and len(full) == len(models):
            raise min(full, key=lambda each: each.retry_after_s)

    def only_model(self) -> tuple[str, int]:
        """Name and version when only one answers; else an empty name and 0."""
        models = self._versions.ready()
        return (models[0].name, models[0].version) if len(models) == 1 else ("", 0)


# Contract
#
# Which model a call is for stands in its message. So a call is refused unread only when no version
# would accept a single row, whatever it asks for; its code, its record and its pushback are those
# of a full queue, and its request id is the one of the metadata. All else goes on as without a
# gate. Messages of streams are read before: HTTP/2 holds their callers back.
class Gate:
    """Has a look at the queues before a prediction is read.

    Args:
        admission: knows the queues.
        calls: tells the caller.
    """

    def __init__(self, admission: LoadShedder, calls: Calls) -> None:
        self._admission = admission
        self._calls = calls
        self._guarded: dict[str, _Handler] = {}

    def before(self, services: Sequence[grpc.GenericRpcHandler]) -> grpc.GenericRpcHandler:
        """The handlers of these services, each prediction with a look at the queues before it."""
        return _Gated(tuple(services), self)

    def guarded(self, method: str, handler: _Handler) -> _Handler:
        """The handler to use for a call that came just now."""
        if method not in PREDICTIONS or not self._admission.is_pressed():
            return handler
        if method not in self._guarded:
            self._guarded[method] = self._guard(PREDICTIONS[method], handler)
        return self._guarded[method]

    def _guard(self, name: str, handler: _Handler) -> _Handler:
        # As a stream of requests, of which none has to be read.
        return grpc.stream_unary_rpc_method_handler(
            self._looking_first(name, handler.unary_unary),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _looking_first(self, name: str, behaviour: Any) -> _Behaviour:
        async def answer(requests: Any, context: Context) -> Any:
            del requests  # read through the context
            try:
                self._admission.check(context.time_remaining())
            except QueueFull as full:
                await self._calls.refuse(name, context, full, *self._admission.only_model())
            request = await context.read()
            if request is aio.EOF:
                empty = InvalidInput("the call has no message, expected one")
                await self._calls.refuse(name, context, empty)
            return await behaviour(request, context)

        return answer


class _Gated(grpc.GenericRpcHandler):
    def __init__(self, services: tuple[grpc.GenericRpcHandler, ...], gate: Gate) -> None:
        self._services = services
        self._gate = gate

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Found:
        """The handler of a call; None when no service has its method."""
        for service in self._services:
            handler = service.service(handler_call_details)
            if handler is not None:
                return self._gate.guarded(handler_call_details.method, handler)
        return None
