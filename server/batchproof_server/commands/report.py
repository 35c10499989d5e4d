"""A certificate as a few lines for people."""

from collections.abc import Iterable, Iterator, Sequence

from batchproof_server.proof.certificate.certificate import Certificate, Measured
from batchproof_server.proof.certificate.signing import KeySignature

_WIDTH = 14


def report(certificate: Certificate, signature: KeySignature | None = None) -> str:
    """Checks, repairs, buckets, classes and findings; ends without a line break."""
    subject, measured = certificate.subject, certificate.measured
    environment, machine = subject.environment, subject.environment.machine
    count = sum(measured.executions.values())
    title = f"{certificate.model} version {certificate.version}"
    lines = [
        f"{title}: {certificate.verdict.upper()}{_unread(certificate)}, {certificate.consistency}",
        *_field("certificate", [certificate.digest]),
        *([] if signature is None else _field("signed by", [signature.key])),
        *_field("model", [subject.model_digest]),
        *_field("recipe", [subject.recipe_digest or "none: tensors only"]),
        *_field("engine", [environment.engine]),
        *_field("machine", [f"{machine.architecture}, {machine.processor}"]),
        *_field("probe rows", [_counted(subject.probe_rows)]),
        *_field("executions", [f"{count}: {_counted(measured.executions)}"]),
        *_field("comparisons", [f"{measured.comparisons}, bit for bit"]),
        *_field("buckets", _buckets(subject.buckets_rows, measured)),
        *_field("repairs", [f"{each.where}: {each.change}" for each in certificate.repairs]),
        *_field("findings", [f"{each.severity}  {each.sentence}" for each in certificate.findings]),
    ]
    return "\n".join(lines)


def _unread(certificate: Certificate) -> str:
    if certificate.verdict != "probed":
        return ""
    count = len(certificate.undecided)
    return f" (tested; the audit left {count} place{'s' * (count > 1)} undecided)"


def _field(name: str, values: Iterable[str]) -> Iterator[str]:
    """One line for each value, the name before the first."""
    head = name
    for value in values:
        yield f"  {head:<{_WIDTH}}{value}"
        head = ""
    if head:
        yield f"  {head:<{_WIDTH}}none"


def _counted(counts: object) -> str:
    pairs = counts.items() if isinstance(counts, dict) else ()
    return ", ".join(f"{number} {name}" for name, number in pairs)


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
