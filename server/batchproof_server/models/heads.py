"""One more output of a model whose scores the manifest declares."""

from dataclasses import dataclass

from batchproof_server.base.output import OutputSettings
from batchproof_server.base.scores import Scores, score
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

    def scores(self, outputs: Tensors) -> Scores:
        """What it answers to some rows.

        Args:
            outputs: of the model.

        Raises:
            InvalidInput: they are not finite.
        """
        name, kind = self.output.scores()
        return score(outputs[name], kind, self.output.limit)
