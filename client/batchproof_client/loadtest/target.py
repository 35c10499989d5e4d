"""What the runner knows of a protocol: how to send one item, and what came back."""

from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, TypeAlias

from batchproof_client.loadtest.items import Item

ProtocolName: TypeAlias = Literal["batchproof", "oip"]
OK: Final = "OK"
INVALID_ARGUMENT: Final = "INVALID_ARGUMENT"
DEADLINE_EXCEEDED: Final = "DEADLINE_EXCEEDED"


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of the model, as the server's answer tells it.

    Attributes:
        bucket_rows: rows of the padded micro-batch.
        queue_delay_s: waited for it.
        execution_s: took.
    """

    bucket_rows: int
    queue_delay_s: float
    execution_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What must be the same each time the same item is sent.

    Attributes:
        source: who answered: model, version and digests.
        content: the answer without what may differ, such as its request id.
    """

    source: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request ended.

    Attributes:
        code: the gRPC code's name.
        executions: of an answer that tells them.
        answer: kept only when answers are compared.
        detail: the server's sentence about an error.
    """

    code: str
    executions: tuple[Execution, ...] = ()
    answer: Answer | None = None
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether there was an answer."""
        return self.code == OK

    def to(self, item: Item) -> "Outcome":
        """The same, and its sentence says which item it is about if it is about the item."""
        if self.code != INVALID_ARGUMENT:
            return self
        return replace(self, detail=f"{item.name}: {self.detail}")


# Contract: ``send`` raises nothing but CancelledError, and ends at the latest when its time is up.
class Target(Protocol):
    """One connection to a server."""

    async def send(self, item: Item, timeout_s: float) -> Outcome:
        """Sends one item, within ``timeout_s`` above 0."""
        ...

    async def close(self) -> None:
        """Cancels what is under way."""
        ...
