"""The rules of the probes: what only an execution can show. The audit's are in ``rules``."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from batchproof_server.proof.findings import Finding, Rule, Severity

_SINGLE: Final = "serve a model whose rows never meet, or report it with the certificate attached"
_REPAIR: Final = (
    "run `batchproof-server repair BUNDLE -o OUT` on a .keras file, or export the model again with "
    "training=False"
)
_OTHER_ENGINE: Final = 'nothing under [engine] name = "auto", which takes the next engine'

_TABLE: Final = (
    Rule(
        "BP501",
        "answer depends on co-batched rows",
        Severity.FAIL,
        "a picture gets other answers beside other pictures",
        _REPAIR,
    ),
    Rule(
        "BP502",
        "NaN or infinity leaks",
        Severity.FAIL,
        "one row that overflows spoils the answers of its neighbours",
        _SINGLE,
    ),
    Rule(
        "BP503",
        "answer depends on the position",
        Severity.FAIL,
        "a picture gets other answers at other places of the micro-batch",
        "nothing while other buckets are served instead of this one; or else try other "
        "buckets_rows, or TF_ENABLE_ONEDNN_OPTS=1",
    ),
    Rule(
        "BP504",
        "the same batch, another answer",
        Severity.FAIL,
        "an answer depends on chance or on what was executed before",
        _REPAIR,
    ),
    Rule(
        "BP505",
        "variables changed",
        Severity.FAIL,
        "answering changes the model, so an answer depends on the requests before it",
        _REPAIR,
    ),
    Rule(
        "BP506",
        "a bucket cannot be executed",
        Severity.FAIL,
        "every micro-batch of this size would fail",
        "take the bucket out of batching.buckets_rows, or give the process more memory",
    ),
    Rule(
        "BP507",
        "the model fails on a row",
        Severity.WARN,
        "one such row makes its whole micro-batch fail",
        "check the range of what is sent before it is sent, or make the model accept it",
    ),
    Rule(
        "BP508",
        "buckets differ",
        Severity.NOTE,
        "the engine computes these row counts in another order, so the last bits differ",
        'nothing under consistency = "strict", which serves one class only',
    ),
    Rule(
        "BP509",
        "sample not usable",
        Severity.WARN,
        "the recipe of the bundle refuses a picture of the bundle, so it is not part of the proof",
        "replace the sample, or mend the recipe",
    ),
    Rule(
        "BP510",
        "probes without power",
        Severity.WARN,
        "the answers to all probe rows are the same, so the probes could not have seen a mixture",
        "check that the model has its trained weights",
    ),
    Rule(
        "BP511",
        "inputs of any size",
        Severity.NOTE,
        "each size is executed by kernels of its own; one was probed",
        "declare one size in the model or in the recipe",
    ),
    Rule(
        "BP512",
        "the number of rows is in the answer",
        Severity.FAIL,
        "a picture gets another answer where more or fewer rows are executed together, by more "
        "than rounding explains",
        "compute without the size of axis 0, or report the model with the certificate attached",
    ),
    Rule(
        "BP513",
        "one row cannot be executed",
        Severity.NOTE,
        "the answers could not be compared with those to one row by itself",
        "build the model with None as its batch dimension",
    ),
    Rule(
        "BP514",
        "the engines differ",
        Severity.FAIL,
        "this engine gives other answers than the library that the model was made with, by more "
        "than rounding explains",
        _OTHER_ENGINE,
    ),
    Rule(
        "BP515",
        "the engines name different classes",
        Severity.FAIL,
        "a picture gets another class, or other labels, than from the library that the model was "
        "made with",
        _OTHER_ENGINE,
    ),
    Rule(
        "BP516",
        "the output is of another kind than declared",
        Severity.FAIL,
        "the scores would be computed from numbers that mean something else",
        "change the kind of this output in the manifest",
    ),
)

PROBE_RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.rule_id: rule for rule in _TABLE})


def probe_finding(rule_id: str, where: str, detail: str = "") -> Finding:
    """A finding of a rule of this table.

    Args:
        rule_id: of ``PROBE_RULES``.
        where: the bucket, the probe row or the sample.
        detail: what exactly was measured, as one sentence.
    """
    rule = PROBE_RULES[rule_id]
    return Finding(rule_id, rule.severity, where, rule.why, rule.mend, detail, rule.repairable)
