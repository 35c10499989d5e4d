"""Loads one version: artefact, signature, recipe, proof. Blocks; runs on a loading thread."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from batchproof_server.backends.artefact import ArtefactKind
from batchproof_server.backends.engine import Engine
from batchproof_server.backends.examining import (
    Opened,
    engines_for,
    examine,
    open_audited,
    reference_of,
)
from batchproof_server.backends.plug_list import AUTO
from batchproof_server.backends.reopening import reopen
from batchproof_server.base.backend import Backend, EngineSettings
from batchproof_server.base.clock import Clock
from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.signature import Signature, Tensors
from batchproof_server.batching.settings import BatchingSettings
from batchproof_server.drift.settings import DriftSettings
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.plugs import Plugs
from batchproof_server.models.bundle import Bundle, read_bundle
from batchproof_server.models.discovery import Place
from batchproof_server.models.fitting import (
    check_declared,
    check_heads,
    fit_recipe,
    name_output,
    other_heads,
    tta_choice,
)
from batchproof_server.models.loaded import LoadedModel, candidate_of, model_facts
from batchproof_server.models.passes import in_passes
from batchproof_server.models.profiles import read_bundle_profile
from batchproof_server.models.warm_up import warm_up
from batchproof_server.proof.certificate.certificate import Certificate, PassedOver
from batchproof_server.proof.certificate.kept import FoundCertificate
from batchproof_server.proof.examination import Examined
from batchproof_server.proof.proving import Prove
from batchproof_server.proof.settings import Progress, Tell, silent
from batchproof_server.tta.expansion import Expansion


@dataclass(frozen=True, slots=True)
class LoadingPlugs:
    """What loading a version needs from outside.

    Attributes:
        kinds: of artefacts that bundles may hold.
        engines: the first that accepts an opened artefact, and proves it, executes it.
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
        tell: learns of engines that do not execute a version after all.
        recorded: the inputs of requests that lie in a bundle, of its directory and signature.
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
    tell: Tell = silent
    recorded: Callable[[Path, Signature], Iterable[Tensors]] = lambda _bundle, _signature: ()


def load_version(place: Place, plugs: LoadingPlugs) -> LoadedModel:
    """Reads, compiles and proves a version; every bucket that it serves has been executed.

    Raises:
        ModelRefused: with everything that is wrong with the bundle as far as it could be read, or
            with the findings of its proof.
    """
    bundle = read_bundle(place.name, place.version, place.directory, plugs.kinds)
    loading = _Loading(bundle, place, plugs, bundle.manifest.batching or plugs.batching)
    if (kept := loading.load_kept()) is not None:
        return kept
    opened = open_audited(bundle.kind, bundle.artefact, plugs.engine)
    *others, own = loading.engines(opened)
    if others and (kept := loading.load_passed_over(own, opened, others)) is not None:
        return kept
    passed_over: list[PassedOver] = []
    for engine in others:
        try:
            return loading.load_on(engine, opened)
        except ModelRefused as refused:
            passed_over.append(PassedOver(engine.name, refused.findings or (str(refused),)))
            loading.tell_passed_over(passed_over[-1:])
    return loading.load_on(own, opened, tuple(passed_over))


@dataclass(frozen=True, slots=True)
class _Loading:
    """What is the same whichever engine executes the version."""

    bundle: Bundle
    place: Place
    plugs: LoadingPlugs
    batching: BatchingSettings

    @property
    def engine_name(self) -> str:
        """The one that was asked for, by the server or else by the manifest."""
        named = self.plugs.engine.name
        return self.bundle.manifest.engine if named == AUTO else named

    def tell(self, step: str, detail: str) -> None:
        """Tells of progress."""
        self.plugs.tell(Progress(self.place.name, self.place.version, step, detail=detail))

    def tell_passed_over(self, engines: Sequence[PassedOver]) -> None:
        """Tells of engines that do not execute the version, and why."""
        for each in engines:
            self.tell("engine passed over", "; ".join(each.sentences))

    def engines(self, opened: Opened) -> tuple[Engine, ...]:
        """What may execute the artefact, the library that it was made with last.

        Without a proof nobody can tell whether another engine answers as that.
        """
        engines = engines_for(opened.source, self.plugs.engines, self.engine_name)
        return engines if self.plugs.prove is not None else engines[-1:]

    def load_kept(self) -> LoadedModel | None:
        """The version as an earlier proof left it, which takes no library but the engine's.

        Raises:
            ModelRefused: it does not fit its bundle.
        """
        prove, place = self.plugs.prove, self.place
        if prove is None:
            return None
        for found in prove.find(place.name, place.version, place.directory):
            examined = self._reopen(found)
            if examined is None:
                continue
            kept = self._load_proven(prove, examined, examined.compiled_rows[:1])
            if kept is not None:
                return kept
        return None

    def load_passed_over(
        self, own: Engine, opened: Opened, others: Sequence[Engine]
    ) -> LoadedModel | None:
        """The version on its own engine, where the others were tried before and did not prove it.

        Raises:
            ModelRefused: it does not fit its bundle.
        """
        prove, place = self.plugs.prove, self.place
        if prove is None:
            return None
        for found in prove.find(place.name, place.version, place.directory):
            certificate = found.of(self.bundle.model_digest)
            passed_over = () if certificate is None else certificate.passed_over
            if [each.engine for each in passed_over] != [each.name for each in others]:
                continue
            examined = self._examine(own, opened, passed_over)
            warm_rows = self.batching.buckets_rows[:1]
            kept = self._load_proven(prove, examined, warm_rows, passed_over)
            if kept is not None:
                self.tell_passed_over(passed_over)
                return kept
        return None

    def _load_proven(
        self,
        prove: Prove,
        examined: Examined,
        warm_rows: tuple[int, ...],
        passed_over: tuple[PassedOver, ...] = (),
    ) -> LoadedModel | None:
        """The version, if an earlier proof holds for it; else its backend is closed."""
        with _closing(examined.backend):
            model = self._fit(examined.backend, warm_rows)
            candidate = candidate_of(model, self.place.directory, examined, passed_over)
            if (certificate := prove.reuse(candidate)) is not None:
                return self._certified(model, certificate)
        examined.backend.close()
        return None

    def _reopen(self, found: FoundCertificate) -> Examined | None:
        engines = [each for each in self.plugs.engines if self.engine_name in (AUTO, each.name)]
        try:
            return reopen(found, self.bundle.model_digest, engines, self.plugs.engine)
        except ModelRefused as refused:
            self.tell("certificate ignored", f"{found.name}: {'; '.join(refused.findings)}")
            return None

    def load_on(
        self, engine: Engine, opened: Opened, passed_over: tuple[PassedOver, ...] = ()
    ) -> LoadedModel:
        """Compiles and proves the version on one engine.

        Raises:
            ModelRefused: it does not fit its bundle, or failed its proof.
        """
        prove, rows = self.plugs.prove, self.batching.buckets_rows
        settings = self.plugs.engine
        examined = self._examine(engine, opened, passed_over)
        with _closing(examined.backend):
            # The proof executes every bucket; without one, this is what warms them up.
            model = self._fit(examined.backend, rows if prove is None else rows[:1])
            if prove is None:
                return model
            reference = reference_of(opened, engine, self.plugs.engines, rows, settings)
            candidate = candidate_of(model, self.place.directory, examined, passed_over)
            certificate = prove(replace(candidate, reference=reference))
            return self._certified(model, certificate)

    def _examine(
        self, engine: Engine, opened: Opened, passed_over: tuple[PassedOver, ...]
    ) -> Examined:
        """Compiled by one engine; the proof holds while those that came before it stay the same."""
        examined = examine(
            opened,
            engine,
            self.batching.buckets_rows,
            self.plugs.engine,
            to_prove=self.plugs.prove is not None,
        )
        names = {each.engine for each in passed_over}
        before = [each.packages for each in self.plugs.engines if each.name in names]
        return replace(examined, packages=sum(before, examined.packages or ()))

    def _fit(self, backend: Backend, warm_rows: tuple[int, ...]) -> LoadedModel:
        bundle, plugs, signature = self.bundle, self.plugs, backend.signature
        if bundle.manifest.signature is not None:
            check_declared(bundle.manifest.signature, signature)
        heads = other_heads(bundle, signature)
        output = name_output(bundle.manifest.output, signature)
        outputs = warm_up(backend, warm_rows)
        classes = check_heads(bundle, output, heads, outputs)
        recipe = fit_recipe(bundle, signature, plugs.imaging(bundle.kind), plugs.image_limits)
        model = LoadedModel(
            bundle,
            backend,
            self.batching,
            output,
            None if recipe is None else Expansion.of(recipe),
            classes=classes,
            tta=tta_choice(bundle, output, recipe),
            heads=heads,
        )
        profile, findings = read_bundle_profile(
            self.place.directory, model_facts(model), plugs.drift
        )
        return replace(model, profile=profile, profile_findings=findings)

    def _certified(self, model: LoadedModel, certificate: Certificate) -> LoadedModel:
        certified = _add_certificate(model, certificate, self.plugs)
        rows, clock = certified.batching.buckets_rows, self.plugs.clock
        is_one = certificate.gives_one_answer
        backend, took_s = in_passes(certified.backend, rows, clock, gives_one_answer=is_one)
        return replace(certified, backend=backend, execution_s=took_s)


@contextmanager
def _closing(backend: Backend) -> Iterator[None]:
    """Closes the backend of a version that does not come to be."""
    try:
        yield
    except BaseException:
        backend.close()
        raise


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
