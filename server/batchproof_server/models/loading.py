"""Loads one version: artefact, signature, recipe, proof. Blocks; runs on a loading thread."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.engine import Engine
from batchproof_server.backends.examining import examine
from batchproof_server.base.backend import Backend, EngineSettings
from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.output import OutputSettings
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.drift.profile_form import KnownProfile, ModelFacts
from batchproof_server.drift.settings import DriftSettings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.models.bundle import Bundle, read_bundle
from batchproof_server.models.discovery import Place
from batchproof_server.models.fitting import (
    check_declared,
    check_scores,
    fit_recipe,
    name_output,
    tta_choice,
)
from batchproof_server.models.profiles import read_bundle_profile, watchable_policies
from batchproof_server.models.samples import read_samples
from batchproof_server.models.warm_up import measure_execution_s, warm_up
from batchproof_server.proof.certificate.certificate import Certificate
from batchproof_server.proof.examination import Candidate, Examined
from batchproof_server.proof.proving import Prove
from batchproof_server.tta.choice import SERVER_CHOICE, Choice
from batchproof_server.tta.expansion import Expansion


@dataclass(frozen=True, slots=True)
class LoadingPlugs:
    """What loading a version needs from outside.

    Attributes:
        kinds: of artefacts that bundles may hold.
        engines: the first that accepts an opened artefact executes it.
        imaging: from an artefact's kind to the decoders and resizers that its recipes may name.
        batching: for bundles that declare none.
        engine: how engines use the machine.
        image_limits: checked before a picture is decoded.
        clock: measures what each bucket takes.
        prove: makes the certificate; without it a version is loaded unproven and has none, which is
            for measurements of the engine alone.
        allow_unproven: load a version whose certificate says "unproven".
        allow_probed: load a version whose certificate says "probed".
        drift: whether to read the bundle's profile, and what to do with one that does not fit.
    """

    kinds: tuple[ArtefactKind, ...]
    engines: tuple[Engine, ...]
    imaging: Callable[[ArtefactKind], Plugs]
    batching: BatchingSettings
    engine: EngineSettings
    image_limits: ImageLimits
    clock: Clock
    prove: Prove | None = None
    allow_unproven: bool = False
    allow_probed: bool = True
    drift: DriftSettings = field(default_factory=DriftSettings)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version that can execute; not yet connected to the event loop.

    Attributes:
        batching: with the buckets that the certificate says are served.
        output: with the name of the scores' output filled in.
        expansion: makes rows of pictures; None for a model that takes tensors only.
        certificate: None where no proof was asked for.
        certificate_digest: the certificate's, computed once; empty without one.
        execution_s: what each served bucket took alone on this machine; empty where no proof was
            asked for.
        classes: of its scores; 0 for a model whose output is raw.
        profile: what its predictions are compared with; None without one, and where it was ignored.
        profile_findings: why a profile was ignored.
        tta: the policies of test-time augmentation.
        recipe: of the expansion; None for a model that takes tensors only.
    """

    bundle: Bundle
    backend: Backend
    batching: BatchingSettings
    output: OutputSettings
    expansion: Expansion | None
    certificate: Certificate | None = None
    certificate_digest: str = ""
    execution_s: tuple[float, ...] = ()
    classes: int = 0
    profile: KnownProfile | None = None
    profile_findings: tuple[str, ...] = ()
    tta: Choice = SERVER_CHOICE
    recipe: Recipe | None = field(init=False)

    def __post_init__(self) -> None:
        recipe = None if self.expansion is None else self.expansion.recipe
        object.__setattr__(self, "recipe", recipe)


def load_version(place: Place, plugs: LoadingPlugs) -> LoadedModel:
    """Reads, compiles and proves a version; every bucket that it serves has been executed.

    Raises:
        ModelRefused: with everything that is wrong with the bundle as far as it could be read, or
            with the findings of its proof.
    """
    bundle = read_bundle(place.name, place.version, place.directory, plugs.kinds)
    batching = bundle.manifest.batching or plugs.batching
    examined = examine(
        bundle.kind,
        bundle.artefact,
        plugs.engines,
        batching.buckets_rows,
        plugs.engine,
        to_prove=plugs.prove is not None,
    )
    try:
        model = _fit(bundle, examined.backend, batching, plugs)
        model = _add_profile(model, place, plugs.drift)
        if plugs.prove is None:
            return model
        certificate = plugs.prove(_candidate(model, place, examined))
        certified = _add_certificate(model, certificate, plugs)
        took_s = measure_execution_s(
            certified.backend, certified.batching.buckets_rows, plugs.clock
        )
        return replace(certified, execution_s=took_s)
    except BaseException:
        examined.backend.close()
        raise


def _add_profile(model: LoadedModel, place: Place, settings: DriftSettings) -> LoadedModel:
    profile, findings = read_bundle_profile(place.directory, model_facts(model), settings)
    return replace(model, profile=profile, profile_findings=findings)


def model_facts(model: LoadedModel) -> ModelFacts:
    """What a profile of this model must be of."""
    return ModelFacts(
        model_digest=model.bundle.model_digest,
        recipe_digest="" if model.recipe is None else model.recipe.digest,
        labels=model.bundle.labels,
        classes=model.classes,
        policies=watchable_policies(model.tta),
    )


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


def _add_certificate(
    model: LoadedModel, certificate: Certificate, plugs: LoadingPlugs
) -> LoadedModel:
    if certificate.verdict == "unproven" and not plugs.allow_unproven:
        raise ModelRefused("the model failed its proof", certificate.failures)
    if certificate.verdict == "probed" and not (plugs.allow_probed or plugs.allow_unproven):
        raise ModelRefused("the model was probed but not read", certificate.undecided)
    batching = replace(model.batching, buckets_rows=certificate.measured.served_buckets_rows)
    return replace(
        model,
        batching=batching,
        certificate=certificate,
        certificate_digest=certificate.digest,
    )


def _fit(
    bundle: Bundle, backend: Backend, batching: BatchingSettings, plugs: LoadingPlugs
) -> LoadedModel:
    signature = backend.signature
    if bundle.manifest.signature is not None:
        check_declared(bundle.manifest.signature, signature)
    output = name_output(bundle.manifest.output, signature)
    # The proof executes every bucket; without one, this is what warms them up.
    outputs = warm_up(backend, batching.buckets_rows[: 1 if plugs.prove else None])
    if output.name is not None:
        check_scores(output, outputs, bundle.labels)
    classes = 0 if output.name is None else int(outputs[output.name].shape[1])
    imaging = plugs.imaging(bundle.kind)
    recipe = fit_recipe(bundle, signature, imaging, plugs.image_limits)
    tta = tta_choice(bundle, output, recipe)
    expansion = None if recipe is None else Expansion.of(recipe)
    return LoadedModel(bundle, backend, batching, output, expansion, classes=classes, tta=tta)
