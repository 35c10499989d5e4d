"""A profile as text: parsed with every fault and its path, and written in one canonical form."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from batchproof_server.base.validation import parse_document
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.tta_reference import TtaReference, unfit_tta

PROFILE_NAME: Final = "profile.json"
MAX_PROFILE_BYTES: Final = 16 << 20

DIGEST_CHARACTERS: Final = 12
"""How much of a profile's digest the metrics show."""


def parse_profile(text: str) -> ReferenceProfile:
    """Reads the text of a ``profile.json``.

    Raises:
        InvalidSettings: it is no JSON, or has faults; one line for each, beginning with its path.
    """
    return parse_document(ReferenceProfile, text)


def canonical_json(profile: ReferenceProfile) -> str:
    """The profile with sorted keys and no spaces: what the digest is taken of."""
    return json.dumps(_entries(profile), sort_keys=True, separators=(",", ":"))


def profile_json(profile: ReferenceProfile) -> str:
    """The profile as its file has it: one line for each entry at the top."""
    lines = (f'  "{key}": {_entry(value)}' for key, value in _entries(profile).items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _entries(profile: ReferenceProfile) -> dict[str, Any]:
    """What is written; nothing is said of what 0.1.0 did not know and is not there."""
    entries = dataclasses.asdict(profile)
    if not profile.libraries:
        del entries["libraries"]
    if profile.tta is None:
        del entries["tta"]
    if not profile.is_multi_label:
        del entries["is_multi_label"]
    return entries


def _entry(value: Any) -> str:
    """A list or a table of tables with one of them a line; anything else in one line."""
    if isinstance(value, dict) and all(isinstance(each, dict) for each in value.values()):
        lines = (f"    {json.dumps(key)}: {json.dumps(each)}" for key, each in value.items())
        return "{\n" + ",\n".join(lines) + "\n  }"
    if isinstance(value, tuple) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"    {json.dumps(each)}" for each in value) + "\n  ]"
    return json.dumps(value)


def profile_digest(profile: ReferenceProfile) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(profile).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class KnownProfile:
    """A profile and its digest, computed once. Made by ``of``.

    Attributes:
        digest: see ``profile_digest``.
    """

    profile: ReferenceProfile
    digest: str

    @classmethod
    def of(cls, profile: ReferenceProfile) -> "KnownProfile":
        """Computes the digest."""
        return cls(profile, profile_digest(profile))

    @property
    def short_digest(self) -> str:
        """The part of the digest that the metrics show."""
        return self.digest[:DIGEST_CHARACTERS]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a profile must be of.

    Attributes:
        model_digest: of the artefact.
        recipe_digest: of its recipe; empty without one.
        labels: of the bundle; empty when it names none.
        classes: of the model's output; 0 when it is raw.
        policies: of test-time augmentation that may be asked for, by name.
        libraries: versions of what makes the pixels of its rows, by name.
        is_multi_label: whether the classes are independent labels, the last one being ``NO_LABEL``.
    """

    model_digest: str
    recipe_digest: str
    labels: tuple[str, ...]
    classes: int
    policies: Mapping[str, TtaReference] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    is_multi_label: bool = False


def unfit_findings(profile: ReferenceProfile, facts: ModelFacts) -> tuple[str, ...]:
    """Why a profile is not of this model, one sentence each; empty when it is."""
    findings = []
    if profile.model_digest != facts.model_digest:
        findings.append(_other("model", profile.model_digest, facts.model_digest))
    if profile.recipe_digest != facts.recipe_digest:
        findings.append(_other("recipe", profile.recipe_digest, facts.recipe_digest))
    if profile.is_multi_label != facts.is_multi_label:
        forms = ("classes that exclude each other", "independent labels")
        findings.append(
            f"it is of {forms[profile.is_multi_label]}, the model has "
            f"{forms[facts.is_multi_label]}; build it again"
        )
    elif len(profile.classes) != facts.classes:
        findings.append(f"it has {len(profile.classes)} classes, the model has {facts.classes}")
    elif facts.labels and tuple(each.label for each in profile.classes) != facts.labels:
        findings.append("its labels are not those of the bundle")
    if profile.tta is not None:
        findings.extend(unfit_tta(profile.tta, facts.policies))
    return tuple(findings)


def other_libraries(profile: ReferenceProfile, facts: ModelFacts) -> tuple[str, ...]:
    """Where the same recipe may have made other pixels for a profile, one sentence each.

    It still fits: versions of a library differ in few pixels, and by a few levels.
    """
    here = facts.libraries
    return tuple(
        f"it was made with {name} {version}, here is {here[name]}, which may make other pixels of "
        "the same picture; build it again"
        for name, version in profile.libraries.items()
        if name in here and here[name] != version
    )


def _other(what: str, came: str, expected: str) -> str:
    here = f"the bundle's is {expected[:DIGEST_CHARACTERS]}" if expected else "the bundle has none"
    return f"it is of the {what} {came[:DIGEST_CHARACTERS] or 'none'}, {here}; build it again"
