"""Orders that were kept: written and read again, and put together with any configuration."""

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.validation import InvalidSettings
from batchproof_server.models.kept_orders import (
    KeptOrders,
    ModelOrders,
    MovedLabel,
    MovedShadow,
    Restored,
    orders_text,
    read_orders,
    restore,
)
from batchproof_server.models.weighted_versions import Target, WeightedVersions, weights_of

MODELS = ("m", "n")
LABELS = ("stable", "canary")
numbers = st.integers(1, 5)
shared = st.dictionaries(numbers, st.integers(1, 9), min_size=2, max_size=3).map(
    lambda weights: WeightedVersions(tuple(sorted(weights.items())))
)
targets: st.SearchStrategy[Target] = numbers | shared
moved = st.builds(MovedLabel, st.none() | targets, st.none() | targets)
shadows = st.builds(MovedShadow, st.none() | numbers, st.none() | numbers)


@st.composite
def model_orders(draw: st.DrawFn) -> ModelOrders:
    said = draw(st.dictionaries(numbers, st.booleans()))
    return ModelOrders(
        tuple(sorted(version for version, wanted in said.items() if wanted)),
        tuple(sorted(version for version, wanted in said.items() if not wanted)),
        draw(st.booleans()),
        draw(st.dictionaries(st.sampled_from(LABELS), moved)),
        draw(st.none() | shadows),
    )


orders = st.builds(
    KeptOrders, models=st.dictionaries(st.sampled_from((*MODELS, "gone")), model_orders())
)


@st.composite
def configured(draw: st.DrawFn) -> tuple[dict[str, dict[str, Target]], dict[str, int]]:
    """Labels and shadows that a server would start with: of versions 1 to 3, which are there."""
    labels: dict[str, dict[str, Target]] = {}
    configured_shadows: dict[str, int] = {}
    for model in draw(st.lists(st.sampled_from(MODELS), unique=True)):
        of_model = draw(st.dictionaries(st.sampled_from(LABELS), st.integers(1, 3)))
        labels[model] = dict(of_model)
        free = {1, 2, 3} - set(of_model.values())
        has_shadow = draw(st.booleans())
        if free and has_shadow:
            configured_shadows[model] = draw(st.sampled_from(sorted(free)))
    return labels, configured_shadows


FOUND = {(model, version) for model in MODELS for version in (1, 2, 3)}


def restored(
    kept: KeptOrders, config: tuple[dict[str, dict[str, Target]], dict[str, int]]
) -> Restored:
    return restore(kept, *config, FOUND)


@given(orders)
def test_what_is_written_is_read_again(kept: KeptOrders) -> None:
    assert read_orders(orders_text(kept)) == kept


@given(orders, configured())
def test_what_comes_out_can_be_served_whatever_was_ordered_and_configured(
    kept: KeptOrders, config: tuple[dict[str, dict[str, Target]], dict[str, int]]
) -> None:
    result = restored(kept, config)
    for model, labels in result.labels.items():
        labelled = {version for target in labels.values() for version in weights_of(target)}
        assert {(model, version) for version in labelled} <= FOUND
        assert result.shadows.get(model) not in labelled
        refused = {v for v, wanted in result.said.get(model, {}).items() if not wanted}
        assert not refused & labelled
    assert set(result.shadows.items()) <= FOUND
    assert {(m, v) for m, said in result.said.items() for v in said} <= FOUND
    assert result.stopped <= set(MODELS)


@given(orders, configured())
def test_what_the_configuration_says_anew_comes_before_what_was_ordered(
    kept: KeptOrders, config: tuple[dict[str, dict[str, Target]], dict[str, int]]
) -> None:
    labels, _ = config
    result = restored(kept, config)
    for model, each in kept.models.items():
        for label, order in each.labels.items():
            said = labels.get(model, {}).get(label)
            if model in MODELS and said != order.configured:
                assert result.labels.get(model, {}).get(label) == said


@given(configured())
def test_without_orders_all_is_as_configured(
    config: tuple[dict[str, dict[str, Target]], dict[str, int]],
) -> None:
    assert restored(KeptOrders(), config) == Restored(*config)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
keys = st.sampled_from(
    ["format", "models", "loaded", "unloaded", "stopped", "labels", "shadow", "now", "configured"]
)
alike = st.recursive(
    json_values, lambda inner: st.dictionaries(keys | st.text(max_size=3), inner), max_leaves=12
)


@given(alike | st.fixed_dictionaries({"format": st.just(1), "models": alike}))
def test_whatever_stands_in_the_file_is_read_or_refused_with_its_faults(value: Any) -> None:
    with contextlib.suppress(InvalidSettings):
        read_orders(json.dumps(value))


@given(st.text())
def test_whatever_text_it_is_too(text: str) -> None:
    with contextlib.suppress(InvalidSettings):
        read_orders(text)
