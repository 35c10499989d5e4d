"""The outputs that callers of other protocols may ask for by name."""

from collections.abc import Callable

import numpy as np

from batchproof.handles import handle_to_text
from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.base.scores import Scores
from batchproof_server.base.signature import Array
from batchproof_server.models.served import ServedModel
from batchproof_server.serving.request import Prediction

PROBABILITIES = "probabilities"
LABEL = "label"
HANDLE = "handle"
# Of a model with scores, and only when asked for by name; an output of the model's own goes first.
EXTRAS = (PROBABILITIES, LABEL, HANDLE)
# The same of each other output with scores, after its name and a dot.
OF_HEADS = (PROBABILITIES, LABEL)


def own_outputs(model: ServedModel) -> tuple[str, ...]:
    """The model's own outputs, which a caller gets who names none."""
    return tuple(spec.name for spec in model.loaded.backend.signature.outputs)


def known_outputs(model: ServedModel) -> tuple[str, ...]:
    """Every output that a caller may name."""
    own = own_outputs(model)
    if model.loaded.output.kind == "raw":
        return own
    of_heads = [f"{head.name}.{each}" for head in model.loaded.heads for each in OF_HEADS]
    return own + tuple(name for name in (*EXTRAS, *of_heads) if name not in own)


def check_classifiable(model: ServedModel, name: str, top_k: int) -> None:
    """Refuses what :func:`classified` cannot answer.

    Raises:
        InvalidInput: the output has no classes, or ``top_k`` is below 1.
    """
    if top_k < 1:
        raise InvalidInput(f'output "{name}": classification is {top_k}, expected 1 or more')
    head = model.loaded.scored.get(name)
    if head is not None and head.output.is_binary:
        return
    specs = {spec.name: spec for spec in model.loaded.backend.signature.outputs}
    spec = specs.get(name)
    if spec is None or len(spec.row_shape) != 1 or spec.dtype.kind not in "iuf":
        raise InvalidInput(
            f'output "{cut(name)}" cannot be classified, expected numbers [rows, classes]'
        )


def output(prediction: Prediction, name: str, top_k: int = 1) -> Array:
    """One output, rows on axis 0; labels and handles are arrays of objects, which are bytes.

    Args:
        prediction: the answer.
        name: one of ``known_outputs``.
        top_k: how many labels a row gets, best first; of independent labels all that are answered.
    """
    model, scores = prediction.model, prediction.scores
    if name in prediction.outputs or scores is None:
        return prediction.outputs[name]
    if name == PROBABILITIES:
        return scores.probabilities
    if name == HANDLE:
        return _byte_strings([[text] for text in handle_texts(prediction)])
    if name == LABEL:
        return _labels(scores, model.label, top_k)
    head, _, wanted = name.rpartition(".")
    for other in model.loaded.heads:
        if other.name == head:
            theirs = prediction.scores_of(other)
            if wanted == PROBABILITIES:
                return theirs.probabilities
            return _labels(theirs, other.label, top_k)
    raise InvalidInput(f'output "{cut(name)}" is unknown')


def _labels(scores: Scores, label_of: Callable[[int], str], top_k: int) -> Array:
    """The best labels [rows, top_k]; of independent ones [rows, labels], with "" after the answer.

    A row without an answer has "" in the place of each.

    A row has as many strings as there are labels, so its shape says nothing of the other rows.
    """
    rows = range(len(scores.probabilities))
    if scores.chosen is None:
        width = min(top_k, scores.probabilities.shape[1])
        named = [[label_of(each) for each in scores.ranking(row, top_k)] for row in rows]
        return _byte_strings([_filled(texts, width) for texts in named])
    width = scores.chosen.shape[1]
    named = [[label_of(each) for each in scores.labels(row)] for row in rows]
    return _byte_strings([_filled(texts, width) for texts in named])


def _filled(texts: list[str], width: int) -> list[str]:
    return [*texts, *[""] * (width - len(texts))]


def handle_texts(prediction: Prediction) -> list[str]:
    """The handle of each row as text; empty where the server takes no outcomes, or none of it."""
    handles = prediction.handles or [b""] * len(next(iter(prediction.outputs.values())))
    return [handle_to_text(handle) for handle in handles]


def classified(prediction: Prediction, name: str, top_k: int) -> Array:
    """The best classes of each row as ``value:index`` or ``value:index:label``, Triton's way.

    Args:
        prediction: the answer.
        name: an output [rows, classes] of the model's own, or one with a binary kind.
        top_k: at most so many.
    """
    values, loaded = prediction.outputs[name], prediction.model.loaded
    head = loaded.scored.get(name)
    labels = () if head is None else head.labels
    if head is not None and head.output.is_binary:  # one value would name one class of two
        watched = prediction.scores if name == loaded.output.name else None
        values = (watched or prediction.scores_of(head)).probabilities
    order = np.argsort(-values.astype(np.float64), axis=1, kind="stable")[:, :top_k]
    return _byte_strings(
        [
            [_class(float(row[index]), int(index), labels) for index in best]
            for row, best in zip(values, order, strict=True)
        ]
    )


def _class(value: float, index: int, labels: tuple[str, ...]) -> str:
    return f"{value:f}:{index}:{labels[index]}" if labels else f"{value:f}:{index}"


def _byte_strings(rows: list[list[str]]) -> Array:
    array = np.empty((len(rows), len(rows[0])), object)
    for row, texts in enumerate(rows):
        array[row] = [text.encode() for text in texts]
    return array
