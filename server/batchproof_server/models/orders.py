"""What operators ask for: load, unload, roll back, label; whatever protocol they speak."""

from collections.abc import Mapping
from pathlib import Path

from batchproof_server.base.errors import (
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ModelRefused,
    cut,
)
from batchproof_server.models.coming_labels import MOST_LABELS, check_label
from batchproof_server.models.keeper import Keeper
from batchproof_server.models.looking import Seen
from batchproof_server.models.overview import refuses
from batchproof_server.models.policies import VersionPolicy
from batchproof_server.models.selection import Labels
from batchproof_server.models.version_states import AT_WORK, IN_MEMORY, VersionState
from batchproof_server.models.weighted_versions import Target, replaced, weights_of


# Contract
#
# What an operator has said of a version holds until they say otherwise, until the version is gone
# from the repository, or until the server starts anew. An order about one version that fails has
# changed nothing; of one about whole models, what was done before the failure stays. Nobody names a
# path: only what lies in the repository can be loaded.
class Orders:
    """Carries out what operators ask for.

    Args:
        keeper: of the versions.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._versions = keeper.versions

    async def load(self, model: str, version: int | None = None) -> None:
        """Loads a version; without one, all that the policy of the model wants. Waits for it.

        Raises:
            InvalidInput: no model is named.
            ModelNotFound: it does not lie in the repository.
            ModelNotReady: it is still being copied.
            ModelRefused: with the findings.
        """
        reason = await self._keeper.look()
        found = self._found(model, reason)
        if version is None:
            await self._load_model(model, found)
            return
        if version not in found:
            what = f'there is no version {version} of model "{model}" in the repository'
            raise ModelNotFound(f"{what}, which has {', '.join(map(str, found))}")
        self._check_whole(found[version])
        before, stopped = self._keeper.said[model].get(version), model in self._keeper.stopped
        self._keeper.said[model][version] = True
        self._keeper.stopped.discard(model)
        if failed := await self._try(model, (version,), (version,)):
            self._say(model, version, before)
            self._keeper.stopped |= {model} if stopped else set()
            raise ModelRefused(f'model "{model}" version {version} failed to load: {failed}')
        if refuses(self._keeper, (model, version)):
            raise ModelNotReady(f'model "{model}" version {version} was unloaded meanwhile')

    async def _load_model(self, model: str, found: Mapping[int, Seen]) -> None:
        self._keeper.stopped.discard(model)
        self._keeper.said.pop(model, None)
        for seen in found.values():
            if not seen.lying.partial:
                self._keeper.take_as_it_lies((model, seen.lying.place.version))
        states = self._keeper.states(model)
        failed = [each for each in found if states.get(each) is VersionState.FAILED]
        if findings := await self._try(model, tuple(failed), tuple(found)):
            raise ModelRefused(f'model "{model}" failed to load: {findings}')

    async def _try(self, model: str, versions: tuple[int, ...], waited: tuple[int, ...]) -> str:
        """Loads what is wanted when what is waited for has drained; why it failed, or nothing."""
        keeper = self._keeper
        for version in versions:
            if keeper.states(model).get(version) not in IN_MEMORY:
                keeper.take_as_it_lies((model, version))
                keeper.again.add((model, version))
        keeper.act()
        await keeper.until(
            lambda: (
                not keeper.is_loading_of(model)
                and not any(keeper.states(model).get(v) is VersionState.DRAINING for v in waited)
            )
        )
        wanted = versions or tuple(keeper.states(model))
        return "; ".join(
            finding
            for status in self._versions.statuses()
            if status.name == model and status.version in wanted
            for finding in status.findings
            if status.state is VersionState.FAILED
        )

    async def unload(self, model: str, version: int | None = None) -> None:
        """Drains a version, or all of a model, and gives the memory back.

        Raises:
            InvalidInput: no model is named, or a label stands for the version.
            ModelNotFound: there is no such version.
            ModelNotReady: somebody has asked for it again meanwhile.
        """
        known = {**self._found(model, ""), **self._keeper.states(model)}
        keeper = self._keeper
        if version is None:
            keeper.stopped.add(model)
            keeper.said.pop(model, None)
        else:
            self._check_known(model, version, known)
            labels = self._versions.labels.on(model, version)
            if labels:
                raise InvalidInput(
                    f'the label "{labels[0]}" stands for version {version} of model "{model}"; '
                    "move or remove it first"
                )
            keeper.said[model][version] = False
        gone = tuple(known) if version is None else (version,)
        for each in gone:
            keeper.again.discard((model, each))
            keeper.stop_loading((model, each))
        keeper.act()
        await self._gone(model, gone)

    async def _gone(
        self, model: str, versions: tuple[int, ...], allowed: tuple[VersionState, ...] = ()
    ) -> None:
        """Returns when versions that are not wanted any more are gone, or as good as that."""
        keeper = self._keeper
        busy = AT_WORK.difference(allowed)

        def is_over() -> bool:
            states = keeper.states(model)
            return not any(states.get(each) in busy for each in versions) or is_asked_for()

        def is_asked_for() -> bool:
            return not all(refuses(keeper, (model, each)) for each in versions)

        await keeper.until(is_over)
        if is_asked_for():
            raise ModelNotReady(f'model "{model}" was asked for again while it was unloaded')

    async def roll_back(self, model: str) -> tuple[int, int]:
        """Goes back to the version before the newest that answers.

        Returns:
            The version that answers now, and the one that did.

        Raises:
            InvalidInput: no model is named, or there is no version before.
            ModelNotFound: there is no such model.
            ModelNotReady: no version of it answers.
            ModelRefused: the version before cannot be loaded.
        """
        found = self._found(model, await self._keeper.look())
        states = self._keeper.states(model)
        shadow = self._versions.shadows.of(model)
        loaded = [v for v, state in states.items() if state in IN_MEMORY and v != shadow]
        if not loaded:
            raise ModelNotReady(f'no version of model "{model}" answers, nothing to roll back from')
        newest = max(loaded)
        before = [
            version
            for version, seen in found.items()
            if version < newest
            and version != shadow
            and not seen.lying.partial
            and not refuses(self._keeper, (model, version))
        ]
        if not before:
            raise InvalidInput(
                f'version {newest} is the oldest of model "{model}" in the repository, nothing to '
                "roll back to"
            )
        target = max(before)
        said = self._keeper.said[model].get(target)
        await self.load(model, target)
        labels = dict(self._versions.labels.of(model))
        moved = {label: replaced(each, newest, target) for label, each in labels.items()}
        self._versions.labels.move(model, moved)
        self._keeper.coming_labels.drop_version(model, newest)
        self._keeper.said[model][newest] = False
        self._say(model, target, said)
        self._keeper.act()
        await self._gone(model, (newest,), (VersionState.DRAINING,))
        return target, newest

    def set_labels(self, model: str, changes: Mapping[str, Target | None]) -> Mapping[str, Target]:
        """Moves labels, all at once; those that are not named stay. None removes a label.

        Returns:
            All labels of the model.

        Raises:
            InvalidInput: no model is named, or a label is too long or no text.
            ModelNotFound: there is no such model or version.
            ModelNotReady: a version does not answer.
        """
        known = {**self._found(model, ""), **self._keeper.states(model)}
        for label, target in changes.items():
            check_label(label)
            for version in () if target is None else weights_of(target):
                self._check_known(model, version, known)
                state = self._keeper.states(model).get(version, "not loaded")
                state = "a shadow" if self._versions.shadows.has(model, version) else state
                if state is not VersionState.READY:
                    raise ModelNotReady(
                        f'model "{model}" version {version} is {state}, expected one that is '
                        "ready; load it first"
                    )
        labels = {**self._versions.labels.of(model), **changes}
        kept = {label: target for label, target in labels.items() if target is not None}
        if len(kept) > MOST_LABELS:
            raise InvalidInput(f"{len(kept)} labels, expected {MOST_LABELS} at most")
        self._versions.labels.move(model, kept)
        self._keeper.coming_labels.drop(model, frozenset(changes))
        self._keeper.act()
        return kept

    async def follow_policies(self, policies: Mapping[str, VersionPolicy], labels: Labels) -> None:
        """Serves these models by these policies and with these labels, and no others.

        Raises:
            InvalidInput, ModelNotFound: a model does not lie in the repository; nothing is changed.
            ModelRefused: a version failed to load.
            ModelNotReady: a label is for a version that does not answer then.
        """
        reason = await self._keeper.look()
        for model in policies:
            self._found(model, reason)
        for model in {name for name, _ in self._keeper.seen} - policies.keys():
            await self.unload(model)
        self._keeper.follow(policies)
        for model in policies:
            await self.load(model)
        for model, now in labels.items():
            gone = dict.fromkeys(self._versions.labels.of(model).keys() - now.keys())
            self.set_labels(model, {**gone, **now})

    def directory_of(self, model: str) -> Path | None:
        """The folder that holds the versions of a model; None where none lies."""
        places = (each.lying.place for key, each in self._keeper.seen.items() if key[0] == model)
        return next((place.directory.parent for place in places), None)

    def check_model(self, model: str) -> None:
        """Returns when there is such a model.

        Raises:
            InvalidInput: no model is named.
            ModelNotFound: there is none.
        """
        self._found(model, "")

    def _found(self, model: str, reason: str) -> dict[int, Seen]:
        """What lies there of a model."""
        names = sorted(
            {
                *(name for name, _ in self._keeper.seen),
                *(each.name for each in self._versions.statuses()),
            }
        )
        if model not in names:
            expected = ", ".join(f'"{name}"' for name in names)
            because = f"; {reason}" if reason else ""
            if not model:
                raise InvalidInput(f"the model's name is empty, expected one of {expected}")
            raise ModelNotFound(
                f'there is no model "{cut(model)}" in the repository, which has {expected}{because}'
            )
        seen = self._keeper.seen
        return {key[1]: each for key, each in sorted(seen.items()) if key[0] == model}

    def _say(self, model: str, version: int, wanted: bool | None) -> None:  # noqa: FBT001 - as it was said
        if wanted is None:
            self._keeper.said[model].pop(version, None)
        else:
            self._keeper.said[model][version] = wanted

    def _check_known(self, model: str, version: int, known: Mapping[int, object]) -> None:
        if version not in known:
            numbers = ", ".join(map(str, sorted(known)))
            raise ModelNotFound(
                f'model "{model}" has no version {version}; its versions: {numbers}'
            )

    def _check_whole(self, seen: Seen) -> None:
        if seen.lying.partial:
            raise ModelNotReady(
                f"version {seen.lying.place.version} is still being copied: its file "
                f'"{cut(seen.lying.partial)}" has the name of one that is not finished'
            )
