"""What the output of a model is."""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict

from batchproof_server.base.meaning import Limit, Meaning
from batchproof_server.base.output_forms import FORMS, ScoresForm, ScoresKind
from batchproof_server.base.validation import NO_UNKNOWN_KEYS

OutputKind = Literal[ScoresKind, "raw"]


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """What the model's output is.

    Attributes:
        kind: ``logits`` and ``probabilities`` are [rows, classes]. ``binary_logit`` and
            ``binary_probability`` are [rows, 1] or [rows]: the logit or the probability of the
            second of two classes, as ``Dense(1)`` gives them without and with a sigmoid.
            ``multilabel_logits`` and ``multilabel_probabilities`` are [rows, labels]: a logit or a
            probability of each label, independent of the others. ``raw`` is anything else and is
            returned as it is.
        name: which output holds the scores; may be left out when there is one output, and must be
            when the kind is ``raw``.
        threshold: of a binary model: the answer is the second class when its probability is above
            this; None is the more probable class, the first of a tie. Of several labels: each is
            answered when its probability is above this; None is 0.5.
        thresholds: in its place, one for each label.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    kind: OutputKind
    name: str | None = None
    threshold: float | None = None
    thresholds: tuple[float, ...] | None = None

    @property
    def form(self) -> ScoresForm | None:
        """Of the class scores; None where there are none."""
        return FORMS.get(self.kind)

    @property
    def is_binary(self) -> bool:
        """Whether there is one value for two classes."""
        return self.form is not None and self.form.is_binary

    @property
    def is_multi_label(self) -> bool:
        """Whether answers are sets of labels."""
        return self.form is not None and self.form.is_multi_label

    @property
    def has_logits(self) -> bool:
        """Whether answers have logits."""
        return self.form is not None and self.form.has_logits

    @property
    def limit(self) -> Limit:
        """The threshold or the thresholds."""
        return self.threshold if self.thresholds is None else self.thresholds

    @property
    def meaning(self) -> Meaning:
        """What the class scores mean together; of a raw output the most probable class."""
        return (self.form or FORMS["logits"]).meaning(self.limit)

    def scores(self) -> tuple[str, ScoresKind]:
        """Which output holds class scores, and what they are.

        Raises:
            ValueError: none does, or it has not been named.
        """
        if self.kind == "raw" or self.name is None:
            raise ValueError(f"the output is {self.kind} and holds no scores")
        return self.name, self.kind

    def __post_init__(self) -> None:
        if self.kind == "raw" and self.name is not None:
            raise ValueError(f'name is "{self.name}", expected none: raw outputs hold no scores')
        if self.threshold is not None:
            if not (self.is_binary or self.is_multi_label):
                raise ValueError(
                    f'threshold is {self.threshold}, expected none: kind is "{self.kind}"'
                )
            _check_threshold("threshold", self.threshold)
        if self.thresholds is not None:
            self._check_thresholds(self.thresholds)

    def _check_thresholds(self, thresholds: tuple[float, ...]) -> None:
        if not self.is_multi_label:
            raise ValueError(
                f"{len(thresholds)} thresholds, expected none: they belong to several independent "
                f'labels, and kind is "{self.kind}"'
            )
        if self.threshold is not None:
            raise ValueError("threshold and thresholds are both given, expected one of them")
        if not thresholds:
            raise ValueError("thresholds is empty, expected one for each label")
        for place, each in enumerate(thresholds):
            _check_threshold(f"thresholds[{place}]", each)


def _check_threshold(name: str, threshold: float) -> None:
    if not 0 < threshold < 1:
        raise ValueError(f"{name} is {threshold}, expected above 0 and below 1")


RAW_OUTPUT: Final = OutputSettings("raw")
