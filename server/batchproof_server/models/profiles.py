"""The reference profile that a bundle may bring along: read, parsed and fitted to the model."""

from pathlib import Path

from batchproof.text import joined
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import TooLarge, read_text
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.profile_form import (
    MAX_PROFILE_BYTES,
    PROFILE_NAME,
    KnownProfile,
    ModelFacts,
    other_libraries,
    parse_profile,
    unfit_findings,
)
from batchproof_server.drift.settings import DriftSettings
from batchproof_server.drift.tta_reference import TtaReference
from batchproof_server.tta.choice import Choice
from batchproof_server.tta.plan import Plan


class ProfileRefused(ValueError):
    """A profile that cannot be used.

    Args:
        findings: one sentence each, beginning with the file.
    """

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__(joined(findings))
        self.findings = findings


def read_bundle_profile(
    directory: Path, facts: ModelFacts, settings: DriftSettings
) -> tuple[KnownProfile | None, tuple[str, ...]]:
    """The profile of a bundle.

    Args:
        directory: of the bundle.
        facts: what the profile must be of.
        settings: whether to look at all, and what to do with one that does not fit.

    Returns:
        None where there is none; and why one was ignored, or what is to be known of one in use.

    Raises:
        ModelRefused: it does not parse or is of another model or recipe, unless it is ignored.
    """
    file = directory / PROFILE_NAME
    if not settings.enabled or not file.exists():
        return None, ()
    try:
        profile = read_fitting_profile(file, facts)
    except ProfileRefused as refused:
        if settings.unfit_profile == "ignore":
            return None, refused.findings
        raise ModelRefused("the profile does not fit the model", refused.findings) from refused
    notes = other_libraries(profile, facts)
    return KnownProfile.of(profile), tuple(f"{file.name}: {note}" for note in notes)


def tta_reference(plan: Plan) -> TtaReference:
    """What a profile says of a policy with several views."""
    return TtaReference(
        policy=plan.policy,
        policy_digest=plan.digest,
        views=tuple(view.text for view in plan.views),
        aggregation=plan.aggregation.text,
        early_exit=plan.early_exit,
        weights=plan.weights,
    )


def watchable_policies(choice: Choice) -> dict[str, TtaReference]:
    """The policies whose views can disagree, by name."""
    plans = choice.plans.items()
    return {name: tta_reference(plan) for name, plan in plans if len(plan.views) > 1}


def read_fitting_profile(file: Path, facts: ModelFacts) -> ReferenceProfile:
    """Reads a profile that must be of a model.

    Raises:
        ProfileRefused: see ``read_profile``; or it is of another model or recipe.
    """
    profile = read_profile(file)
    if findings := unfit_findings(profile, facts):
        raise ProfileRefused(tuple(f"{file.name}: {finding}" for finding in findings))
    return profile


def read_profile(file: Path) -> ReferenceProfile:
    """Reads a profile from a file.

    Raises:
        ProfileRefused: it cannot be read, is too large, or has faults; every one is named.
    """
    try:
        return parse_profile(read_text(file, MAX_PROFILE_BYTES))
    except TooLarge as fault:
        raise ProfileRefused((f"{file.name}: {fault}",)) from fault
    except OSError as fault:
        raise ProfileRefused((f"{file.name}: cannot be read ({fault.strerror})",)) from fault
    except UnicodeDecodeError as fault:
        raise ProfileRefused((f"{file.name}: is not UTF-8 text",)) from fault
    except InvalidSettings as invalid:
        raise ProfileRefused(
            tuple(f"{file.name}: {fault}" for fault in invalid.faults)
        ) from invalid
