"""A certificate as a few lines for people."""

from collections.abc import Iterable, Iterator, Sequence

from batchproof.text import joined
from batchproof_server.proof.certificate.certificate import Certificate, Measured, RepairRecord
from batchproof_server.proof.certificate.signing import KeySignature
from batchproof_server.proof.probing.parity import Parity

_WIDTH = 14
# So many repairs of one kind are listed.
_FEW = 3


def report(
    certificate: Certificate, signature: KeySignature | None = None, *, verbose: bool = False
) -> str:
    """Checks, repairs, buckets, classes and findings; ends without a line break.

    Args:
        certificate: of a proof.
        signature: of it.
        verbose: name every repair, also where many are alike.
    """
    subject, measured = certificate.subject, certificate.measured
    environment, machine = subject.environment, subject.environment.machine
    count = sum(measured.executions.values())
    title = f"{certificate.model} version {certificate.version}"
    lines = [
        f"{title}: {certificate.verdict.upper()}{_unread(certificate)}, {certificate.consistency}",
        *field("certificate", [certificate.digest]),
        *([] if signature is None else field("signed by", [signature.key])),
        *field("model", [subject.model_digest]),
        *field("recipe", [subject.recipe_digest or "none: tensors only"]),
        *field("engine", [environment.engine]),
        *field("machine", [f"{machine.architecture}, {machine.processor}"]),
        *field("probe rows", [_counted(subject.probe_rows)]),
        *field("executions", [f"{count}: {_counted(measured.executions)}"]),
        *field("comparisons", [f"{measured.comparisons}, bit for bit"]),
        *_parity(measured.parity),
        *field("buckets", _buckets(subject.buckets_rows, measured)),
        *(
            line
            for each in certificate.passed_over
            for line in field("passed over", each.sentences)
        ),
        *field("repairs", summed_repairs(certificate.repairs, verbose=verbose)),
        *field("findings", [f"{each.severity}  {each.sentence}" for each in certificate.findings]),
    ]
    return joined(lines)


def _unread(certificate: Certificate) -> str:
    if certificate.verdict != "probed":
        return ""
    count = len(certificate.undecided)
    return f" (tested; the audit left {count} place{'s' * (count > 1)} undecided)"


def summed_repairs(repairs: Iterable[RepairRecord], *, verbose: bool = False) -> Iterator[str]:
    """One line for each repair; one for many that are alike, unless ``verbose``."""
    alike: dict[str, list[str]] = {}
    for repair in repairs:
        alike.setdefault(repair.change, []).append(repair.where)
    for change, places in alike.items():
        if len(places) > _FEW and not verbose:
            yield f"{places[0]} and {len(places) - 1} more: {change}"
        else:
            yield from (f"{place}: {change}" for place in places)


def field(name: str, values: Iterable[str]) -> Iterator[str]:
    """One line for each value, the name before the first; as the lines of a report."""
    head = name
    for value in values:
        yield f"  {head:<{_WIDTH}}{value}"
        head = ""
    if head:
        yield f"  {head:<{_WIDTH}}none"


def _counted(counts: object) -> str:
    pairs = counts.items() if isinstance(counts, dict) else ()
    return ", ".join(f"{number} {name}" for name, number in pairs)


def _parity(parity: Parity | None) -> Iterator[str]:
    """Nothing where the library that the model was made with executes it."""
    if parity is not None:
        greatest = parity.greatest_difference
        by = "something that is not finite" if greatest is None else f"{greatest:.3g} at most"
        yield from field("parity", [f"{parity.rows} answers, {by} from {parity.engine}"])


def _buckets(asked_rows: Sequence[int], measured: Measured) -> Iterator[str]:
    """One line for each class, and one for what is in none."""
    served = set(measured.served_buckets_rows)
    for members in measured.classes:
        state = "served" if served.issuperset(members) else "not served"
        yield f"{', '.join(map(str, members))}: the same bits, {state}"
    known = {bucket for members in measured.classes for bucket in members}
    if left_out := [str(bucket) for bucket in asked_rows if bucket not in known]:
        yield f"{', '.join(left_out)}: left out, see the findings"
    if len(measured.classes) > 1:
        greatest = measured.greatest_difference
        shown = "not finite" if greatest is None else f"{greatest:.3g}"
        yield f"greatest difference between classes: {shown}"
