"""A server that answers as the test says, over real gRPC on 127.0.0.1."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from batchproof.tensors import from_proto
from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc

Context: TypeAlias = Any  # the stubs' context is made for servers of both kinds
PredictHook: TypeAlias = Callable[[pb.PredictRequest, Context], pb.PredictResponse]
StreamHook: TypeAlias = Callable[
    [Iterator[pb.PredictStreamRequest], Context], Iterator[pb.PredictStreamResponse]
]
ReportHook: TypeAlias = Callable[[pb.ReportOutcomeRequest, Context], pb.ReportOutcomeResponse]

LABELS = ("boot", "bag", "shirt")


def answer(request: pb.PredictRequest, _context: Context = None) -> pb.PredictResponse:
    """One row for each image or tensor row; an image's first byte chooses the class."""
    if request.WhichOneof("input") == "images":
        winners = [content[0] % len(LABELS) for content in request.images.contents]
    else:
        (tensor,) = request.tensors.tensors.values()
        winners = [0] * from_proto(tensor).shape[0]
    return pb.PredictResponse(
        request_id=request.request_id,
        rows=[_row(winner, request.options) for winner in winners],
        provenance=pb.Provenance(
            model=request.model.name or "fashion",
            version=request.model.version or 3,
            model_digest="ab" * 32,
            recipe_digest="cd" * 32,
            engine="fake 1.0",
            certificate_digest="ef" * 32,
            executions=[
                pb.Execution(
                    rows=len(winners), bucket_rows=4, queue_delay_s=0.001, execution_s=0.002
                )
            ],
        ),
    )


def _row(winner: int, options: pb.PredictOptions) -> pb.RowPrediction:
    order = [winner, *(index for index in range(len(LABELS)) if index != winner)]
    scores = (0.75, 0.125, 0.125)
    values = [scores[order.index(index)] for index in range(len(LABELS))]
    return pb.RowPrediction(
        classes=[
            pb.ScoredClass(index=index, label=LABELS[index], score=score)
            for index, score in zip(order, scores, strict=True)
        ][: options.top_k],
        probabilities=values if options.return_probabilities else [],
        logits=values if options.return_logits else [],
        entropy=0.5,
        margin=0.625,
        handle=b"handle of %d" % winner,
    )


def accept(request: pb.ReportOutcomeRequest, _context: Context) -> pb.ReportOutcomeResponse:
    """Accepts every outcome; the answer had been "bag"."""
    predicted = pb.ScoredClass(index=1, label="bag", score=0.75)
    results = [
        pb.OutcomeResult(
            accepted=pb.AcceptedOutcome(
                model="fashion",
                version=3,
                predicted=predicted,
                is_correct=each.label == "bag" or each.class_index == 1,
            )
        )
        for each in request.outcomes
    ]
    return pb.ReportOutcomeResponse(results=results)


def fail(code: grpc.StatusCode, text: str, *, pushback_ms: str | None = None) -> PredictHook:
    """A hook that ends each call with a status."""

    def hook(_request: pb.PredictRequest, context: Context) -> pb.PredictResponse:
        if pushback_ms is not None:
            context.set_trailing_metadata((("grpc-retry-pushback-ms", pushback_ms),))
        context.abort(code, text)
        raise AssertionError("abort raises")

    return hook


class _Health(health_pb2_grpc.HealthServicer):
    def __init__(self, server: "FakeServer") -> None:
        self._server = server

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return self._server.checks(request, context)


class FakeServer(prediction_pb2_grpc.PredictionServiceServicer):
    """Answers by hooks; remembers what it was asked."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.predicts: list[PredictHook] = []  # the last one stays
        self.stream: StreamHook = lambda requests, _: (_answered(each) for each in requests)
        self.requests: list[pb.PredictRequest] = []
        self.report: ReportHook = accept
        self.outcomes: list[pb.Outcome] = []
        self.diagnosed: list[pb.DiagnoseRequest] = []
        self.metadata: list[dict[str, Any]] = []
        self.time_remaining_s: list[float] = []
        self.get_models = 0
        self.list_refusal: grpc.StatusCode | None = None
        self.input_shape = [-1, 2]
        self.inputs = ["pixels"]
        self.released = threading.Event()
        self.health = health.HealthServicer()
        self.checks = self.health.Check
        self.set_health("", health_pb2.HealthCheckResponse.SERVING)
        self.set_health("fashion", health_pb2.HealthCheckResponse.SERVING)
        # Several servers in turn must never share a port.
        options = [("grpc.so_reuseport", 0)]
        self._server = grpc.server(ThreadPoolExecutor(16), options=options)
        prediction_pb2_grpc.add_PredictionServiceServicer_to_server(self, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(_Health(self), self._server)
        if credentials is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.target = f"127.0.0.1:{port}"
        self._server.start()

    def set_health(self, name: str, status: Any) -> None:
        """Says whether the server, or a model, is serving."""
        self.health.set(name, status)

    def stop(self) -> None:
        """Ends every call and waits."""
        self.released.set()
        self._server.stop(None).wait()

    def Predict(  # noqa: N802 - gRPC's name
        self, request: pb.PredictRequest, context: Context
    ) -> pb.PredictResponse:
        """Answers by the next hook."""
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        # gRPC rounds a timeout up when it sends it, and counts it by another clock.
        self.time_remaining_s.append(round(context.time_remaining(), 2))
        if not self.predicts:
            return answer(request)
        hook = self.predicts.pop(0) if len(self.predicts) > 1 else self.predicts[0]
        return hook(request, context)

    def PredictStream(  # noqa: N802 - gRPC's name
        self, request_iterator: Any, context: Context
    ) -> Iterator[pb.PredictStreamResponse]:
        """Answers by the hook."""
        return self.stream(request_iterator, context)

    def ReportOutcome(  # noqa: N802 - gRPC's name
        self, request: pb.ReportOutcomeRequest, context: Context
    ) -> pb.ReportOutcomeResponse:
        """Answers by the hook."""
        self.outcomes.extend(request.outcomes)
        return self.report(request, context)

    def Diagnose(  # noqa: N802 - gRPC's name
        self, request: pb.DiagnoseRequest, context: Context
    ) -> pb.DiagnoseResponse:
        """Finds a wrong scaling where a tensor is given and nothing unusual elsewhere."""
        if request.image == b"refused":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no picture")
        self.diagnosed.append(request)
        causes = []
        if request.HasField("tensor"):
            causes = [
                pb.DiagnosedCause(cause="scaling:unit", title="x / 255", level="likely cause")
            ]
        verdict = f"{causes[0].level}: {causes[0].title}" if causes else "nothing unusual"
        text = f"{request.name}: boot (50.0%)\n  verdict: {verdict}"
        return pb.DiagnoseResponse(
            request_id="d", model="shoes", version=2, answer="boot", confidence=0.5,
            verdict=verdict, causes=causes, text=text,
            json='{"format": 1}', page="<!doctype html>" if request.return_page else "",
        )  # fmt: skip

    def ListModels(  # noqa: N802 - gRPC's name
        self, request: pb.ListModelsRequest, context: Context
    ) -> pb.ListModelsResponse:
        """Answers with one version that is ready and one that failed."""
        del request
        if self.list_refusal:
            context.abort(self.list_refusal, "not yet")
        return pb.ListModelsResponse(
            models=[
                pb.ModelSummary(
                    name="fashion",
                    version=3,
                    state=pb.MODEL_STATE_READY,
                    verdict=pb.VERDICT_PROVEN,
                    is_default=True,
                    version_labels=["stable"],
                ),
                pb.ModelSummary(
                    name="fashion",
                    version=4,
                    state=pb.MODEL_STATE_FAILED,
                    findings=["labels.txt: 9 labels, expected 10"],
                ),
            ]
        )

    def GetModel(  # noqa: N802 - gRPC's name
        self, request: pb.GetModelRequest, context: Context
    ) -> pb.GetModelResponse:
        """Answers for "fashion" only."""
        self.get_models += 1
        if request.model.name not in {"", "fashion"}:
            context.abort(
                grpc.StatusCode.NOT_FOUND, f'no model "{request.model.name}", served: fashion'
            )
        return pb.GetModelResponse(
            summary=pb.ModelSummary(name="fashion", version=3, state=pb.MODEL_STATE_READY),
            description="clothes",
            model_digest="ab" * 32,
            recipe_digest="cd" * 32,
            engine="fake 1.0",
            inputs=[
                pb.TensorSpec(name=name, data_type=pb.DATA_TYPE_FLOAT32, shape=self.input_shape)
                for name in self.inputs
            ],
            outputs=[pb.TensorSpec(name="scores", data_type=pb.DATA_TYPE_FLOAT32, shape=[-1, 3])],
            output_kind=pb.OUTPUT_KIND_PROBABILITIES,
            labels=LABELS,
            buckets_rows=[2, 4, 8],
            recipe_json="{}",
            certificate_json='{"format":1}',
            certificate_digest="ef" * 32,
            consistency="strict",
            image_formats=["png"],
            max_request_rows=64,
        )


def _answered(each: pb.PredictStreamRequest) -> pb.PredictStreamResponse:
    return pb.PredictStreamResponse(
        request_id=each.request.request_id, response=answer(each.request)
    )
