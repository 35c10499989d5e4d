"""The health of the server and of each model, told from the states of the versions."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from batchproof_server.base.events import Subscription
from batchproof_server.models.shadows import ShadowChanged
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState

_FAILED: Final = {VersionState.FAILED, VersionState.STUCK}


# Contract
#
# "" is the server as a whole; every model has its own name, until none of its versions is known any
# more. A model is SERVING while a version of it is ready. The server is SERVING while any model is,
# from when loading is over until draining starts; where all must answer, only while no model has
# failed, that is while none has a failed version and no ready one. Before that everything is
# NOT_SERVING; from the start of draining on, for good. Lives on the loop thread.
class Health:
    """The health of the server and of each model.

    Args:
        all_must_answer: whether the server is NOT_SERVING while a model has failed.
    """

    def __init__(self, *, all_must_answer: bool = False) -> None:
        self._all_must_answer = all_must_answer
        self._versions: dict[str, dict[int, VersionState]] = {}
        self._shadows: dict[str, int | None] = {}
        self._is_loaded = False
        self._is_serving = False
        self._is_draining = False
        self._states: dict[str, bool] = {}
        self._changed = asyncio.Event()
        self._is_ending = False

    @property
    def is_serving(self) -> bool:
        """Whether the server as a whole is SERVING; may be asked on any thread."""
        return self._is_serving

    @property
    def is_ending(self) -> bool:
        """Whether watches are to end once they have been told the state, also those to come."""
        return self._is_ending

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change; another one from then on."""
        return self._changed

    def state(self, service: str) -> bool | None:
        """Whether a service is SERVING; None when it is not known."""
        return self._states.get(service)

    def subscriptions(self) -> Iterable[Subscription[Any]]:
        """The states of the versions."""
        return (
            Subscription(VersionChanged, self.follow_version),
            Subscription(ShadowChanged, self.follow_shadow),
        )

    def start(self) -> None:
        """The server is NOT_SERVING; to be called before the port opens."""
        self._set("", is_serving=False)

    def follow_version(self, change: VersionChanged) -> None:
        """Tells the state of its model anew, and of the server if that changes with it."""
        versions = self._versions.setdefault(change.model, {})
        versions[change.version] = change.new
        if change.new is VersionState.UNLOADED:
            del versions[change.version]
        if versions:
            self._tell_model(change.model)
        else:
            del self._versions[change.model]
            self._states.pop(change.model, None)
            self._wake()
        self._tell_server()

    def follow_shadow(self, change: ShadowChanged) -> None:
        """A version answers nobody from now on, or is one like the others again."""
        self._shadows[change.model] = change.version
        if change.model in self._versions:
            self._tell_model(change.model)
            self._tell_server()

    async def end_loading(self) -> None:
        """The server is SERVING while any model is."""
        self._is_loaded = True
        self._tell_server()

    async def start_draining(self) -> None:
        """Everything is NOT_SERVING from now on."""
        self._is_draining = True
        for model in self._versions:
            self._tell_model(model)
        self._tell_server()

    def _tell_model(self, model: str) -> None:
        is_serving = self._answers(model) and not self._is_draining
        self._set(model, is_serving=is_serving)

    def _tell_server(self) -> None:
        answers = any(map(self._answers, self._versions))
        if self._all_must_answer:
            answers = answers and not any(map(self._has_failed, self._versions))
        is_serving = self._is_loaded and answers and not self._is_draining
        if is_serving != self._is_serving:
            self._is_serving = is_serving
            self._set("", is_serving=is_serving)

    def _answers(self, model: str) -> bool:
        return VersionState.READY in self._states_of(model)

    def _has_failed(self, model: str) -> bool:
        states = self._states_of(model)
        return VersionState.READY not in states and bool(_FAILED & states)

    def _states_of(self, model: str) -> set[VersionState]:
        """Of the versions that would answer."""
        shadow = self._shadows.get(model)
        return {state for version, state in self._versions[model].items() if version != shadow}

    def end_watches(self) -> None:
        """Ends every watch once it has been told the last state: it would hold up the drain."""
        self._is_ending = True
        self._wake()

    def _set(self, service: str, *, is_serving: bool) -> None:
        self._states[service] = is_serving
        self._wake()

    def _wake(self) -> None:
        """Those who watch look again."""
        self._changed.set()
        self._changed = asyncio.Event()
