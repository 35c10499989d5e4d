"""Evaluates one served model: every path over the same pictures, in one order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from batchproof_server.base.output_forms import ScoresKind
from batchproof_server.base.signature import Array
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.served import ServedModel
from batchproof_server.offline.asking import Count, Predict
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture, truth_of
from batchproof_server.offline.evaluation import measures
from batchproof_server.offline.evaluation.answers import (
    Reference,
    empty_tally,
    reference,
    single_tally,
)
from batchproof_server.offline.evaluation.paths import (
    KERAS_BATCH_ROWS,
    BatchPath,
    Judge,
    KerasPredict,
    ask_one_by_one,
    execute_together,
    predict_chunk_rows,
    predict_execution,
    served_execution,
    single_asker,
)
from batchproof_server.offline.evaluation.reasons import likely_reason
from batchproof_server.offline.evaluation.result import (
    Difference,
    EvaluatedModel,
    Evaluation,
    PathResult,
    compare,
    path_result,
)
from batchproof_server.offline.evaluation.several_labels import SeveralLabels, several_labels
from batchproof_server.offline.evaluation.two_classes import TwoClasses, two_classes
from batchproof_server.tta.expansion import Expansion

Begin: TypeAlias = Callable[[str], Count]
"""Begins a step with its title; what it returns is told of the pictures that are done."""


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates one model over labelled pictures.

    Attributes:
        served: with a recipe and class scores.
        predict: answers requests to it.
        keras_predict: Keras' own; None where there is none.
        no_keras_predict: why there is none.
        batch_sizes: how many pictures to execute together in this process.
        begin: learns of the progress.
    """

    served: ServedModel
    predict: Predict
    keras_predict: KerasPredict | None
    no_keras_predict: str
    batch_sizes: tuple[int, ...]
    begin: Begin

    async def evaluate(
        self, pictures: Sequence[LabelledPicture], data: str, pictures_there: int
    ) -> Evaluation:
        """Runs every path.

        Args:
            pictures: one or more.
            data: where they come from, for the result.
            pictures_there: how many it has.

        Raises:
            InvalidData: pictures that cannot be read, are refused, or are of no class.
            EvaluationFailed: the model failed on a path of the server.
        """
        recipe = served_recipe(self.model)
        classes = class_count(self.model)
        output = self.model.output
        truth = truth_of(pictures, classes, is_multi_label=output.is_multi_label)
        ask = single_asker(self.served, self.predict)
        answers = await ask_one_by_one(ask, pictures, self.begin("one at a time"))
        known = reference(answers)
        paths = self._companies(len(pictures))
        judge = Judge(scores_kind(self.model), truth, known, output.limit)
        count = self.begin("together in this process")
        await execute_together(recipe, pictures, paths, judge, count)
        subject = subject_of(self.model, data, len(pictures), pictures_there, classes)
        return self._evaluation(subject, paths, known, truth)

    @property
    def model(self) -> LoadedModel:
        """What is evaluated."""
        return self.served.loaded

    def _companies(self, pictures: int) -> tuple[BatchPath, ...]:
        largest = self.model.batching.max_batch_rows
        execute = served_execution(self.served, self.predict)
        served = [
            BatchPath("in_process", size, min(size, largest), execute, empty_tally(pictures))
            for size in self.batch_sizes
        ]
        if self.keras_predict is None:
            return tuple(served)
        keras = BatchPath(
            "keras_predict",
            KERAS_BATCH_ROWS,
            predict_chunk_rows(self.model),
            predict_execution(self.model, self.keras_predict),
            empty_tally(pictures),
            may_fail=True,
        )
        return (*served, keras)

    def _evaluation(
        self, subject: EvaluatedModel, paths: Sequence[BatchPath], known: Reference, truth: Array
    ) -> Evaluation:
        single = single_tally(known, truth)
        results = [path_result("single", 1, single, None)]
        keras_note = self.no_keras_predict
        for path in paths:
            if path.failure:
                keras_note = f"not available: predict failed: {path.failure}"
                continue
            result = self._result(path, known)
            results.append(result)
            if path.name == "keras_predict" and result.difference is not None:
                keras_note = likely_reason(result.difference, self.model.certificate)
        return Evaluation(
            subject=subject,
            paths=tuple(results),
            confusion=_confusion(known, truth, len(subject.labels)),
            reliability=measures.reliability(single.confidence, single.is_right),
            keras_note=keras_note,
            second_class=_second_class(known, truth),
            several_labels=_several_labels(known, truth, subject.labels),
        )

    def _result(self, path: BatchPath, known: Reference) -> PathResult:
        certificate = self.model.certificate
        agreeing = () if certificate is None else certificate.measured.classes
        difference: Difference = compare(path.tally, known, agreeing)
        return path_result(path.name, path.batch_rows, path.tally, difference)


def _confusion(known: Reference, truth: Array, classes: int) -> Array:
    """Labels that do not exclude each other are not confused with each other."""
    if truth.ndim > 1:
        return np.zeros((0, 0), np.int64)
    return measures.confusion(truth, known.top1, classes)


def _several_labels(known: Reference, truth: Array, labels: Sequence[str]) -> SeveralLabels | None:
    if truth.ndim == 1:
        return None
    return several_labels(labels, truth, known.answers, known.probabilities)


def _second_class(known: Reference, truth: Array) -> TwoClasses | None:
    if truth.ndim > 1 or known.probabilities.shape[1] != 2:  # noqa: PLR2004 - two classes
        return None
    return two_classes(truth, known.top1, known.probabilities[:, 1])


def served_recipe(model: LoadedModel) -> Recipe:
    """The recipe of a model that can be evaluated.

    Raises:
        InvalidData: it takes no pictures, or gives no class scores.
    """
    return served_expansion(model).recipe


def served_expansion(model: LoadedModel) -> Expansion:
    """What makes views for a model that can be evaluated.

    Raises:
        InvalidData: it takes no pictures, or gives no class scores.
    """
    if model.expansion is None:
        raise InvalidData(["the bundle has no recipe, so it takes no pictures; see docs/recipes"])
    scores_kind(model)
    return model.expansion


def scores_kind(model: LoadedModel) -> ScoresKind:
    """What the model's output holds.

    Raises:
        InvalidData: no class scores.
    """
    if model.output.kind == "raw":
        raise InvalidData(['output.kind is "raw", expected one of class scores, such as "logits"'])
    return model.output.kind


def class_count(model: LoadedModel) -> int:
    """How many classes a model has.

    Raises:
        InvalidData: its output is raw.
    """
    scores_kind(model)
    return model.classes


def subject_of(
    model: LoadedModel, data: str, pictures: int, pictures_there: int, classes: int
) -> EvaluatedModel:
    """What is evaluated, for a result."""
    bundle, recipe, certificate = model.bundle, model.recipe, model.certificate
    return EvaluatedModel(
        model=bundle.name,
        version=bundle.version,
        model_digest=bundle.model_digest,
        recipe_digest="" if recipe is None else recipe.digest,
        engine=model.backend.engine,
        certificate_digest=model.certificate_digest,
        verdict="" if certificate is None else certificate.verdict,
        consistency="" if certificate is None else certificate.consistency,
        buckets_rows=model.batching.buckets_rows,
        data=data,
        pictures=pictures,
        pictures_there=pictures_there,
        labels=bundle.labels or tuple(map(str, range(classes))),
    )
