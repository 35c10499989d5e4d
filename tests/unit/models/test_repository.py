"""The repository: states, and which version answers."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.errors import (
    Draining,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ModelRefused,
    ServingError,
)
from batchproof_server.models.discovery import Place
from batchproof_server.models.repository import ModelRepository, ModelSelector, ModelState
from batchproof_server.models.served import ServedModel
from support.engine_bench import engine_bench
from support.fakes import ElementwiseBackend, PuppetDevice


def repository(*versions: int, name: str = "m", labels: Any = None) -> ModelRepository:
    places = tuple(Place(name, version, Path()) for version in versions)
    return ModelRepository(places, labels or {})


def served(name: str = "m", version: int = 1) -> ServedModel:
    with engine_bench(ElementwiseBackend(1), device=PuppetDevice()) as bench:
        loaded = bench.model.loaded
        bundle = replace(loaded.bundle, name=name, version=version)
        return replace(bench.model, loaded=replace(loaded, bundle=bundle))


def bring(models: ModelRepository, version: int, state: ModelState) -> None:
    """Brings a version that is loading into a state; draining brings all that are ready."""
    if state is ModelState.FAILED:
        models.became_failed("m", version, ("why",))
    elif state is not ModelState.LOADING:
        models.became_ready(served(version=version))
    if state is ModelState.DRAINING:
        models.start_draining()


REFUSALS: dict[ModelState, type[ServingError]] = {
    ModelState.LOADING: ModelNotReady,
    ModelState.FAILED: ModelRefused,
    ModelState.DRAINING: Draining,
}


@pytest.mark.parametrize("state", ModelState)
async def test_only_a_ready_version_answers_and_the_others_say_why(state: ModelState) -> None:
    models = repository(1)
    bring(models, 1, state)
    (status,) = models.statuses()
    assert status.state is state
    assert (len(models.ready()), len(models.loaded())) == (
        state is ModelState.READY,
        state in (ModelState.READY, ModelState.DRAINING),
    )
    if state is ModelState.READY:
        assert models.select(ModelSelector("m")).version == 1
        return
    with pytest.raises(REFUSALS[state], match='model "m" version 1') as refused:
        models.select(ModelSelector("m", version=1))
    if isinstance(refused.value, ModelRefused):
        assert refused.value.findings == ("why",)
        assert str(refused.value).endswith("failed to load: why")


async def test_a_state_only_moves_forward() -> None:
    models = repository(1)
    models.became_ready(served())
    with pytest.raises(ValueError, match="that is ready cannot become failed"):
        models.became_failed("m", 1, ())
    with pytest.raises(ValueError, match="that is ready cannot become ready"):
        models.became_ready(served())
    models.start_draining()
    models.start_draining()
    with pytest.raises(ValueError, match="that is draining cannot become ready"):
        models.became_ready(served())
    failed = repository(1)
    failed.became_failed("m", 1, ())
    with pytest.raises(ValueError, match="that is failed cannot become ready"):
        failed.became_ready(served())


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        pair
        for pair in product(ModelState, repeat=2)
        if pair != (ModelState.DRAINING, ModelState.READY)
    ],
)
async def test_by_default_the_newest_of_the_most_hopeful_state_is_meant(
    older: ModelState, newer: ModelState
) -> None:
    hope = [ModelState.FAILED, ModelState.LOADING, ModelState.DRAINING, ModelState.READY]
    models = repository(1, 2)
    if newer is ModelState.DRAINING and older is ModelState.READY:
        bring(models, 2, newer)
        bring(models, 1, older)
    else:
        bring(models, 1, older)
        bring(models, 2, newer)
    states = {status.version: status.state for status in models.statuses()}
    expected = 1 if hope.index(states[1]) > hope.index(states[2]) else 2
    assert models.find(ModelSelector("m")).version == expected


@given(st.sets(st.integers(1, 2**63 - 1), min_size=1, max_size=5))
def test_every_version_can_be_asked_for(versions: set[int]) -> None:
    models = repository(*versions)
    assert [status.version for status in models.statuses()] == sorted(versions)
    assert models.find(ModelSelector("m")).version == max(versions)
    for version in versions:
        assert models.find(ModelSelector("m", version=version)).version == version


def test_a_label_stands_for_a_version() -> None:
    models = repository(1, 2, labels={"m": {"stable": 1, "old": 1, "canary": 2}})
    assert models.find(ModelSelector("m", label="stable")).version == 1
    assert models.labels_of("m", 1) == ("old", "stable")
    assert models.labels_of("other", 1) == ()
    with pytest.raises(ModelNotFound, match="its labels: canary, old, stable"):
        models.find(ModelSelector("m", label="x"))


@pytest.mark.parametrize("labels", [{"m": {"stable": 3}}, {"x": {"stable": 1}}])
def test_a_label_for_what_does_not_exist_is_refused(labels: Any) -> None:
    with pytest.raises(ValueError, match=r"^version_labels\.[mx]\.stable: there is no version"):
        repository(1, labels=labels)


def test_an_empty_name_means_the_only_model() -> None:
    assert repository(1).find(ModelSelector("")).name == "m"
    assert repository(1, labels={"m": {"a": 1}}).find(ModelSelector("", label="a")).version == 1
    two = ModelRepository((Place("a", 1, Path()), Place("b", 1, Path())), {})
    with pytest.raises(InvalidInput, match='empty, expected one of "a", "b"'):
        two.find(ModelSelector(""))
    assert two.names() == ("a", "b")


def test_a_long_name_is_cut_in_the_answer() -> None:
    with pytest.raises(ModelNotFound) as missing:
        repository(1).find(ModelSelector("x" * 5000))
    assert str(missing.value) == f'there is no model "{"x" * 80}..."; served: "m"'


def test_a_version_that_does_not_exist_lists_those_that_do() -> None:
    with pytest.raises(ModelNotFound, match='model "m" has no version -1; its versions: 1, 12'):
        repository(12, 1).find(ModelSelector("m", version=-1))


async def test_a_served_model_names_its_classes_and_releases_everything() -> None:
    device, backend = PuppetDevice(), ElementwiseBackend(1)
    with engine_bench(backend, device=device) as bench:
        assert bench.model.label(3) == "3"
        bundle = replace(bench.model.loaded.bundle, labels=("cat", "dog"))
        named = replace(bench.model, loaded=replace(bench.model.loaded, bundle=bundle))
        assert named.label(1) == "dog"
        bench.model.close()
        assert backend.is_closed
        with pytest.raises(RuntimeError):
            device.submit(print)
        with pytest.raises(Draining):
            bench.model.batcher.check_room(1)
