"""The published schemas of certificate and profile, made of the dataclasses that hold them.

Types, names and descriptions are those of the dataclasses and their docstrings. What a type does
not say, such as the least number, stands in the tables here.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from batchproof_server.drift.binning import MAX_BINS
from batchproof_server.drift.calibration import CALIBRATION_BINS
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.signals import NUMERIC_SIGNALS
from batchproof_server.drift.tta_reference import TTA_SIGNALS
from batchproof_server.proof.certificate.certificate import Certificate
from batchproof_server.proof.certificate.signing import KeySignature

Json = dict[str, Any]

_AT_LEAST_0: Final = {"minimum": 0}
_AT_LEAST_1: Final = {"minimum": 1}
_RATIO: Final = {"minimum": 0, "maximum": 1}
_SHA256: Final = {"pattern": "^[0-9a-f]{64}$"}
_SHA256_OR_EMPTY: Final = {"pattern": "^([0-9a-f]{64})?$"}
_RULE: Final = {"rule_id": {"pattern": "^BP[0-9]{3}$"}}
_BUCKETS: Final = {"items": _AT_LEAST_1, "minItems": 1}
_NUMBERS: Final = {"items": _AT_LEAST_0}
_CALIBRATION: Final = {**_NUMBERS, "minItems": CALIBRATION_BINS, "maxItems": CALIBRATION_BINS}
_COUNTS_BY_NAME: Final = {"additionalProperties": _AT_LEAST_0}

# What the types do not say: class -> field -> keywords.
_CERTIFICATE: Final[Mapping[str, Json]] = {
    "Certificate": {
        "version": _AT_LEAST_1,
        "created": {"format": "date-time"},
        "durations_s": _COUNTS_BY_NAME,
    },
    "Subject": {
        "model_digest": _SHA256,
        "recipe_digest": _SHA256_OR_EMPTY,
        "buckets_rows": _BUCKETS,
        "probe_rows": _COUNTS_BY_NAME,
        "probe_rows_digest": _SHA256,
        "converted_digest": _SHA256_OR_EMPTY,
    },
    "Parity": {"rows": _AT_LEAST_0, "greatest_difference": _AT_LEAST_0},
    "Environment": {"intra_op_threads": _AT_LEAST_0, "inter_op_threads": _AT_LEAST_0},
    "Machine": {"usable_cpus": _AT_LEAST_1},
    "Measured": {
        "executions": _COUNTS_BY_NAME,
        "comparisons": _AT_LEAST_0,
        "classes": {"items": _BUCKETS},
        "served_buckets_rows": _BUCKETS,
        "greatest_difference": _AT_LEAST_0,
        "state_digest": _SHA256_OR_EMPTY,
    },
    "AnswersDigest": {
        "bucket_rows": _AT_LEAST_1,
        "digest": _SHA256,
        "rounding_digest": _SHA256_OR_EMPTY,
    },
    "RepairRecord": _RULE,
    "FindingRecord": _RULE,
}
_SIGNATURE: Final[Json] = {"key": _SHA256, "value": {"pattern": "^[0-9a-f]{128}$"}}
_PROFILE: Final[Mapping[str, Json]] = {
    "ReferenceProfile": {
        "pictures": _AT_LEAST_1,
        "accuracy_ratio": _RATIO,
        "classes": {"minItems": 1},
        "class_bins": {**_NUMBERS, "minItems": 1, "maxItems": MAX_BINS, "uniqueItems": True},
        "signals": {
            "propertyNames": {"enum": list(NUMERIC_SIGNALS)},
            "required": ["confidence"],
        },
    },
    "ClassReference": dict.fromkeys(("pictures", "right", "answered"), _AT_LEAST_0),
    "SignalReference": {
        "edges": {"maxItems": MAX_BINS - 1},
        "counts": {**_NUMBERS, "minItems": 1, "maxItems": MAX_BINS},
        "stddev": _AT_LEAST_0,
    },
    "CalibrationReference": {
        "temperature": {"exclusiveMinimum": 0},
        "ece_ratio": _RATIO,
        **dict.fromkeys(("pictures", "right", "confidence_sum"), _CALIBRATION),
    },
    "AtcReference": {"edges": {"minItems": 1}, "counts": {**_NUMBERS, "minItems": 2}},
    "TtaReference": {"views": {"minItems": 2}, "weights": _NUMBERS},
}


def schema_files() -> dict[str, str]:
    """Name below docs/schemas/ -> content."""
    documents = {"certificate": _certificate(), "profile": _profile()}
    return {
        f"{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in documents.items()
    }


def _certificate() -> Json:
    """``to_json`` adds the digest; the verdict is unproven when a finding failed, and only then.

    One that says "probed" names what was undecided. Up to 0.1.0 such a one said "proven".
    """
    schema = _schema(Certificate, "Certificate of batchproof", _CERTIFICATE)
    schema["properties"]["digest"] = {
        "type": "string",
        "description": "SHA-256 of this document as canonical JSON (keys sorted, no spaces, ASCII)"
        " without `digest`, `created` and `durations_s`.",
        **_SHA256,
    }
    schema["required"].append("digest")
    schema["properties"]["signature"] = _schema_of(KeySignature, _SIGNATURE)
    failure = {"contains": {"properties": {"severity": {"const": "fail"}}}}
    undecided = {"contains": {"properties": {"rule_id": {"enum": ["BP210", "BP305"]}}}}
    return schema | {
        "if": {"properties": {"verdict": {"const": "unproven"}}},
        "then": {"properties": {"findings": failure}},
        "else": {"properties": {"findings": {"not": failure}}},
        "dependentSchemas": {
            "verdict": {
                "if": {"properties": {"verdict": {"const": "probed"}}},
                "then": {"properties": {"findings": undecided}},
            }
        },
    }


def _profile() -> Json:
    """The signals of augmentation stand beside ``tta``, which is left out where there is none."""
    schema = _schema(ReferenceProfile, "Reference profile of batchproof", _PROFILE)
    tta = schema["properties"]["tta"]
    tta.update(tta.pop("anyOf")[0])
    del tta["default"]
    return schema | {
        "if": {"required": ["tta"]},
        "then": {"properties": {"signals": {"required": list(TTA_SIGNALS)}}},
        "else": {"properties": {"signals": {"properties": dict.fromkeys(TTA_SIGNALS, False)}}},
    }


def _schema(kind: type, title: str, keywords: Mapping[str, Json]) -> Json:
    """What pydantic makes of a dataclass, described by docstrings, with further keywords."""
    made = TypeAdapter(kind).json_schema()
    classes = {kind.__name__: made, **made["$defs"]}
    for each in classes.values():
        _describe(each)
    for name, fields in keywords.items():
        for field, further in fields.items():
            _merge(classes[name]["properties"][field], further)
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    inner = {"$defs": made.pop("$defs")}
    del made["title"]
    return {**dialect, **made, **inner}


def _schema_of(kind: type, keywords: Json) -> Json:
    """The same of a small dataclass inside another document."""
    made = TypeAdapter(kind).json_schema()
    _describe(made)
    del made["title"]
    _merge(made["properties"], keywords)
    return made


def _describe(schema: Json) -> None:
    """Gives each field its own line of the docstring, and the class what stands before them."""
    text, _, fields = schema.get("description", "").partition("\n\nAttributes:\n")
    schema["description"] = _plain(text)
    said = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", fields, re.MULTILINE))
    for name, field in schema.get("properties", {}).items():
        field.pop("title", None)
        if name in said:
            field["description"] = _plain(said[name])


def _plain(text: str) -> str:
    """In one line, a capital at the start, with one grave accent around code."""
    line = " ".join(text.split()).replace("``", "`")
    return line[:1].upper() + line[1:]


def _merge(schema: Json, further: Mapping[str, Any]) -> None:
    for key, value in further.items():
        if isinstance(value, dict) and key in schema:
            _merge(schema[key], value)
        else:
            schema[key] = value
