"""Backends that break the promise, each in its own way, and what a proof of them needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from batchproof_server.base.backend import Backend, EngineSettings
from batchproof_server.base.errors import BackendFailed
from batchproof_server.base.signature import Array, Signature, Tensors
from batchproof_server.proof.certificate.certificate import Certificate
from batchproof_server.proof.certificate.kept import KeptCertificates
from batchproof_server.proof.certificate.machine import Machine
from batchproof_server.proof.certificate.signing import TrustedKeys
from batchproof_server.proof.examination import Candidate, Examined
from batchproof_server.proof.proving import Prover
from batchproof_server.proof.settings import Progress, ProofSettings
from support.fakes import ElementwiseBackend, FakeClock, spec

BUCKETS = (2, 4, 8)
MACHINE = Machine("Linux", "x86_64", "a processor", ("avx2", "fma"), 2)


class Good(ElementwiseBackend):
    """Keeps the promise: ``y = 2 x + 1``, element by element, for rows of 3 float32."""

    def __init__(self, *row_shape: int | None, dtype: str = "float32") -> None:
        super().__init__(*(row_shape or (3,)))
        shape = row_shape or (3,)
        self._signature = Signature((spec("x", *shape, dtype=dtype),), (spec("y", *shape),))

    def execute(self, inputs: Tensors) -> Tensors:
        """Computes, then does what the class is for."""
        answers = np.array(super().execute(inputs)["y"])
        return {"y": self.spoilt(answers, inputs["x"])}

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Changes nothing."""
        del inputs
        return answers


class Mixing(Good):
    """Each row gets a little of the one after it, as far as it is finite."""

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Mixes."""
        neighbours = np.nan_to_num(np.roll(inputs, -1, axis=0), posinf=0, neginf=0)
        return answers + np.float32(1e-3) * neighbours


class LeakingNan(Good):
    """One row that is not finite makes the next one NaN."""

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Leaks."""
        answers[np.roll(~np.isfinite(inputs).all(axis=1), 1)] = np.nan
        return answers


class Placed(Good):
    """The last place of a micro-batch gets another last bit."""

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Changes one place."""
        del inputs
        answers[-1] = np.nextafter(answers[-1], np.inf)
        return answers


class UnevenTwo(Good):
    """Bucket 2 computes its last row in another order, as some kernels do."""

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Changes one place of one bucket."""
        if len(inputs) == 2:
            answers[-1] = np.nextafter(answers[-1], np.inf)
        return answers


class RarelyOtherwise(Good):
    """Gives few rows another last bit: in some buckets, and there perhaps at the last place only.

    Args:
        buckets_rows: which.
        share: of all rows.
        everywhere: whether at each place.
    """

    def __init__(self, *buckets_rows: int, share: float = 0.05, everywhere: bool = True) -> None:
        super().__init__()
        self._signature = Signature(self.signature.inputs, (spec("y", 1),))
        self._buckets_rows, self._share, self._everywhere = buckets_rows, share, everywhere

    def execute(self, inputs: Tensors) -> Tensors:
        """One number for each row."""
        return {"y": np.ascontiguousarray(super().execute(inputs)["y"][:, :1])}

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Changes a row by what its own bits say."""
        if len(inputs) in self._buckets_rows:
            chosen = np.array([crc32(row.tobytes()) < self._share * 2**32 for row in inputs])
            if not self._everywhere:
                chosen[:-1] = False
            answers[chosen] = np.nextafter(answers[chosen], np.inf)
        return answers


class Drifting(Good):
    """Every execution moves all answers by a little."""

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Moves."""
        del inputs
        return answers + len(self.shapes)


class DriftingOnce(Good):
    """Answers otherwise from its 20th execution on."""

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Moves once."""
        del inputs
        return answers + (len(self.shapes) >= 20)


class OddOne(Good):
    """Computes bucket 1 in another order, as matrix times vector is."""

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Changes the last bit of a lone row."""
        return np.nextafter(answers, np.inf) if len(inputs) == 1 else answers


class Stepwise(Good):
    """Up to four rows have the same last bits; beyond, each number of rows has its own."""

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Rounds otherwise."""
        rows = len(inputs)
        return answers if rows <= 4 else answers * np.float32(1 + rows * 2e-8)


class Counting(Good):
    """Adds a share of the number of rows to each answer.

    Args:
        share: what each row but the first adds.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """Adds."""
        return answers + np.float32(self._share * (len(inputs) - 1))


class Learning(Good):
    """Answers well and changes a variable meanwhile."""

    def state_digest(self) -> str:
        """Another one after each execution."""
        return f"after {len(self.shapes)}"


class Picky(Good):
    """Fails on whatever a test says.

    Args:
        refuses: whether it fails on a micro-batch.
    """

    def __init__(self, refuses: Callable[[Array], Any]) -> None:
        super().__init__()
        self._refuses = refuses

    def execute(self, inputs: Tensors) -> Tensors:
        """Computes or fails."""
        if self._refuses(inputs["x"]):
            raise BackendFailed("refused")
        return super().execute(inputs)


class Blind(Good):
    """Looks at nothing."""

    def spoilt(self, answers: Array, inputs: Array) -> Array:
        """The same for all."""
        del inputs
        return np.zeros_like(answers)


@dataclass
class Bench:
    """A prover with fakes around it, and what it told."""

    settings: ProofSettings = field(default_factory=ProofSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    machine: Machine = MACHINE
    versions: dict[str, str] = field(default_factory=lambda: {"numpy": "2.4.0"})
    onednn: str = "default"
    told: list[Progress] = field(default_factory=list)
    trusted: TrustedKeys = field(default_factory=TrustedKeys)

    def prove(self, candidate: Candidate) -> Certificate:
        """Proves."""
        return self.prover()(candidate)

    def prover(self) -> Prover:
        """What proves."""
        kept = self.settings.certificate_directory
        return Prover(
            settings=self.settings,
            engine=self.engine,
            machine=self.machine,
            versions=self.versions,
            onednn=self.onednn,
            clock=FakeClock(),
            utc_now=lambda: "2024-02-29T12:00:00+00:00",
            tell=self.told.append,
            kept=KeptCertificates(Path(kept) if kept else None, self.trusted),
        )

    def steps(self) -> list[str]:
        """The steps that were told, without repetition."""
        return list(dict.fromkeys(progress.step for progress in self.told))


def candidate(
    backend: Backend,
    directory: Path = Path("nowhere"),
    buckets_rows: Sequence[int] = BUCKETS,
    **changes: Any,
) -> Candidate:
    """A candidate around a backend; ``changes`` replace its fields."""
    plain = Candidate(
        model="pictures",
        version=3,
        directory=directory,
        model_digest="ab" * 32,
        recipe_digest="cd" * 32,
        buckets_rows=tuple(buckets_rows),
        examined=Examined(backend),
    )
    return replace(plain, **changes)


def rule_ids(certificate: Certificate) -> set[str]:
    """The rules of its findings."""
    return {finding.rule_id for finding in certificate.findings}
