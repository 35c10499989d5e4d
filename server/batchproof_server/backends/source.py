"""A source: an artefact that was opened, which is what engines compile.

Light to import: what a source is made of stays in the folder of its artefact kind.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from batchproof_server.base.signature import Array, Signature, Tensors
from batchproof_server.proof.certificate.certificate import RepairRecord
from batchproof_server.proof.findings import Finding

EnoughDraws: TypeAlias = Callable[[Sequence[dict[str, Array]]], bool]
"""Whether so many draws are enough; asked before each, first of none."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What can be seen of a model besides its signature; empty where nothing can.

    Attributes:
        parts: names of the models that it is made of, its own first.
        preprocessing: the layers that prepare pictures inside of it, each as its class and what it
            was given.
        endings: the function that each output ends with, by name: ``softmax``, ``sigmoid``, or
            empty for another.
        left_out: the outputs that hold text, which no engine serves.
    """

    parts: tuple[str, ...] = ()
    preprocessing: tuple[str, ...] = ()
    endings: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def typical_rows(buckets_rows: Iterable[int]) -> tuple[int, ...]:
    """The smallest and the largest row count that batch; all there are where none does."""
    rows = sorted(buckets_rows)
    batching = [count for count in rows if count > 1] or rows
    return tuple(sorted({batching[0], batching[-1]}))


# Contract of a source
#
# It is a model in memory, as its artefact has it, of which nothing was executed yet. It belongs to
# no engine: several may compile it, each for its own buckets. One thread at a time has it.
#   - repair() puts the model into inference mode in place; doing it again changes nothing. Who
#     wants a repaired model repairs it before anything else.
#   - audit() judges the model, audit_graphs() the graphs that engines get. Both return what they
#     find and raise for none of it.
#   - signature() is the same for all buckets.
# Nothing of a source refers to its engines, and a backend keeps what it needs of a source alive.
class Source(ABC):
    """An opened artefact; one without modes and graphs has nothing to repair and to audit."""

    @property
    def versions(self) -> Mapping[str, str]:
        """What computes besides the engine, by package; part of the engine's text."""
        return {}

    @abstractmethod
    def signature(self, buckets_rows: tuple[int, ...]) -> Signature:
        """The inputs and outputs as requests name them.

        Args:
            buckets_rows: the row counts that will be executed.

        Raises:
            ModelRefused: an input or output cannot be served in these row counts.
        """

    def repair(self) -> tuple[RepairRecord, ...]:
        """Puts the model into inference mode.

        Returns:
            What was changed, in the order of execution.

        Raises:
            ModelRefused: it cannot be put there.
        """
        return ()

    def audit(self) -> tuple[Finding, ...]:
        """What is to be said of the loaded model; after a repair, what remains."""
        return ()

    def audit_graphs(self, buckets_rows: tuple[int, ...]) -> tuple[Finding, ...]:
        """What is to be said of the graphs that engines compile for these buckets."""
        del buckets_rows
        return ()

    def thresholds(self, buckets_rows: tuple[int, ...]) -> tuple[float, ...]:
        """Levels of inputs at which these graphs decide something, the most telling first."""
        del buckets_rows
        return ()

    def anatomy(self) -> Anatomy:
        """What can be seen of the model besides its signature.

        Raises:
            ModelRefused: it cannot be traced.
        """
        return Anatomy()


class GraphSource(Source):
    """A source of TensorFlow functions, for every engine that can read them."""

    @abstractmethod
    def functions(self, buckets_rows: tuple[int, ...]) -> Mapping[int, Any]:
        """A ``tf.types.experimental.ConcreteFunction`` of static row count for each bucket.

        Each goes from positional tensors in the order of the signature to a dictionary of the
        outputs. The same buckets give the same functions, which are those that are audited.

        Raises:
            ModelRefused: an input or output cannot be served, or the model cannot be traced.
        """

    @abstractmethod
    def function_of_any_rows(self) -> Any:
        """The like for engines that fix the number of rows themselves.

        Its axis 0 is open, unless the model was built for one row count.

        Raises:
            ModelRefused: the model cannot be traced.
        """

    @property
    @abstractmethod
    def owner(self) -> object:
        """What holds variables and tables; the functions refer to them weakly."""


class IntermediateSource(Source):
    """A model in the form of an engine, which that can keep and open again by itself."""

    @property
    @abstractmethod
    def model(self) -> Any:
        """What the engine compiles."""

    @abstractmethod
    def write(self, directory: Path) -> None:
        """Writes all that it is made of into an empty directory, the same bytes each time.

        Raises:
            OSError: it cannot be written.
        """


class Penultimate(Protocol):
    """The layer before the one that makes the scores, in inference mode."""

    @property
    def layer(self) -> str:
        """Its name."""
        ...

    def __call__(self, rows: Array) -> Array:
        """From input rows to float32 [rows, values]."""
        ...


class LayeredSource(Source):
    """A source that knows its layers: more can be done with it than to execute it."""

    @abstractmethod
    def predict(self, inputs: Tensors, batch_rows: int) -> dict[str, Array]:
        """What the library's own ``predict`` answers, as a notebook shows it; never for serving.

        Args:
            inputs: by the names of the signature, any number of rows.
            batch_rows: of the library's batches.

        Returns:
            The outputs by the names of the signature. Before ``repair``: of the model as saved.
        """

    @abstractmethod
    def in_training_mode(
        self, inputs: Tensors, *, statistics: bool, dropout: bool
    ) -> dict[str, Array]:
        """What a model that is wrongly run answers; the source is afterwards as before.

        Args:
            inputs: by the names of the signature; these rows are one batch.
            statistics: whether batch normalisation takes the statistics of this batch.
            dropout: whether dropout draws.
        """

    @abstractmethod
    def draw_in_training_mode(
        self, inputs: Tensors, enough: EnoughDraws, *, statistics: bool
    ) -> list[dict[str, Array]]:
        """The same where dropout draws, one answer to this batch after the other.

        Args:
            inputs: as above.
            enough: ends it.
            statistics: as above.
        """

    @abstractmethod
    def penultimate(self) -> Penultimate | None:
        """What feeds the layer that makes the scores; None where that is no single tensor."""

    @abstractmethod
    def save(self, target: Path) -> None:
        """Writes the model as it is now to a new file."""
