"""A version that can execute: what was read, compiled and proven of it."""

from dataclasses import dataclass, field
from pathlib import Path

from batchproof_server.base.backend import Backend
from batchproof_server.base.output import OutputSettings
from batchproof_server.base.scores import Scoring, scoring_of
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.drift.profile_form import KnownProfile, ModelFacts
from batchproof_server.drift.signals import NO_LABEL
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.models.bundle import Bundle
from batchproof_server.models.heads import Head
from batchproof_server.models.profiles import watchable_policies
from batchproof_server.models.samples import read_samples
from batchproof_server.proof.certificate.certificate import Certificate, PassedOver
from batchproof_server.proof.examination import Candidate, Examined
from batchproof_server.tta.choice import SERVER_CHOICE, Choice
from batchproof_server.tta.expansion import Expansion


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
        profile_findings: why a profile was ignored, or what is to be known of the one in use.
        heads: the other outputs with scores, in the order of the signature.
        tta: the policies of test-time augmentation.
        recipe: of the expansion; None for a model that takes tensors only.
        scoring: makes the scores of ``output``; None for a model whose output is raw.
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
    heads: tuple[Head, ...] = ()
    tta: Choice = SERVER_CHOICE
    recipe: Recipe | None = field(init=False)
    scoring: Scoring | None = field(init=False)

    def __post_init__(self) -> None:
        recipe = None if self.expansion is None else self.expansion.recipe
        object.__setattr__(self, "recipe", recipe)
        object.__setattr__(self, "scoring", scoring_of(self.output))

    @property
    def scored(self) -> dict[str, Head]:
        """Every output with scores by name, the watched one first."""
        watched, labels = self.output.name, self.bundle.labels
        own = () if watched is None else (Head(watched, self.output, labels),)
        return {head.name: head for head in (*own, *self.heads)}


def model_facts(model: LoadedModel) -> ModelFacts:
    """What a profile of this model must be of."""
    return ModelFacts(
        model_digest=model.bundle.model_digest,
        recipe_digest="" if model.recipe is None else model.recipe.digest,
        labels=profiled_labels(model) if model.bundle.labels else (),
        classes=model.classes + model.output.is_multi_label,
        policies=watchable_policies(model.tta),
        libraries={} if model.recipe is None else model.recipe.libraries,
        is_multi_label=model.output.is_multi_label,
    )


def candidate_of(
    model: LoadedModel,
    directory: Path,
    examined: Examined,
    passed_over: tuple[PassedOver, ...] = (),
) -> Candidate:
    """The model as the proof has it, with the pictures that its bundle brings along.

    Args:
        model: without a certificate.
        directory: of the bundle.
        examined: its backend and what the audit says.
        passed_over: the engines that were tried before.
    """
    recipe, bundle = model.recipe, model.bundle
    samples, findings = ((), ()) if recipe is None else read_samples(directory, recipe)
    return Candidate(
        model=bundle.name,
        version=bundle.version,
        directory=directory,
        model_digest=bundle.model_digest,
        recipe_digest="" if recipe is None else recipe.digest,
        buckets_rows=model.batching.buckets_rows,
        examined=examined,
        samples=samples,
        findings=findings,
        outputs=(model.output, *(head.output for head in model.heads)),
        passed_over=passed_over,
    )


def profiled_labels(model: LoadedModel) -> tuple[str, ...]:
    """The classes of a profile of this model; ``NO_LABEL`` is one where that may be the answer."""
    labels = model.bundle.labels or tuple(map(str, range(model.classes)))
    return (*labels, NO_LABEL) if model.output.is_multi_label else labels
