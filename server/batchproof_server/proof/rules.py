"""All rules of the audit, in one table; the documentation is generated from it. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from batchproof_server.proof.artefact.rules import ARTEFACT_RULES, fail, note, warn
from batchproof_server.proof.findings import Finding, Rule, Severity

_EXPORT: Final = (
    "run `batchproof-server repair BUNDLE -o OUT` on the .keras file that it came from, or export "
    "again after model.trainable = False with every call made with training=False"
)
_ROWS: Final = "compute along the other axes of the tensor, so that axis 0 stays one row each"

# Levels 1 and 2: the configuration of a .keras file, and the loaded Keras model.
_MODE: Final = (
    fail(
        "BP101",
        "BatchNormalization with training=True",
        "it normalises by the other rows of the batch, and each call moves its statistics",
        "build the model with training=False, or let the repair set it",
        repairable=True,
    ),
    fail(
        "BP102",
        "Dropout with training=True",
        "it drops other values at each call, so the same picture gets different answers",
        "build the model with training=False, or let the repair set it",
        repairable=True,
    ),
    fail(
        "BP103",
        "random layer with training=True",
        "it draws at random at each call, so the same picture gets different answers",
        "build the model with training=False, or let the repair set it",
        repairable=True,
    ),
    fail(
        "BP104",
        "training=True stored in a node",
        "Keras hands it on to every layer downstream when the model is called or exported",
        "build the model with training=False, or let the repair set it",
        repairable=True,
    ),
    warn(
        "BP105",
        "training mode by default, upstream",
        "up to Keras 3.15 a layer whose call defaults to training=True puts BatchNormalization "
        "and Dropout downstream into training mode when the model is called or exported",
        "call the model with training=False, set trainable=False on BatchNormalization, or let "
        "the repair do it",
        repairable=True,
    ),
    warn(
        "BP106",
        "random layer, on by default",
        "it draws at random whenever the model is called or exported without training=False",
        "leave augmentation out of the served model, or call it with training=False",
        repairable=True,
    ),
    warn(
        "BP107",
        "Keras has changed",
        "the audit cannot see how this version of Keras stores a node's arguments",
        "use a version of Keras that this project is tested with",
    ),
    note(
        "BP108",
        "custom or Lambda layer in memory",
        "its code may treat rows and training as it likes, which only its graph can tell",
        "use a layer of Keras",
    ),
    warn(
        "BP109",
        "recurrent dropout",
        "a recurrent cell with dropout moves its seed at each call, even in inference mode; no "
        "answer depends on it",
        "set its dropout to 0, or let the repair do it",
        repairable=True,
    ),
)

# Level 3: the graphs that are served; what they do besides computing.
_EFFECTS: Final = (
    fail(
        "BP201",
        "fused BatchNorm in training mode",
        "it normalises by the other rows of the batch; the raw saved_model.pb hides it, because "
        "true is the default that is left out",
        _EXPORT,
    ),
    fail(
        "BP202",
        "composite BatchNorm in training mode",
        "it normalises by the mean and the variance of the other rows of the batch",
        _EXPORT,
    ),
    fail(
        "BP203",
        "variable assignment",
        "answering changes the model, so an answer depends on the requests before it",
        _EXPORT,
    ),
    fail(
        "BP204",
        "random operation",
        "the same picture gets different answers",
        _EXPORT,
    ),
    fail(
        "BP205",
        "Python function",
        "it runs code outside the graph that nobody can check and that does not travel with it",
        "write it with TensorFlow operations",
    ),
    fail(
        "BP206",
        "file access",
        "an answer may depend on a file of this machine, or change one",
        "feed the model tensors, and leave reading and writing to the program around it",
    ),
    fail(
        "BP207",
        "table write",
        "answering changes a table, so an answer depends on the requests before it",
        "fill tables when the model is loaded",
    ),
    fail(
        "BP208",
        "queue, iterator or other state",
        "an answer depends on how often the model was called",
        "feed the model tensors",
    ),
    fail(
        "BP209",
        "clock or outside world",
        "an answer depends on when and where it was computed",
        "feed what it needs as an input",
    ),
    warn(
        "BP210",
        "unknown custom operation",
        "nobody can tell what code outside TensorFlow does with the rows",
        "use operations of TensorFlow",
    ),
    warn(
        "BP211",
        "check on the rows' content",
        "one bad row makes the whole micro-batch fail",
        "leave the check out of the served function and validate the inputs before it",
    ),
    note("BP212", "prints", "it writes to the log of the server", "leave it out"),
    fail(
        "BP213",
        "unknown stateful operation",
        "TensorFlow says that it keeps state or reaches out, and the audit does not know how",
        "use operations without state",
    ),
)

# Level 3: whether axis 0 stays one row each, all the way.
_MIXING: Final = (
    fail("BP301", "reduction over the rows", "each answer depends on all rows", _ROWS),
    fail("BP302", "rows sorted, chosen or counted", "each answer depends on other rows", _ROWS),
    fail("BP303", "rows moved", "an answer depends on another row, or on its place", _ROWS),
    fail("BP304", "rows multiplied with rows", "each answer depends on other rows", _ROWS),
    warn(
        "BP305",
        "undecided",
        "the audit cannot tell whether rows stay apart here; the probes have to",
        _ROWS,
    ),
    fail(
        "BP306",
        "the place in the batch counts",
        "each place gets other constants, so an answer depends on where in the batch it stands",
        "use constants of size 1 on axis 0",
    ),
    fail("BP307", "output without rows on axis 0", "answers cannot be told apart", _ROWS),
    note(
        "BP308",
        "output without the input",
        "this answer is the same whatever is sent",
        "leave this output out",
    ),
    warn(
        "BP309",
        "static batch dimension",
        "the model was built for one row count and can be served with no other",
        "build the model with None as its batch dimension",
    ),
    fail(
        "BP310",
        "the number of rows counts",
        "an answer depends on how many rows are executed together",
        "compute without the size of axis 0; shapes may hold it, values may not",
    ),
)

_PRECISION: Final = (
    warn(
        "BP401",
        "reduced precision",
        "float16 and bfloat16 round so coarsely that row counts differ visibly in their answers",
        'build the model under the dtype policy "float32", or serve one bucket',
    ),
)

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {rule.rule_id: rule for rule in (*ARTEFACT_RULES, *_MODE, *_EFFECTS, *_MIXING, *_PRECISION)}
)


def found(rule_id: str, where: str, detail: str = "", severity: Severity | None = None) -> Finding:
    """A finding of a rule.

    Args:
        rule_id: of ``RULES``.
        where: the layer, node or archive member.
        detail: what exactly was found, as one sentence.
        severity: where this case is milder than the rule.
    """
    rule = RULES[rule_id]
    weight = severity or rule.severity
    return Finding(rule_id, weight, where, rule.why, rule.mend, detail, rule.repairable)
