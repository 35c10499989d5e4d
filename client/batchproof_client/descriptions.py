"""What the server says of models, as values that know no wire format."""

from dataclasses import dataclass

from batchproof_client.augmentation import TtaLimits, TtaPolicy
from batchproof_client.kinds import ModelState, OutputKind, Verdict


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One model version.

    Attributes:
        name: of the model.
        version: its number.
        state: where it is in its life.
        is_default: whether a request that names no version is answered by it.
        labels: the version labels that stand for it.
        findings: why a failed version failed.
        verdict: what its proof came to; unspecified while it is not loaded.
    """

    name: str
    version: int
    state: ModelState
    is_default: bool
    labels: tuple[str, ...]
    findings: tuple[str, ...]
    verdict: Verdict = Verdict.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output: its name, numpy's name of its dtype, and its shape.

    The shape begins with the row; -1 stands where any size is allowed.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HeadDescription:
    """One output of a model with several.

    Attributes:
        output: its name.
        kind: what it means.
        labels: of its classes.
        threshold: as of ``ModelDescription``.
        thresholds: as of ``ModelDescription``.
        is_watched: whether drift and outcomes are about it.
    """

    output: str
    kind: OutputKind
    labels: tuple[str, ...]
    threshold: float | None
    thresholds: tuple[float, ...]
    is_watched: bool


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What a model version takes and gives.

    Attributes:
        summary: name, version and state.
        description: the manifest's text.
        model_digest: SHA-256 of the artefact, in hexadecimal.
        recipe_digest: SHA-256 of the recipe; empty for a model that takes tensors only.
        engine: the engine and its version.
        inputs: the input tensors.
        outputs: the output tensors.
        output_kind: what the output means.
        labels: of the classes.
        buckets_rows: the row counts of micro-batches, ascending.
        recipe_json: the canonical recipe; empty for a model that takes tensors only.
        image_formats: what the recipe takes; empty for a model that takes tensors only.
        max_request_rows: the most rows that one request may have.
        certificate_json: the certificate; empty without one.
        certificate_digest: SHA-256 of the certificate, in hexadecimal; empty without one.
        consistency: ``strict`` or ``tolerant``; empty without a certificate.
        tta_policies: those that may be asked for; none for a model that takes no augmentation.
        tta_default_policy: of pictures that come without a word about it.
        tta_limits: None for a model that takes no augmentation.
        threshold: the second of two classes is the answer above it; None where the most probable
            class is. Of independent labels each is answered above it; None for 0.5 or thresholds.
        thresholds: of independent labels one for each, where the model has them.
        heads: every output with scores, when there are several.
    """

    summary: ModelSummary
    description: str
    model_digest: str
    recipe_digest: str
    engine: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    output_kind: OutputKind
    labels: tuple[str, ...]
    buckets_rows: tuple[int, ...]
    recipe_json: str
    image_formats: tuple[str, ...]
    max_request_rows: int
    certificate_json: str = ""
    certificate_digest: str = ""
    consistency: str = ""
    tta_policies: tuple[TtaPolicy, ...] = ()
    tta_default_policy: str = ""
    tta_limits: TtaLimits | None = None
    threshold: float | None = None
    thresholds: tuple[float, ...] = ()
    heads: tuple[HeadDescription, ...] = ()
