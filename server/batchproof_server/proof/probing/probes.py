"""Tries a loaded model: does a row get the same bits alone, co-batched, elsewhere and again?

Pure over ``Backend``. Each bucket is executed with the same rows in several arrangements, and every
answer is compared with the row's first one in that bucket. Only when two differ, further executions
find out why. A fault that shows in a share q of all (row, position, co-batched rows) triples is
missed with probability (1 - q)^n over n comparisons that meet them at random.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from batchproof_server.base.backend import Backend, Stateful
from batchproof_server.base.errors import BackendFailed
from batchproof_server.proof.findings import Finding, Severity
from batchproof_server.proof.probing.answers import Answer, difference, same_bits
from batchproof_server.proof.probing.attribution import Suspect, attribute, bucket_name
from batchproof_server.proof.probing.executing import answers_of, chunks
from batchproof_server.proof.probing.rows import SEED, WIDEST, ProbeRow, poison_rows
from batchproof_server.proof.probing.rules import probe_finding

PERMUTATIONS: Final = 2

Count: TypeAlias = Callable[[int, int], None]
_Step: TypeAlias = Callable[[int, Sequence[ProbeRow]], None]


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What the probes saw.

    Attributes:
        rows: those that the model accepts, in order.
        answers: for each bucket that could be executed, the answer to each of ``rows``.
        findings: what differed.
        faults: for each bucket in which answers differed, the rules that it broke.
        executions: how often the model was executed in each arrangement.
        comparisons: answers that were compared with another.
        state_digest: of the model's variables, before and after; empty when it shows none.
    """

    rows: tuple[ProbeRow, ...]
    answers: Mapping[int, tuple[Answer, ...]]
    findings: tuple[Finding, ...]
    faults: Mapping[int, frozenset[str]]
    executions: Mapping[str, int]
    comparisons: int
    state_digest: str


def probe(
    backend: Backend,
    buckets_rows: Sequence[int],
    rows: Sequence[ProbeRow],
    count: Count,
    *,
    permutations: int = PERMUTATIONS,
) -> ProbeReport:
    """Executes every bucket in every arrangement.

    Args:
        backend: loaded for ``buckets_rows``.
        buckets_rows: ascending.
        rows: what to try; the first should be harmless.
        count: told how many of how many steps are done.
        permutations: random orders in each bucket.
    """
    state = state_digest(backend)
    prober = _Prober(backend)
    steps: list[_Step] = [
        prober.execute_co_batched,
        *(partial(prober.execute_permuted, order) for order in range(permutations)),
        prober.execute_padded,
        prober.execute_poisoned,
        prober.execute_again,
    ]
    total = len(steps) * len(buckets_rows)
    count(0, total)  # a row of which the model makes no end may be the first
    kept = prober.execute_alone(rows, buckets_rows[0])
    work = itertools.product(steps, buckets_rows if kept else ())
    for done, (step, bucket) in enumerate(work, 1):
        prober.attempt(step, bucket, kept)
        if done < total:
            count(done, total)
    count(total, total)
    explained = prober.explain(kept)
    findings = [*prober.findings, *itertools.chain.from_iterable(explained.values())]
    findings.extend(_powerless(prober, kept))
    if state_digest(backend) != state:
        findings.append(
            probe_finding("BP505", "variables", "their checksum is another after the probes")
        )
    return ProbeReport(
        rows=tuple(kept),
        answers={bucket: tuple(known) for bucket, known in prober.answers.items()},
        findings=tuple(findings),
        faults={
            bucket: frozenset(finding.rule_id for finding in of_bucket)
            for bucket, of_bucket in explained.items()
        },
        executions=dict(prober.executions),
        comparisons=prober.comparisons,
        state_digest=state,
    )


def state_digest(backend: Backend) -> str:
    """The checksum of the model's variables; empty when the backend shows none."""
    return backend.state_digest() if isinstance(backend, Stateful) else ""


def without_uneven_buckets(report: ProbeReport) -> ProbeReport:
    """Leaves out the buckets whose only fault is that places differ, where others have none.

    Such a bucket is executed by a kernel that computes the last row in another order than the
    first. That is a property of this row count, and not of the model: TensorFlow 2.21 without
    oneDNN does it with a MobileNetV2 in batches of 2, and in none of 4, 8 and 16. The findings stay
    as warnings.
    """
    uneven = {bucket for bucket, rules in report.faults.items() if rules == {_PLACE}}
    if not uneven or not report.answers.keys() - report.faults.keys():
        return report
    places = {bucket_name(bucket) for bucket in uneven}
    return replace(
        report,
        answers={
            bucket: answers for bucket, answers in report.answers.items() if bucket not in uneven
        },
        findings=tuple(
            replace(finding, severity=Severity.WARN)
            if finding.rule_id == _PLACE and finding.where in places
            else finding
            for finding in report.findings
        ),
    )


_PLACE: Final = "BP503"


def _powerless(prober: "_Prober", rows: Sequence[ProbeRow]) -> Iterator[Finding]:
    """All answers the same: a model that looks at nothing passes every comparison."""
    for bucket, answers in prober.answers.items():
        if len(rows) > 1 and all(same_bits(answers[0], answer) for answer in answers[1:]):
            detail = f"{len(rows)} different rows get the same answer"
            yield probe_finding("BP510", bucket_name(bucket), detail)
            return


# One probe after another on one backend; remembers what it saw.
@dataclass(slots=True)
class _Prober:
    backend: Backend
    answers: dict[int, list[Answer]] = field(default_factory=dict)
    first: dict[int, list[Answer]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    suspects: dict[int, list[Suspect]] = field(default_factory=dict)
    executions: Counter[str] = field(default_factory=Counter)
    comparisons: int = 0

    def execute_alone(self, rows: Sequence[ProbeRow], smallest: int) -> list[ProbeRow]:
        """Each row alone, padded to the smallest bucket; drops those that the model refuses."""
        kept = []
        for row in rows:
            try:
                got = self._run("alone", [row] * smallest)
            except BackendFailed:
                detail = f"the model fails on the probe row of {row.name}"
                self.findings.append(probe_finding("BP507", row.name, detail))
                continue
            kept.append(row)
            self.answers.setdefault(smallest, []).append(got[0])
            self._compare(smallest, "alone", got, [len(kept) - 1] * smallest)
        if not kept:
            detail = f"the model fails on each of {len(rows)} probe rows"
            self.findings.append(probe_finding("BP506", bucket_name(smallest), detail))
        return kept

    def attempt(
        self,
        step: _Step,
        bucket_rows: int,
        rows: Sequence[ProbeRow],
    ) -> None:
        """Runs one arrangement; a bucket that cannot be executed is a finding, once."""
        if step != self.execute_co_batched and bucket_rows not in self.answers:
            return
        try:
            step(bucket_rows, rows)
        except BackendFailed:
            self.answers.pop(bucket_rows, None)
            detail = "the model fails on rows that it accepts elsewhere"
            self.findings.append(probe_finding("BP506", bucket_name(bucket_rows), detail))

    def execute_co_batched(self, bucket_rows: int, rows: Sequence[ProbeRow]) -> None:
        """All rows in order; their first answers, except where they were met alone."""
        met = dict(enumerate(self.answers.get(bucket_rows, ())))
        for chunk in chunks(len(rows), bucket_rows):
            got = self._run("company", [rows[row] for row in chunk])
            self.first.setdefault(bucket_rows, got)
            for row, answer in zip(chunk, got, strict=True):
                met.setdefault(row, answer)
            self.answers[bucket_rows] = [met[row] for row in sorted(met)]
            self._compare(bucket_rows, "company", got, chunk)

    def execute_permuted(self, number: int, bucket_rows: int, rows: Sequence[ProbeRow]) -> None:
        """All rows at other places, with other neighbours, in one of several orders."""
        numbers = np.random.Generator(np.random.Philox(key=[SEED, bucket_rows + (number << 32)]))
        order = [int(row) for row in numbers.permutation(len(rows))]
        for chunk in chunks(len(rows), bucket_rows):
            places = [order[place] for place in chunk]
            got = self._run("permuted", [rows[row] for row in places])
            self._compare(bucket_rows, "permuted", got, places)

    def execute_padded(self, bucket_rows: int, rows: Sequence[ProbeRow]) -> None:
        """Single rows, padded with copies of themselves; the smallest bucket has had every row.

        One is the row of wide magnitudes, whose sums show another order of summation best.
        """
        if bucket_rows == min(self.answers):
            return
        widest = next((place for place, row in enumerate(rows) if row.name == WIDEST), 0)
        for row in (widest, bucket_rows % len(rows)):
            got = self._run("alone", [rows[row]] * bucket_rows)
            self._compare(bucket_rows, "alone", got, [row] * bucket_rows)

    def execute_poisoned(self, bucket_rows: int, rows: Sequence[ProbeRow]) -> None:
        """Every second row is NaN or an infinity; the others must not notice."""
        poison = poison_rows(rows[0])
        if not poison or bucket_rows == 1:
            return
        places = [place % len(rows) if place % 2 else None for place in range(bucket_rows)]
        poisons = itertools.cycle(poison)
        batch = [next(poisons) if row is None else rows[row] for row in places]
        try:
            got = self._run("poisoned", batch)
        except BackendFailed:
            detail = "the model fails on a row of NaN or infinities"
            self.findings.append(probe_finding("BP507", bucket_name(bucket_rows), detail))
            return
        self._compare(bucket_rows, "poisoned", got, places)

    def execute_again(self, bucket_rows: int, rows: Sequence[ProbeRow]) -> None:
        """The first micro-batch again, after all the others."""
        chunk = next(chunks(len(rows), bucket_rows))
        got = self._run("repeated", [rows[row] for row in chunk])
        self._compare(bucket_rows, "repeated", got, chunk, self.first[bucket_rows])

    def _run(self, arrangement: str, rows: Sequence[ProbeRow]) -> list[Answer]:
        self.executions[arrangement] += 1
        return answers_of(self.backend, rows)

    def _compare(
        self,
        bucket_rows: int,
        arrangement: str,
        got: Sequence[Answer],
        places: Sequence[int | None],
        expected: Sequence[Answer] = (),
    ) -> None:
        known = self.answers[bucket_rows]
        for place, (row, answer) in enumerate(zip(places, got, strict=True)):
            if row is None or known[row] is answer:
                continue
            wanted = expected[place] if expected else known[row]
            self.comparisons += 1
            if not same_bits(wanted, answer):
                by = difference(wanted, answer)
                suspect = Suspect(arrangement, row, place, by, tuple(places))
                self.suspects.setdefault(bucket_rows, []).append(suspect)

    def explain(self, rows: Sequence[ProbeRow]) -> dict[int, list[Finding]]:
        """Finds out why answers differ, with further executions."""
        return {
            bucket: list(attribute(self.backend, bucket, rows, suspects))
            for bucket, suspects in sorted(self.suspects.items())
        }
