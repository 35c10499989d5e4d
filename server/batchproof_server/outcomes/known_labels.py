"""The labels of a version, and what an outcome says about an answer of it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.outcomes.answered import AnsweredRow
from batchproof_server.outcomes.refusals import TrueLabels


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """One outcome that counts.

    Attributes:
        predicted: the class that was answered.
        true: the class that it was.
        confidence: the probability of the answer.
        chosen: in the place of both, of independent labels: those that were answered.
        true_labels: and those that are true.
    """

    model: str
    version: int
    predicted: int
    true: int
    confidence: float
    chosen: tuple[int, ...] | None = None
    true_labels: tuple[int, ...] = ()

    @property
    def is_correct(self) -> bool:
        """Whether the answer was right; of labels, whether exactly these are true."""
        if self.chosen is not None:
            return set(self.chosen) == set(self.true_labels)
        return self.predicted == self.true

    def classes(self) -> Iterator[tuple[int, bool]]:
        """Each class that is true, and whether it was answered."""
        if self.chosen is None:
            yield self.true, self.is_correct
            return
        for label in self.true_labels:
            yield label, label in self.chosen


@dataclass(frozen=True, slots=True)
class AcceptedOutcome:
    """An outcome that was counted.

    Attributes:
        record: it.
        predicted_label: of the class that was answered; empty for independent labels.
        predicted_labels: that were answered; empty for classes.
    """

    record: OutcomeRecord
    predicted_label: str
    predicted_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownLabels:
    """The labels of a version.

    Attributes:
        labels: by class.
        is_multi_label: whether they are independent of each other.
        classes_of: the classes that each label stands for.
    """

    labels: tuple[str, ...]
    is_multi_label: bool = False
    classes_of: dict[str, tuple[int, ...]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for index, label in enumerate(self.labels):
            self.classes_of[label] = (*self.classes_of.get(label, ()), index)

    def can_have_answered(self, row: AnsweredRow) -> bool:
        """Whether an answer can be of this version, and not of one that had its number before."""
        if self.is_multi_label:
            return row.chosen is not None and row.predicted == len(self.labels)
        return row.chosen is None and row.predicted < len(self.labels)

    def predicted(self, row: AnsweredRow) -> tuple[str, tuple[str, ...]]:
        """The label of the class that was answered, or the labels."""
        if row.chosen is not None:
            return "", tuple(self.labels[each] for each in row.chosen)
        return self.labels[row.predicted], ()

    def outcome(self, row: AnsweredRow, truth: int | str | TrueLabels | None) -> OutcomeRecord:
        """What a truth says about an answer.

        Raises:
            InvalidInput: the truth is none of this version, or of another form than its answers.
        """
        version = (row.model, row.version)
        if row.chosen is None:
            true = self._class_of(row.model, truth)
            return OutcomeRecord(*version, row.predicted, true, row.confidence)
        if not isinstance(truth, TrueLabels):
            raise InvalidInput(
                f'the labels of model "{row.model}" are independent of each other, expected '
                "label_set: all that are true, perhaps none"
            )
        named = (self._labelled(row.model, each) for each in truth.labels)
        counted = (self._class_of(row.model, each) for each in truth.class_indices)
        labels = tuple(sorted({*named, *counted}))
        return OutcomeRecord(*version, 0, 0, row.confidence, row.chosen, labels)

    def _class_of(self, model: str, truth: int | str | TrueLabels | None) -> int:
        if truth is None:
            raise InvalidInput("the outcome has no class, expected class_index or label")
        if isinstance(truth, TrueLabels):
            raise InvalidInput(
                f'the classes of model "{model}" exclude each other, expected class_index or label'
            )
        if isinstance(truth, str):
            return self._labelled(model, truth)
        classes = len(self.labels)
        if not 0 <= truth < classes:
            raise InvalidInput(
                f'class_index is {truth}, expected 0 to {classes - 1} of model "{model}"'
            )
        return truth

    def _labelled(self, model: str, label: str) -> int:
        found = self.classes_of.get(label, ())
        if len(found) == 1:
            return found[0]
        shown = cut(label)
        if found:
            raise InvalidInput(
                f'the label "{shown}" stands for {len(found)} classes of model "{model}", '
                "expected class_index"
            )
        expected = ", ".join(self.labels[:_SHOWN_LABELS])
        more = ", ..." if len(self.labels) > _SHOWN_LABELS else ""
        raise InvalidInput(
            f'model "{model}" has no label "{shown}", expected one of {expected}{more}'
        )


_SHOWN_LABELS = 20
