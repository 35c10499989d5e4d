"""A diagnosis as JSON. Schema: ``docs/schemas/diagnosis.schema.json``."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from batchproof_server.diagnosis.case import Case, Curve, Tried
from batchproof_server.diagnosis.findings import CheckResult
from batchproof_server.diagnosis.verdict import Diagnosis


def diagnoses_json(diagnoses: Sequence[Diagnosis], refused: Sequence[str]) -> str:
    """All diagnoses of a run as one JSON object in one line."""
    values = {
        "format": 1,
        "diagnoses": [_diagnosis(each) for each in diagnoses],
        "refused": list(refused),
    }
    return json.dumps(values, sort_keys=True, allow_nan=False)


def _diagnosis(diagnosis: Diagnosis) -> dict[str, Any]:
    case = diagnosis.case
    subject, label = case.subject, case.given.label
    return {
        "picture": case.name,
        "model": subject.model,
        "version": subject.version,
        "engine": subject.engine,
        "recipe": json.loads(subject.recipe),
        "answer": case.label,
        "confidence": case.confidence,
        "label": None if label is None else subject.labels[label],
        "verdict": diagnosis.sentence,
        "causes": [_finding(each) for each in diagnosis.causes],
        "checks": [
            {"question": each.question, "findings": [_finding(one) for one in each.findings]}
            for each in diagnosis.answered
        ],
        "recipes": [_tried(case, each) for each in case.tried],
        "curves": [_curve(each) for each in case.curves],
        "neighbours": [
            {"name": each.name, "answer": each.answer, "confidence": each.confidence,
             "distance_nats": each.distance}
            for each in case.neighbours
        ],
        "occlusion": None if case.occlusion is None else case.occlusion.left.tolist(),
    }  # fmt: skip


def _finding(finding: CheckResult) -> dict[str, Any]:
    threshold = finding.threshold
    return {
        "cause": finding.cause,
        "title": finding.title,
        "level": finding.level.text,
        "number": _number(finding.number),
        "threshold": None if threshold is None else _number(threshold.value),
        "reason": "" if threshold is None else threshold.reason,
        "evidence": finding.evidence,
        "advice": finding.advice,
    }


def _tried(case: Case, tried: Tried) -> dict[str, Any]:
    answers = tried.answers
    return {
        "cause": tried.cause,
        "title": tried.title,
        "tensor_difference": row_difference(case, tried),
        "answer": None if answers is None else case.label_of(answers),
        "confidence": None if answers is None else float(answers.confidence[0]),
    }


def row_difference(case: Case, tried: Tried) -> float:
    """The greatest difference between the values of this tensor and the recipe's own."""
    own = case.row if case.row.shape == tried.row.shape else np.moveaxis(case.row, 0, -1)
    return float(np.abs(own.astype(np.float64) - tried.row).max())


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "family": curve.family,
        "unit": curve.unit,
        "strengths": list(curve.strengths),
        "confidence": curve.confidence.tolist(),
        "kept": curve.kept.tolist(),
        "reference_kept_ratio": reference_kept(curve),
    }


def reference_kept(curve: Curve) -> list[float]:
    """The share of reference pictures that keep their class at each strength; none without any."""
    kept = curve.reference_kept
    return [float(share) for share in kept.mean(axis=0)] if len(kept) else []


def _number(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None
