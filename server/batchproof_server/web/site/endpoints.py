"""What the page asks for: methods of the gRPC port, written as pieces of HTML."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from batchproof.compat import inference_pb2 as oip
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.drift.comparing import DriftComparison
from batchproof_server.observing.prometheus.answer_times import AnswerTimes
from batchproof_server.web.rest.endpoint import Endpoint, ReadRequest, RestAsked, Written
from batchproof_server.web.rest.json_text import write_json
from batchproof_server.web.rest.own import read_predict, whole_number
from batchproof_server.web.rest.plain import plain
from batchproof_server.web.site.templates import Render

_HTML: Final = {"content-type": "text/html; charset=utf-8"}
_NATIVE: Final = "/batchproof.v1.PredictionService/"
_STATISTICS: Final = "/inference.GRPCInferenceService/ModelStatistics"
# So that the best class of each view has its label.
_NAMED_CLASSES: Final = 1_000
_SHOWN_CLASSES: Final = 5
# Comparing takes milliseconds, which are nobody else's to wait for.
_BESIDE_THE_LOOP_BYTES: Final = 1 << 20

Comparisons: TypeAlias = Mapping[tuple[str, int], DriftComparison]
"""What was counted of the predictions of versions, against their profiles."""


def site_endpoints(
    render: Render, comparisons: Callable[[], Comparisons], times: Callable[[], AnswerTimes]
) -> tuple[Endpoint, ...]:
    """The paths of the page.

    Args:
        render: writes HTML.
        comparisons: of all versions that have a profile; called on any thread.
        times: of predictions.
    """
    return (
        Endpoint(
            re.compile("/site/models"), ("GET",), f"{_NATIVE}ListModels", partial(_models, render)
        ),
        Endpoint(
            re.compile("/site/model"), ("GET",), f"{_NATIVE}GetModel", partial(_model, render)
        ),
        Endpoint(re.compile("/site/live"), ("GET",), _STATISTICS, partial(_live, times)),
        Endpoint(
            re.compile("/site/drift"),
            ("GET",),
            _STATISTICS,
            partial(_drift, render, comparisons),
            writing_bytes=_BESIDE_THE_LOOP_BYTES,
        ),
        Endpoint(
            re.compile("/site/answer"),
            ("POST",),
            f"{_NATIVE}Predict",
            partial(_answer, render),
            predicts=True,
        ),
        Endpoint(
            re.compile("/site/diagnosis"),
            ("POST",),
            f"{_NATIVE}Diagnose",
            _diagnosis,
            takes_large=True,
        ),
    )


def _models(render: Render, asked: RestAsked) -> ReadRequest:
    _options(asked, ())

    def write(reply: pb.ListModelsResponse) -> Written:
        rows = [
            {
                "message": each,
                "state": _word(pb.ModelState.Name(each.state), "MODEL_STATE_"),
                "verdict": _verdict(each),
            }
            for each in reply.models
        ]
        return Written(render("models.html", rows=rows), _HTML)

    return ReadRequest(pb.ListModelsRequest(), write)


def _model(render: Render, asked: RestAsked) -> ReadRequest:
    selector = _selector(_options(asked, ("model", "version")))

    def write(reply: pb.GetModelResponse) -> Written:
        content = render(
            "model.html",
            model=reply,
            verdict=_verdict(reply.summary),
            kind=_word(pb.OutputKind.Name(reply.output_kind), "OUTPUT_KIND_"),
            certificate=_indented(reply.certificate_json),
            recipe=_indented(reply.recipe_json),
        )
        return Written(content, _HTML)

    return ReadRequest(pb.GetModelRequest(model=selector), write)


def _live(times: Callable[[], AnswerTimes], asked: RestAsked) -> ReadRequest:
    _options(asked, ())

    def write(reply: oip.ModelStatisticsResponse) -> Written:
        values, known = plain(reply), times()
        # Of what the caller may see, and of nothing else.
        for each in values["model_stats"]:
            counts = known.counts.get((each["name"], int(each["version"])), ())
            each["answer_times"] = list(counts)
        return Written(write_json({**values, "answer_time_bounds_s": list(known.bounds_s)}))

    return ReadRequest(oip.ModelStatisticsRequest(), write)


def _drift(render: Render, comparisons: Callable[[], Comparisons], asked: RestAsked) -> ReadRequest:
    _options(asked, ())

    def write(reply: oip.ModelStatisticsResponse) -> Written:
        found = comparisons()
        versions = [
            (each.name, each.version, found.get((each.name, int(each.version))))
            for each in reply.model_stats
        ]
        return Written(render("drift.html", versions=versions), _HTML)

    return ReadRequest(oip.ModelStatisticsRequest(), write)


def _answer(render: Render, asked: RestAsked) -> ReadRequest:
    message: pb.PredictRequest = read_predict(asked, 1).message
    message.options.top_k = _NAMED_CLASSES
    if message.options.HasField("tta"):
        message.options.tta.return_views = True

    def write(reply: pb.PredictResponse) -> Written:
        rows = [_row(each, reply.provenance.tta.views) for each in reply.rows]
        return Written(render("answer.html", reply=reply, rows=rows), _HTML)

    return ReadRequest(message, write)


def _row(row: pb.RowPrediction, names: Sequence[str]) -> dict[str, Any]:
    """One answered picture as the template shows it."""
    labels = {each.index: each.label for each in row.classes}
    views = []
    for view in row.tta.views:
        best = max(range(len(view.probabilities)), key=view.probabilities.__getitem__)
        views.append(
            {
                "name": view.view,
                "weight": view.weight,
                "label": labels.get(best, str(best)),
                "score": view.probabilities[best],
            }
        )
    return {
        "message": row,
        "classes": row.classes[:_SHOWN_CLASSES],
        "views": views,
        "asked_views": len(names),
    }


def _diagnosis(asked: RestAsked) -> ReadRequest:
    options = _options(asked, ("model", "version", "name", "label"))
    message = pb.DiagnoseRequest(
        model=_selector(options),
        image=asked.body,
        name=options.get("name", ""),
        label=options.get("label", ""),
        return_page=True,
    )
    return ReadRequest(message, lambda reply: Written(reply.page.encode(), _HTML))


def _options(asked: RestAsked, known: Sequence[str]) -> Mapping[str, str]:
    options = dict(asked.query)
    if unknown := sorted(set(options) - set(known)):
        expected = f"expected one of {', '.join(known)}" if known else "expected none"
        raise InvalidInput(f'unknown option "{cut(unknown[0])}", {expected}')
    return options


def _selector(options: Mapping[str, str]) -> pb.ModelSelector:
    selector = pb.ModelSelector(name=options.get("model", ""))
    if "version" in options:
        selector.version = whole_number("version", options["version"])
    return selector


def _verdict(summary: pb.ModelSummary) -> str:
    word = _word(pb.Verdict.Name(summary.verdict), "VERDICT_")
    return "none" if word == "unspecified" else word


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", " ")


def _indented(text: str) -> list[str]:
    """JSON for people, line by line; none of nothing."""
    return json.dumps(json.loads(text), indent=2).split("\n") if text else []
