"""What a device process tells of the version that it loaded, and what the front makes of it."""

import dataclasses
import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pydantic import ConfigDict

from batchproof_server.base.errors import BackendFailed, ModelRefused
from batchproof_server.base.signature import Signature, Tensors, TensorSpec
from batchproof_server.base.validation import NO_UNKNOWN_KEYS, parse_settings
from batchproof_server.imaging.plugs import on_first_use
from batchproof_server.models.bundle import Bundle
from batchproof_server.models.fitting import compile_fitting, name_output, other_heads, tta_choice
from batchproof_server.models.loaded import LoadedModel, model_facts
from batchproof_server.models.loading import LoadingPlugs
from batchproof_server.models.manifest import DeclaredSignature, DeclaredTensor
from batchproof_server.models.profiles import read_bundle_profile
from batchproof_server.proof.certificate.certificate import Certificate
from batchproof_server.proof.certificate.document import parse_certificate
from batchproof_server.tta.expansion import Expansion


# Contract: plain values, which are checked when they are read: a process that executes models is
# not believed to send what it should. What stands in the bundle the front reads itself.
@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What only who loaded a version can know.

    Attributes:
        engine: as ``Backend`` names it.
        signature: of the model.
        model_digest: of the artefact that was loaded.
        buckets_rows: that are served.
        execution_s: what each of them takes; empty where it was not measured.
        classes: of the scores; 0 for a raw output.
        certificate: as JSON; empty where no proof was asked for.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    engine: str
    signature: DeclaredSignature
    model_digest: str
    buckets_rows: tuple[int, ...]
    execution_s: tuple[float, ...]
    classes: int
    certificate: str

    def to_json(self) -> bytes:
        """For the way between the processes."""
        return json.dumps(dataclasses.asdict(self)).encode()

    def proven(self) -> Certificate | None:
        """The certificate.

        Raises:
            ValueError: the text is none.
        """
        return parse_certificate(self.certificate).certificate if self.certificate else None


def facts_of_loaded(loaded: LoadedModel) -> DeviceFacts:
    """What the process that loaded a version tells of it."""
    signature = loaded.backend.signature
    return DeviceFacts(
        engine=loaded.backend.engine,
        signature=DeclaredSignature(_declared(signature.inputs), _declared(signature.outputs)),
        model_digest=loaded.bundle.model_digest,
        buckets_rows=loaded.batching.buckets_rows,
        execution_s=loaded.execution_s,
        classes=loaded.classes,
        certificate="" if loaded.certificate is None else loaded.certificate.to_json(),
    )


def read_facts(text: bytes) -> DeviceFacts:
    """What was told.

    Raises:
        ValueError: it is not what ``to_json`` writes.
    """
    values: Any = json.loads(text)
    facts = parse_settings(DeviceFacts, values)
    facts.proven()
    return facts


def check_same(first: DeviceFacts, again: DeviceFacts) -> None:
    """Returns when a version was loaded again as it was before: it answers with the same bits.

    Raises:
        ModelRefused: it was not.
    """
    findings = [
        f"{name}: it is {came}, and was {was}"
        for name, was, came in (
            ("engine", first.engine, again.engine),
            ("model digest", first.model_digest, again.model_digest),
            ("buckets", first.buckets_rows, again.buckets_rows),
            ("signature", first.signature, again.signature),
            ("digests of answers", _answers(first), _answers(again)),
        )
        if was != came
    ]
    if findings:
        raise ModelRefused("the version is not what it was", tuple(findings))


def describe(bundle: Bundle, facts: DeviceFacts, plugs: LoadingPlugs) -> LoadedModel:
    """The version as the front knows it, which executes and decodes nothing. Blocks.

    Raises:
        ModelRefused: the bundle is not the one that was loaded, or has faults.
    """
    if facts.model_digest != bundle.model_digest:
        finding = "artefact: its digest is another than a moment before"
        raise ModelRefused("the bundle changed while it was loaded", (finding,))
    signature = Signature(_specs(facts.signature.inputs), _specs(facts.signature.outputs))
    batching = bundle.manifest.batching or plugs.batching
    output = name_output(bundle.manifest.output, signature)
    imaging = on_first_use(plugs.imaging(bundle.kind))
    recipe = compile_fitting(bundle, signature, imaging, plugs.image_limits)
    certificate = facts.proven()
    loaded = LoadedModel(
        bundle,
        ElsewhereBackend(signature, facts.engine),
        replace(batching, buckets_rows=facts.buckets_rows),
        output,
        None if recipe is None else Expansion.of(recipe),
        certificate,
        certificate_digest="" if certificate is None else certificate.digest,
        execution_s=facts.execution_s,
        classes=facts.classes,
        tta=tta_choice(bundle, output, recipe),
        heads=other_heads(bundle, signature),
    )
    directory = bundle.artefact if bundle.kind.parts else bundle.artefact.parent
    profile, findings = read_bundle_profile(directory, model_facts(loaded), plugs.drift)
    return replace(loaded, profile=profile, profile_findings=findings)


@dataclass(frozen=True, slots=True)
class ElsewhereBackend:
    """What is known here of a backend in another process, which a device hands work to."""

    signature: Signature
    engine: str

    def execute(self, inputs: Tensors) -> Tensors:
        """Raises BackendFailed: only the device can."""
        raise BackendFailed(f"{', '.join(inputs)}: the model is in another process")

    def close(self) -> None:
        """Has nothing to release: the device ends the process."""


def _answers(facts: DeviceFacts) -> object:
    certificate = facts.proven()
    return None if certificate is None else certificate.measured.answers


def _declared(specs: tuple[TensorSpec, ...]) -> tuple[DeclaredTensor, ...]:
    return tuple(
        DeclaredTensor(
            spec.name,
            spec.dtype.name,  # type: ignore[arg-type] # what the wire carries has no other dtypes
            tuple(-1 if size is None else size for size in spec.row_shape),
        )
        for spec in specs
    )


def _specs(declared: tuple[DeclaredTensor, ...]) -> tuple[TensorSpec, ...]:
    return tuple(tensor.spec() for tensor in declared)
