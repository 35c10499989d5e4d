"""Loads one version: artefact, signature, recipe, proof. Blocks; runs on a loading thread."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from batchproof_server.backends.protocol import Backend, EngineSettings
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.errors import InvalidInput, ModelRefused
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.recipe import Recipe, compile_recipe
from batchproof_server.models.bundle import Bundle, read_bundle
from batchproof_server.models.discovery import Place
from batchproof_server.models.manifest import DeclaredSignature, OutputSettings
from batchproof_server.models.samples import read_samples
from batchproof_server.proof.certificate import Certificate
from batchproof_server.proof.examination import Candidate, Examined, ExaminedLoader
from batchproof_server.proof.proving import Prove
from batchproof_server.registry import Registry
from batchproof_server.signature import Array, Signature, Tensors, TensorSpec
from batchproof_server.tta import noise
from batchproof_server.tta.choice import SERVER_CHOICE, Choice, choice_of
from batchproof_server.tta.policies import NONE
from batchproof_server.validation import InvalidSettings

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class LoadingPlugs:
    """What loading a version needs from outside.

    Attributes:
        backends: by the names of ``models.bundle.ARTEFACTS``.
        imaging: from a backend's name to the decoders and resizers that its recipes may name.
        batching: for bundles that declare none.
        engine: how engines use the machine.
        image_limits: checked before a picture is decoded.
        prove: makes the certificate; without it a version is loaded unproven and has none, which is
            for measurements of the engine alone.
        allow_unproven: load a version whose certificate says "unproven".
    """

    backends: Registry[ExaminedLoader]
    imaging: Callable[[str], Plugs]
    batching: BatchingSettings
    engine: EngineSettings
    image_limits: ImageLimits
    prove: Prove | None = None
    allow_unproven: bool = False


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version that can execute; not yet connected to the event loop.

    Attributes:
        batching: with the buckets that the certificate says are served.
        output: with the name of the scores' output filled in.
        recipe: None for a model that takes tensors only.
        certificate: None where no proof was asked for.
        certificate_digest: the certificate's, computed once; empty without one.
        tta: the policies of test-time augmentation.
    """

    bundle: Bundle
    backend: Backend
    batching: BatchingSettings
    output: OutputSettings
    recipe: Recipe | None
    certificate: Certificate | None = None
    certificate_digest: str = ""
    tta: Choice = SERVER_CHOICE


def load_version(place: Place, plugs: LoadingPlugs) -> LoadedModel:
    """Reads, compiles and proves a version; every bucket that it serves has been executed.

    Raises:
        ModelRefused: with everything that is wrong with the bundle as far as it could be read, or
            with the findings of its proof.
    """
    bundle = read_bundle(place.name, place.version, place.directory)
    batching = bundle.manifest.batching or plugs.batching
    examined = plugs.backends[bundle.backend](
        bundle.artefact, buckets_rows=batching.buckets_rows, settings=plugs.engine
    )
    try:
        model = _fitted(bundle, examined.backend, batching, plugs)
        if plugs.prove is None:
            return model
        certificate = plugs.prove(_candidate(model, place, examined))
        return _certified(model, certificate, allow_unproven=plugs.allow_unproven)
    except BaseException:
        examined.backend.close()
        raise


def _candidate(model: LoadedModel, place: Place, examined: Examined) -> Candidate:
    recipe = model.recipe
    samples, findings = ((), ()) if recipe is None else read_samples(place.directory, recipe)
    return Candidate(
        model=place.name,
        version=place.version,
        directory=place.directory,
        model_digest=model.bundle.model_digest,
        recipe_digest="" if recipe is None else recipe.digest,
        buckets_rows=model.batching.buckets_rows,
        examined=examined,
        samples=samples,
        findings=findings,
    )


def _certified(
    model: LoadedModel, certificate: Certificate, *, allow_unproven: bool
) -> LoadedModel:
    if certificate.verdict != "proven" and not allow_unproven:
        raise ModelRefused("the model failed its proof", certificate.failures)
    batching = replace(model.batching, buckets_rows=certificate.measured.served_buckets_rows)
    return replace(
        model,
        batching=batching,
        certificate=certificate,
        certificate_digest=certificate.digest,
    )


def _fitted(
    bundle: Bundle, backend: Backend, batching: BatchingSettings, plugs: LoadingPlugs
) -> LoadedModel:
    signature = backend.signature
    if bundle.manifest.signature is not None:
        _check_declared(bundle.manifest.signature, signature)
    output = _named_output(bundle.manifest.output, signature)
    # The proof executes every bucket; without one, this is what warms them up.
    outputs = warm_up(backend, batching.buckets_rows[: 1 if plugs.prove else None])
    if output.name is not None:
        _check_scores(output, outputs, bundle.labels)
    recipe = _recipe(bundle, signature, plugs)
    tta = _tta(bundle, output, recipe)
    return LoadedModel(bundle, backend, batching, output, recipe, tta=tta)


def _check_declared(declared: DeclaredSignature, actual: Signature) -> None:
    findings = tuple(
        finding
        for side, tensors, has in (
            ("inputs", declared.inputs, actual.inputs),
            ("outputs", declared.outputs, actual.outputs),
        )
        if (finding := _difference(side, tuple(tensor.spec() for tensor in tensors), has))
    )
    if findings:
        raise ModelRefused("the artefact has another signature than declared", findings)


def _difference(
    side: str, declared: tuple[TensorSpec, ...], actual: tuple[TensorSpec, ...]
) -> str | None:
    if {spec.name: spec for spec in declared} == {spec.name: spec for spec in actual}:
        return None
    came, has = _listed(declared), _listed(actual)
    return f"signature.{side}: the manifest declares {came}, the artefact has {has}"


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec}" for spec in specs)


def _named_output(output: OutputSettings, signature: Signature) -> OutputSettings:
    if output.kind == "raw":
        return output
    names = [spec.name for spec in signature.outputs]
    name = output.name if output.name is not None or len(names) > 1 else names[0]
    if name not in names:
        came = "nothing" if name is None else f'"{name}"'
        raise ModelRefused(
            "the output of the scores is not clear",
            (f"output.name: {came}, one of {', '.join(names)}",),
        )
    return replace(output, name=name)


def warm_up(backend: Backend, buckets_rows: tuple[int, ...]) -> Tensors:
    """Executes every bucket once with zeros, so that no request pays for the first execution.

    Returns:
        The outputs of the last bucket.
    """
    outputs: Tensors = {}
    for rows in buckets_rows:
        outputs = backend.execute(_zeros(backend.signature, rows))
    return outputs


def _zeros(signature: Signature, rows: int) -> Tensors:
    return {
        spec.name: np.zeros((rows, *(size or _ANY_SIZE for size in spec.row_shape)), spec.dtype)
        for spec in signature.inputs
    }


# What a dimension of any size is taken to be for the warm-up.
_ANY_SIZE = 64


def _check_scores(output: OutputSettings, outputs: Tensors, labels: tuple[str, ...]) -> None:
    scores = outputs[output.name or ""]
    findings = []
    matrix = scores.ndim == 2 and scores.size > 0  # noqa: PLR2004 - [rows, classes]
    if not matrix or not np.issubdtype(scores.dtype, np.floating):
        came = f"{scores.dtype.name} {list(scores.shape)}"
        raise ModelRefused(
            "the output holds no class scores",
            (f'output.kind: "{output.kind}" needs floats [rows, classes], the output is {came}',),
        )
    if labels and len(labels) != scores.shape[1]:
        findings.append(f"labels: {len(labels)} for {scores.shape[1]} classes")
    if output.kind == "probabilities" and not _are_probabilities(scores):
        findings.append(
            'output.kind: declared "probabilities", but a row has values below 0 or a sum other '
            "than 1"
        )
    if findings:
        raise ModelRefused("the output does not fit its declaration", tuple(findings))


def _are_probabilities(scores: Array) -> bool:
    sums = scores.sum(axis=1, dtype=np.float64)
    return bool((scores >= 0).all() and (np.abs(sums - 1) < _SUM_TOLERANCE).all())


def _tta(bundle: Bundle, output: OutputSettings, recipe: Recipe | None) -> Choice:
    settings = bundle.manifest.tta
    lacks = [
        what
        for what, missing in (
            ("a recipe", recipe is None),
            ("class scores, and the output is raw", output.kind == "raw"),
        )
        if missing and (settings.default != NONE or settings.policies or bundle.tta_weights)
    ]
    if lacks:
        findings = tuple(f"tta: augmentation needs {what}" for what in lacks)
        raise ModelRefused("the model cannot be augmented", findings)
    digest = "" if recipe is None else recipe.digest
    noise.warm_up()
    try:
        return choice_of(settings, bundle.tta_weights, bundle.model_digest, digest)
    except InvalidSettings as invalid:
        raise ModelRefused("the augmentation does not fit the model", invalid.faults) from invalid


def _recipe(bundle: Bundle, signature: Signature, plugs: LoadingPlugs) -> Recipe | None:
    settings = bundle.manifest.recipe
    if settings is None:
        return None
    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise ModelRefused(
            "a recipe needs a model with one input",
            (f"recipe: the model has the inputs {names}, expected one",),
        )
    imaging = plugs.imaging(bundle.backend)
    try:
        recipe = compile_recipe(settings, signature.inputs[0], imaging, plugs.image_limits)
        recipe.warm_up()
    except InvalidSettings as invalid:
        raise ModelRefused("the recipe does not fit the model", invalid.faults) from invalid
    except InvalidInput as refused:
        finding = f"recipe: a blank picture of the model's size is refused: {refused}"
        raise ModelRefused("the recipe does not do", (finding,)) from refused
    return recipe
