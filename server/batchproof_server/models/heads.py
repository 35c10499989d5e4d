"""One more output of a model whose scores the manifest declares."""

from dataclasses import dataclass

from batchproof_server.base.output import OutputSettings
from batchproof_server.base.output_forms import FORMS
from batchproof_server.base.scores import Scores, Scoring
from batchproof_server.base.signature import Tensors


@dataclass(frozen=True, slots=True)
class Head:
    """An output with scores, beside the one that is watched.

    Attributes:
        name: of the output.
        output: what it is, with its name.
        labels: of its classes; empty when the bundle names none.
    """

    name: str
    output: OutputSettings
    labels: tuple[str, ...]

    def label(self, class_index: int) -> str:
        """The label of a class, or its index in decimal when the bundle names none."""
        return self.labels[class_index] if self.labels else str(class_index)

    def scores(self, outputs: Tensors, *, answers_non_finite: bool = False) -> Scores:
        """What it answers to some rows.

        Args:
            outputs: of the model.
            answers_non_finite: whether rows that are not finite are those without an answer.

        Raises:
            InvalidInput: they are not finite.
        """
        name, kind = self.output.scores()
        scoring = Scoring(name, FORMS[kind], self.output.meaning)
        score = scoring.score_finite_rows if answers_non_finite else scoring.score
        return score(outputs[name])
