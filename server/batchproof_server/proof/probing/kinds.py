"""Whether what was declared of the outputs fits what the model answers to the probe rows. Pure.

One answer can be almost anything: a number between 0 and 1 may be a logit. All answers together
cannot: the rows are noise, constants, extremes and samples, and only what went through a softmax
stays between 0 and 1 with a sum of 1 for all of them.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import numpy as np

from batchproof_server.base.output import OutputSettings
from batchproof_server.base.output_forms import finite_rows
from batchproof_server.proof.findings import Finding, Severity
from batchproof_server.proof.probing.answers import Answer
from batchproof_server.proof.probing.rules import probe_finding


def kind_findings(
    outputs: Sequence[OutputSettings], answers: Sequence[Answer]
) -> Iterator[Finding]:
    """BP516 for each output that is not what it was declared to be.

    Args:
        outputs: as declared, each with its name; raw ones are passed over.
        answers: to the probe rows, none or more.
    """
    for output in outputs:
        if output.form is None or output.name is None or not answers:
            continue
        rows = finite_rows(np.stack([answer[output.name] for answer in answers]))
        if contradiction := output.form.contradiction(rows):
            found = probe_finding("BP516", f'output "{output.name}"', contradiction.detail)
            yield found if contradiction.is_certain else replace(found, severity=Severity.WARN)


def outputs_digest(outputs: Sequence[OutputSettings]) -> str:
    """SHA-256 of what was declared of the outputs, in hexadecimal; empty where all are raw."""
    declared = [asdict(output) for output in outputs if output.form is not None]
    if not declared:
        return ""
    canonical = json.dumps(declared, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
