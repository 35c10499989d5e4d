"""The steps of ``pack``: each writes files of the bundle and tells what it found."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from batchproof_server.base.errors import ModelRefused
from batchproof_server.base.files import write_whole
from batchproof_server.base.intervals import share_interval
from batchproof_server.base.output_forms import FORMS
from batchproof_server.base.spread import spread
from batchproof_server.commands.opening import open_within
from batchproof_server.commands.pack.asking import (
    answers_of,
    compiled,
    find_recipe,
    prove_and_profile,
)
from batchproof_server.commands.pack.telling import How, Telling, recipe_lines, recipe_to_write
from batchproof_server.commands.pack.work import PackWork
from batchproof_server.commands.report import summed_repairs
from batchproof_server.commands.serving import serve_version
from batchproof_server.diagnosis.training_curve import TRAINING_NAME, training_curve_json
from batchproof_server.drift.profile import ReferenceProfile
from batchproof_server.drift.profile_form import PROFILE_NAME, profile_json
from batchproof_server.drift.settings import DriftSettings
from batchproof_server.drift.summarising import MIN_PICTURES
from batchproof_server.imaging.manifest_text import recipe_text
from batchproof_server.imaging.settings import RecipeSettings
from batchproof_server.models.bundle import LABELS_NAME
from batchproof_server.models.discovery import Place
from batchproof_server.models.manifest import MANIFEST_NAME
from batchproof_server.offline.datasets.pictures import InvalidData, LabelledPicture
from batchproof_server.offline.datasets.reading import read_labelled
from batchproof_server.offline.diagnosing.training import TRAINING_PROFILE_NAME
from batchproof_server.offline.inspection.draft import Draft, preset_text, watched_output
from batchproof_server.offline.inspection.guesses import NO_SCALING, Guess, LikelyKind
from batchproof_server.offline.inspection.inspecting import (
    HDF5_SUFFIXES,
    Inspection,
    find_artefact,
    inspect_model,
)
from batchproof_server.offline.packing.converting import convert_hdf5
from batchproof_server.offline.packing.files import bring_artefact, write_samples
from batchproof_server.offline.packing.kinds import kind_of_answers, kind_of_data
from batchproof_server.offline.packing.labelling import (
    NAME_THEM,
    check_count,
    commonest_share,
)
from batchproof_server.offline.recipe_search.result import FoundRecipes, Standing

Kinds: TypeAlias = Mapping[str, Guess[LikelyKind]]
Pictures: TypeAlias = Sequence[LabelledPicture]

_KERAS_FILE: Final = "model.keras"
_NO_REFERENCE: Final = "drift has no reference"
_NO_TRAINING: Final = "a diagnosis cannot tell overfitting"


# Contract: reads the model where it lies only to copy or convert it; what is judged, executed and
# packed is the copy.
@dataclass(frozen=True, slots=True)
class Packing:
    """From a model to the files of its bundle.

    Attributes:
        work: what was asked for.
        fresh: an empty directory that will be the bundle.
        tell: of what becomes known.
    """

    work: PackWork
    fresh: Path
    tell: Telling

    def run(self) -> None:
        """Writes all files of the bundle.

        Raises:
            ModelRefused: the model is not safe, or failed its proof.
            ValueError: labels, pictures or the recipe cannot be used.
            EvaluationFailed: the model failed on a picture.
            CannotProfile: the answers make no profile.
            OSError: a file cannot be read or written.
        """
        self.tell.begin(self.work.model.name, self.work.name, self.work.version)
        self._bring()
        config, name = self.work.config, self.work.model.name
        found = open_within(config, name, lambda: inspect_model(self.fresh, config.engine))
        self._tell_model(found)
        draft = self._draft(found)
        pictures = self._pictures(draft, "data", self.work.data)
        trained = self._pictures(draft, "trained on", self.work.training_data)
        has_sets = any(each.labels is not None for each in pictures)
        kinds = {
            name: kind_of_data(guess, is_multi_label=has_sets and name == draft.watched)
            for name, guess in draft.kinds.items()
        }
        draft = replace(draft, kinds=kinds)
        settings = self._first_recipe(found)
        if settings is not None:
            draft = asyncio.run(self._ask(found, draft, settings, pictures))
        else:
            self._tell_outputs(draft)
            self.tell("recipe", "", f"none, so it takes tensors: {found.preset.reason}")
        self._write(draft)
        takes_pictures = settings is not None
        self._finish(*((pictures, trained) if takes_pictures else ((), ())))

    @property
    def _place(self) -> Place:
        return Place(self.work.name, self.work.version, self.fresh)

    def _bring(self) -> None:
        model = self.work.model
        if model.suffix.lower() not in HDF5_SUFFIXES:
            bring_artefact(*find_artefact(model), self.fresh)
            return
        if not model.is_file():
            raise ValueError(f"{model}: no such file")
        convert_hdf5(model, self.fresh / _KERAS_FILE)
        how = "with safe loading, in a process of its own"
        self.tell("converted", "", f"{model.name} is HDF5: Keras made a .keras file of it, {how}")

    def _tell_model(self, found: Inspection) -> None:
        self.tell("input", "found", [f"{each.name}: {each}" for each in found.signature.inputs])
        self.tell("inside", "found", found.anatomy.preprocessing)
        self.tell("left out", "", found.left_out)
        self.tell("repaired", "", summed_repairs(found.repairs))

    def _draft(self, found: Inspection) -> Draft:
        """What the manifest says before anything was asked.

        Raises:
            ModelRefused: an output cannot be served as anything.
            InvalidData: labels and classes do not fit.
        """
        if unfit := [each for each in found.kinds.values() if not each.value]:
            reasons = tuple(each.reason for each in unfit)
            raise ModelRefused("an output can be served as nothing", reasons)
        counts = found.class_counts
        labels = self.work.labels
        fitting = [name for name in found.scored if counts[name] == len(labels.labels)]
        watched = fitting[0] if fitting else watched_output(found.kinds, counts)
        if watched:
            check_count(labels, counts[watched], f'output "{watched}"')
            self.tell("labels", "guessed" if labels.is_guessed else "found", labels.summary)
        title = (
            f"Written by `batchproof-server pack` from {self.work.model.name}.\n"
            "docs/configuration.md has every key, docs/recipes.md what a recipe says."
        )
        return Draft(title, found.kinds, watched)

    def _pictures(self, draft: Draft, name: str, data: Path | None) -> Pictures:
        work = self.work
        if data is None:
            return ()
        if not draft.watched:
            self.tell(name, "", "not used: the model has no class scores")
            return ()
        there = read_labelled(data, work.labels.labels, work.config.images)
        pictures = spread(there, work.limit)
        self.tell(name, "found", f"{data}: {len(pictures)} of {len(there)} pictures")
        return pictures

    def _first_recipe(self, found: Inspection) -> RecipeSettings | None:
        """Given, or what the model lets guess; None for a model that takes no pictures.

        Raises:
            ValueError: a recipe was given for such a model.
        """
        preset = self.work.preset or found.preset.value
        settings = found.recipe(preset) if preset else None
        if settings is None and self.work.preset is not None:
            raise ValueError(f"--recipe: {found.preset.reason}")
        return settings

    async def _ask(
        self, found: Inspection, draft: Draft, settings: RecipeSettings, pictures: Pictures
    ) -> Draft:
        """Asks the model itself what its outputs are, and which recipe its answers like best."""
        config = replace(self.work.config, drift=DriftSettings(enabled=False))
        while True:
            self._write(draft)
            async with serve_version(config, self._place, to_prove=False) as serving:
                own = compiled(found, config, serving.model.loaded, settings)
                answers = await answers_of(serving, own, pictures)
                settled = {
                    name: kind_of_answers(guess, answers[name])
                    for name, guess in draft.kinds.items()
                }
                is_same = all(settled[name].value == draft.kinds[name].value for name in settled)
                draft = replace(draft, kinds=settled)
                if not is_same:
                    continue  # once more, with scores of the other kind
                self._tell_outputs(draft)
                recipes = None
                if self.work.preset is None and draft.watched:
                    recipes = await find_recipe(serving, config, own, pictures, str(self.work.data))
                return self._with_recipe(draft, found, settings, recipes, pictures)

    def _tell_outputs(self, draft: Draft) -> None:
        for name, guess in draft.kinds.items():
            self.tell("output", "found", f"{name}: {guess.value}; {guess.reason}")
        scored = [guess for guess in draft.kinds.values() if guess.value in FORMS]
        if len(scored) > 1:
            self.tell("watched", "guessed", f"{draft.watched}: drift and evaluation are about it")

    def _with_recipe(
        self,
        draft: Draft,
        found: Inspection,
        settings: RecipeSettings,
        recipes: FoundRecipes | None,
        pictures: Pictures,
    ) -> Draft:
        if recipes is None:
            how, reason = self._unsearched(found)
            self.tell("recipe", how, [f"{settings.preset}: {reason}"])
            return replace(draft, recipe=preset_text(settings), reasons=(reason,))
        chosen = recipe_to_write(recipes, is_known=found.is_scaling_known)
        self._check_labels(recipes, chosen, pictures)
        how, lines = recipe_lines(recipes, chosen)
        self.tell("recipe", how, lines)
        text = preset_text(settings) if chosen.is_manifests else recipe_text(chosen.plan)
        return replace(draft, recipe=text, reasons=tuple(lines[1:]))

    def _check_labels(self, recipes: FoundRecipes, chosen: Standing, pictures: Pictures) -> None:
        """Whether labels that nobody gave can be those of the outputs.

        Raises:
            InvalidData: the answers are no better than always the commonest class would be.
        """
        chance, labels = commonest_share(pictures), self.work.labels
        # The best of many by luck is better than chance.
        known = share_interval(chosen.right, chosen.pictures, 1 - 2 * recipes.tail)
        if not labels.labels or known.low > chance:
            return
        right = f"{chosen.right / chosen.pictures:.1%} of {chosen.pictures} pictures"
        sentence = (
            f"the answers are right on {right}, whatever recipe is tried, and always the commonest "
            f"class would be on {chance:.1%}"
        )
        if labels.is_guessed:
            doubt = f"the order of the labels may be another one ({labels.reason})"
            raise InvalidData([f"{sentence}; {doubt}: {NAME_THEM}"])
        self.tell("note", "", sentence)

    def _unsearched(self, found: Inspection) -> tuple[How, str]:
        if self.work.preset is not None:
            return "given", "as given with --recipe"
        few = "too few labelled pictures to try others" if self.work.data else "without --data"
        known = found.preset.reason != NO_SCALING
        return "found" if known else "guessed", f"{found.preset.reason}; not tried: {few}"

    def _write(self, draft: Draft) -> None:
        write_whole(self.fresh / MANIFEST_NAME, draft.text)
        if draft.watched and self.work.labels.labels:
            write_whole(self.fresh / LABELS_NAME, "\n".join(self.work.labels.labels) + "\n")

    def _finish(self, pictures: Pictures, trained: Pictures) -> None:
        """Samples, proof, certificate and profiles, of the bundle as it is now."""
        if pictures:
            count = write_samples(self.fresh, pictures, self.work.labels.labels)
            self.tell("samples", "", f"{count} of the pictures, for the proof and for people")
        with tempfile.TemporaryDirectory(prefix="certify-") as scratch:
            where = Path(scratch)
            proven = asyncio.run(
                prove_and_profile(self._place, self.work.config, where, pictures, trained)
            )
            certificate = proven.proof.certificate
            said = f"{certificate.verdict}, {certificate.consistency}"
            engine = certificate.subject.environment.engine
            self.tell("certificate", "", f"{said}, executed by {engine}")
            proven.proof.keep(self.fresh)
        reference = "what drift is measured against"
        self._keep_profile("profile", proven.profile, PROFILE_NAME, reference, _NO_REFERENCE)
        if self.work.training_data is not None:
            made, told = proven.training_profile, "what a diagnosis tells overfitting by"
            self._keep_profile("training", made, TRAINING_PROFILE_NAME, told, _NO_TRAINING)
        if (curve := self.work.training_curve) is not None:
            write_whole(self.fresh / TRAINING_NAME, training_curve_json(curve))
            self.tell("curve", "", curve.summary)

    def _keep_profile(
        self, name: str, profile: ReferenceProfile | None, file: str, purpose: str, lacking: str
    ) -> None:
        if profile is None:
            expected = f"expected {MIN_PICTURES} labelled pictures or more"
            self.tell(name, "", f"none, so {lacking}: {expected}")
            return
        write_whole(self.fresh / file, profile_json(profile))
        right = f"right on {profile.accuracy_ratio:.1%} of {profile.pictures} pictures"
        self.tell(name, "", f"{right}; {purpose}")
