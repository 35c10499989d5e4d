"""A case as ``diagnosis`` judges it, with nothing to say but what a test puts in."""

from dataclasses import replace
from typing import Any

import numpy as np

from batchproof_server.diagnosis.answers import ClassAnswers
from batchproof_server.diagnosis.case import Case, DiagnosedModel, Given
from batchproof_server.diagnosis.reference import Looks, PlaceInReference, TurnGains
from batchproof_server.drift.profile import ReferenceProfile

_NOTHING = np.zeros((1, 0))
_CASE = Case(
    subject=DiagnosedModel("m", 1, "engine", ("a", "b"), "{}", "proven", None),
    name="picture", size=(8, 8), orientation=1, thumbnail=b"", row=np.zeros((8, 8, 1)),
    answers=ClassAnswers(
        np.array([[0.9, 0.1]]), np.log([[0.9, 0.1]]), has_logits=False, decided=np.zeros(1, int)
    ),
    given=Given(), tried=(), framed=(), scalings=(), paths=(), modes=None, no_modes="", curves=(),
    agreement=1.0, looks=Looks(_NOTHING, _NOTHING, _NOTHING),
    turns=TurnGains((), _NOTHING, _NOTHING),
    place=PlaceInReference(_NOTHING, _NOTHING, _NOTHING), reference=None,
)  # fmt: skip


def case(**changes: Any) -> Case:
    """A picture of a model of the labels a and b, answered with a at 90 %."""
    return replace(_CASE, **changes)


def subject(profile: ReferenceProfile | None, **changes: Any) -> DiagnosedModel:
    """That model, with a reference profile."""
    return replace(_CASE.subject, profile=profile, **changes)
