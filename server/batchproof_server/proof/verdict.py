"""What a proof comes to. Pure."""

from collections.abc import Iterable
from typing import Final, Literal, Protocol, TypeAlias

from batchproof_server.proof.findings import Severity

Verdict: TypeAlias = Literal["proven", "probed", "unproven"]
"""``proven``: read and probed. ``probed``: nothing failed, but the audit left something undecided,
so that only the probes speak. ``unproven``: something failed."""

# What the audit says where it cannot tell whether rows stay apart.
_UNDECIDED: Final = frozenset({"BP210", "BP305"})


class _Found(Protocol):
    @property
    def rule_id(self) -> str: ...

    @property
    def severity(self) -> Severity: ...


def verdict_of(findings: Iterable[_Found]) -> Verdict:
    """The verdict that follows from all findings of a proof."""
    found = list(findings)
    if any(finding.severity is Severity.FAIL for finding in found):
        return "unproven"
    return "probed" if any(map(is_undecided, found)) else "proven"


def is_undecided(finding: _Found) -> bool:
    """Whether the audit left to the probes what it found here."""
    return finding.rule_id in _UNDECIDED
