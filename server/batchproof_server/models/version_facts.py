"""What is known of a loaded version and never changes, for those who are not to hold the model."""

from dataclasses import dataclass

from batchproof_server.drift.profile_form import KnownProfile
from batchproof_server.models.served import ServedModel


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """Facts of a loaded version; everything is empty before it was loaded.

    Attributes:
        recipe_digest: empty for a model that takes tensors only.
        certificate_digest: empty where no proof was asked for, as are the two below.
        verdict: ``proven``, ``probed`` or ``unproven``.
        consistency: ``strict`` or ``tolerant``.
        tta_policies: the policies of test-time augmentation that may be asked for.
        class_labels: of every class, by index; empty for a model whose output is raw.
        is_multi_label: whether these are independent of each other.
        profile: what its predictions are compared with; None without one.
        profile_findings: why a profile was ignored, or what is to be known of the one in use.
    """

    model_digest: str = ""
    recipe_digest: str = ""
    engine: str = ""
    certificate_digest: str = ""
    verdict: str = ""
    consistency: str = ""
    tta_policies: tuple[str, ...] = ()
    class_labels: tuple[str, ...] = ()
    is_multi_label: bool = False
    profile: KnownProfile | None = None
    profile_findings: tuple[str, ...] = ()


def facts_of(served: ServedModel) -> VersionFacts:
    """What observers may know of a version; holds nothing of the model itself."""
    loaded = served.loaded
    recipe, certificate = loaded.recipe, loaded.certificate
    return VersionFacts(
        model_digest=loaded.bundle.model_digest,
        recipe_digest="" if recipe is None else recipe.digest,
        engine=loaded.backend.engine,
        certificate_digest=loaded.certificate_digest,
        verdict="" if certificate is None else certificate.verdict,
        consistency="" if certificate is None else certificate.consistency,
        tta_policies=() if recipe is None else loaded.tta.names,
        class_labels=tuple(served.label(each) for each in range(loaded.classes)),
        is_multi_label=loaded.output.is_multi_label,
        profile=loaded.profile,
        profile_findings=loaded.profile_findings,
    )
