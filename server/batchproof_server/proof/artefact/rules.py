"""The rules about files, and how rules are written. Pure."""

from typing import Final

from batchproof_server.proof.findings import Rule, Severity

_SAVE: Final = 'save the model again with keras.Model.save("model.keras")'


def fail(rule_id: str, title: str, why: str, mend: str, *, repairable: bool = False) -> Rule:
    """A rule whose case is refused."""
    return Rule(rule_id, title, Severity.FAIL, why, mend, repairable)


def warn(rule_id: str, title: str, why: str, mend: str, *, repairable: bool = False) -> Rule:
    """A rule whose case the probes decide."""
    return Rule(rule_id, title, Severity.WARN, why, mend, repairable)


def note(rule_id: str, title: str, why: str, mend: str) -> Rule:
    """A rule that breaks nothing."""
    return Rule(rule_id, title, Severity.NOTE, why, mend)


# Level 0: the artefact, before any loader touches it.
ARTEFACT_RULES: Final = (
    fail("BP001", "artefact missing", "there is nothing to serve", "give the path of a model"),
    fail("BP002", "artefact damaged", "it may be cut short or altered", _SAVE),
    fail(
        "BP003",
        "path traversal",
        "a loader that unpacks it would write outside its own directory",
        "do not use this file; its names were made by hand",
    ),
    fail(
        "BP004",
        "zip bomb",
        "a few bytes would become gigabytes when they are unpacked",
        "do not use this file; " + _SAVE,
    ),
    fail(
        "BP005",
        "absurd size",
        "a loader believes the header and reserves the memory that it claims",
        "do not use this file; " + _SAVE,
    ),
    fail(
        "BP006",
        "too many members",
        "an archive of Keras has a handful of members",
        "do not use this file; " + _SAVE,
    ),
    fail("BP007", "encrypted", "Keras cannot read it", "save the model without a password"),
    fail("BP008", "member missing", "the model is not whole", _SAVE),
    fail("BP009", "configuration unreadable", "nobody can tell what the model is", _SAVE),
    fail(
        "BP010",
        "HDF5",
        "the old format carries code and is not read in safe mode",
        'convert it where it was trained: keras.models.load_model("model.h5", compile=False)'
        '.save("model.keras") with Keras 3, or .export("model"), a SavedModel, with Keras 2.13 on',
    ),
    fail(
        "BP011",
        "pickle",
        "a pickle runs any code when it is read",
        "do not use this file; " + _SAVE,
    ),
    fail(
        "BP012",
        "Lambda layer",
        "it carries Python code that nobody has looked at",
        "use a layer of Keras",
    ),
    fail(
        "BP013",
        "custom object",
        "its code does not come with the file and may do anything",
        "use a class or a function of Keras",
    ),
    fail(
        "BP014",
        "weights outside the file",
        "HDF5 links can read any file of the machine",
        "do not use this file; " + _SAVE,
    ),
    fail(
        "BP015",
        "SavedModel graph unreadable",
        "without a whole saved_model.pb there is no model",
        "export the model again",
    ),
    fail(
        "BP016",
        "SavedModel variables missing",
        "without its variables the model answers nonsense or nothing",
        "copy the whole directory, or export the model again",
    ),
    fail(
        "BP017",
        "fingerprint differs",
        "the graph is not the one that was exported",
        "copy the whole directory again, or export the model again",
    ),
    note(
        "BP018",
        "no fingerprint",
        "a changed graph cannot be told from the exported one",
        "export the model again with TensorFlow 2.12 or later",
    ),
    fail(
        "BP019",
        "saved by Keras 2",
        "Keras 3 does not read all that Keras 2 wrote",
        'convert it with the Keras that wrote it: keras.models.load_model("model.keras", '
        'compile=False).export("model"), and serve that SavedModel',
    ),
)
