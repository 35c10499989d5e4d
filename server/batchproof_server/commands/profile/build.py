"""``batchproof-server profile build``: the profile of a bundle from labelled pictures."""

import asyncio
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from batchproof_server.application.config import Config, prepare_engines, read_config
from batchproof_server.backends.artefact import LayeredKind
from batchproof_server.backends.examining import check_safe
from batchproof_server.backends.source import Penultimate
from batchproof_server.base.clock import Clock, MonotonicClock
from batchproof_server.base.files import write_whole
from batchproof_server.base.spread import spread
from batchproof_server.commands.bars import show_bars
from batchproof_server.commands.certify.command import OK, only_bundle
from batchproof_server.commands.opening import LimitedEmbedder, open_within
from batchproof_server.commands.profile.report import profile_report
from batchproof_server.commands.serving import serve_version
from batchproof_server.commands.terminal import write
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.profile_form import PROFILE_NAME, profile_json
from batchproof_server.drift.settings import DriftSettings
from batchproof_server.drift.summarising import ProfiledModel, frame_of, summarise
from batchproof_server.drift.tta_reference import difference
from batchproof_server.models.bundle import Bundle, read_bundle
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel, profiled_labels
from batchproof_server.models.profiles import read_profile, tta_reference
from batchproof_server.offline.datasets.pictures import LabelledPicture, truth_of
from batchproof_server.offline.datasets.reading import read_labelled
from batchproof_server.offline.evaluation.evaluating import served_expansion
from batchproof_server.offline.reference_profile.answering import Answering, RecordKeeper
from batchproof_server.offline.reference_profile.samples import (
    REFERENCE_NAME,
    Samples,
    WantedSamples,
    check_replaceable,
    samples_of,
    write_samples,
)
from batchproof_server.proof.certificate.machine import usable_cpus
from batchproof_server.tta.choice import allowed_policies
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.policies import TtaSettings, unknown_policy

_FEW_PICTURES: Final = 1000


@dataclass(frozen=True, slots=True)
class _Work:
    """What was asked for, checked before anything is loaded."""

    config: Config
    place: Place
    pictures: tuple[LabelledPicture, ...]
    out: Path
    samples: int
    like: ReferenceProfile | None
    tta: str | None


def build(arguments: Namespace) -> int:
    """Runs the step.

    Returns:
        0.

    Raises:
        ValueError: wrong usage, data that cannot be used, or a profile of ``--like`` that does not
            fit.
        ModelRefused: the model cannot be loaded.
        OSError: the profile cannot be written.
    """
    clock = MonotonicClock()
    started_s = clock.now_s()
    work = _read_work(arguments)
    prepare_engines()
    built, samples, loaded_s, engine = asyncio.run(_build(work, clock))
    done_s = clock.now_s()
    write_whole(work.out, profile_json(built))
    title = f"{work.place.name} version {work.place.version}"
    write(profile_report(title, built, verbose=arguments.verbose))
    write(f"  engine        {engine}")
    write(f"  wrote         {work.out}")
    if samples is not None:
        write_samples(samples, work.out.parent / REFERENCE_NAME)
        write(f"  samples       {work.out.parent / REFERENCE_NAME}: {samples.summary}")
    rate = built.pictures / (done_s - loaded_s)
    loading = f"{loaded_s - started_s:.1f} s of it to load the model"
    write(f"  took          {done_s - started_s:.1f} s, {loading}; {rate:,.0f} pictures/s")
    if built.pictures < _FEW_PICTURES:
        write(f"  note          with {_FEW_PICTURES:,} pictures or more the figures are less noisy")
    return OK


def _read_work(arguments: Namespace) -> _Work:
    given = {"proof": {"allow_unproven": True}} if arguments.allow_unproven else {}
    config = read_config(arguments.config, given)
    place = only_bundle(arguments.bundle)
    if arguments.limit is not None and arguments.limit < 1:
        raise ValueError(f"--limit: {arguments.limit}, expected 1 or more")
    if arguments.samples < 0:
        raise ValueError(f"--samples: {arguments.samples}, expected 0 or more")
    out = arguments.out or place.directory / PROFILE_NAME
    if not out.parent.is_dir():
        raise ValueError(f"{out.parent}: no such folder")
    if arguments.samples:
        check_replaceable(out.parent / REFERENCE_NAME)
    like = None if arguments.like is None else read_profile(arguments.like)
    bundle = read_bundle(place.name, place.version, place.directory)
    if arguments.tta is not None:
        _check_policy(arguments.tta, bundle.manifest.tta)
    pictures = spread(read_labelled(arguments.data, bundle.labels, config.images), arguments.limit)
    return _Work(config, place, pictures, out, arguments.samples, like, arguments.tta)


def _check_policy(name: str, settings: TtaSettings) -> None:
    """Returns when views of this policy may be asked for and can disagree."""
    allowed = allowed_policies(settings)
    several = [each for each in allowed if len(settings.known[each].plan(each).views) > 1]
    if name in several:
        return
    if not several:
        raise ValueError("--tta: the bundle allows no policy of several views")
    known = ", ".join(several)
    if name in allowed:
        raise ValueError(f'--tta: the policy "{name}" has one view, expected one of {known}')
    raise ValueError(f"--tta: {unknown_policy(name, several)}")


async def _build(work: _Work, clock: Clock) -> tuple[ReferenceProfile, Samples | None, float, str]:
    """The profile, its samples, the instant at which the model was loaded, and its engine."""
    records = RecordKeeper()
    async with serve_version(
        profiling_config(work.config), work.place, records, watches_inputs=True
    ) as serving:
        loaded_s, loaded = clock.now_s(), serving.model.loaded
        recipe, engine = served_expansion(loaded).recipe, loaded.backend.engine
        is_multi_label = loaded.output.is_multi_label
        truth = truth_of(work.pictures, loaded.classes, is_multi_label=is_multi_label)
        plan = None if work.tta is None else loaded.tta.plans[work.tta]
        _check_like(work, plan)
        subject = profiled_model(loaded, plan)
        answering = Answering(serving.model, serving.core.predict, records, plan)
        with show_bars(len(work.pictures)) as bars:
            signals = await answering.collect_signals(work.pictures, bars.begin("answering"))
        frame = None if work.like is None else frame_of(work.like)
        built = summarise(subject, signals, truth, frame)
        if not work.samples:
            return built, None, loaded_s, engine
        embedder, reason = open_embedder(loaded.bundle, work.config)
        wanted = WantedSamples(work.samples, subject.labels, embedder, reason)
        return built, samples_of(recipe, work.pictures, signals, wanted), loaded_s, engine


def profiling_config(config: Config) -> Config:
    """The user's, with as many pictures decoded at the same time as this process has cores."""
    threads = max(config.decoding.threads, usable_cpus())
    a_thread_bytes = config.decoding.max_decoded_bytes // config.decoding.threads
    decoding = replace(config.decoding, threads=threads, max_decoded_bytes=a_thread_bytes * threads)
    # A profile in the bundle is about to be replaced, so it need not fit.
    return replace(config, decoding=decoding, drift=DriftSettings(enabled=False))


def _check_like(work: _Work, plan: Plan | None) -> None:
    tta = None if plan is None else tta_reference(plan)
    if work.like is not None and work.like.tta != tta:
        raise ValueError(f"--like: {difference(work.like.tta, tta)}")


def profiled_model(loaded: LoadedModel, plan: Plan | None = None) -> ProfiledModel:
    """What a profile of a served model is of.

    Args:
        loaded: with a recipe and class scores.
        plan: of the augmentation whose signals are in it too.

    Raises:
        InvalidData: the model takes no pictures, or gives no class scores.
    """
    recipe = served_expansion(loaded).recipe
    return ProfiledModel(
        model_digest=loaded.bundle.model_digest,
        recipe_digest=recipe.digest,
        labels=profiled_labels(loaded),
        tta=None if plan is None else tta_reference(plan),
        libraries=recipe.libraries,
    )


def open_embedder(bundle: Bundle, config: Config) -> tuple[Penultimate | None, str]:
    """What computes the penultimate layer of a bundle's model, or why nothing does."""
    kind = bundle.kind
    if not isinstance(kind, LayeredKind):
        return None, f"no embeddings: {bundle.artefact.name} is no .keras file, it has no layers"
    check_safe(kind, bundle.artefact)
    file = bundle.artefact
    source = open_within(config, file.name, lambda: kind.open(file, config.engine))
    open_within(config, file.name, source.repair)
    embedder = open_within(config, file.name, source.penultimate)
    if embedder is None:
        return None, "no embeddings: no single layer feeds the one that makes the scores"
    return LimitedEmbedder(embedder, config), ""
