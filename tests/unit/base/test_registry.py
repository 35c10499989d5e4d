"""Registries: one plug for each name."""

import pytest

from batchproof_server.base.registry import Registry


def test_a_plug_is_found_by_its_name_and_names_are_listed_in_order() -> None:
    registry: Registry[int] = Registry("backend")
    registry.register("keras", 1)
    registry.register("affine", 2)
    assert registry["affine"] == 2
    assert list(registry) == ["keras", "affine"]
    assert "keras" in registry


def test_a_name_stands_for_one_plug() -> None:
    registry: Registry[int] = Registry("backend")
    registry.register("keras", 1)
    with pytest.raises(ValueError, match='backend "keras" is registered already'):
        registry.register("keras", 2)
    assert registry["keras"] == 1


def test_an_unknown_name_lists_what_there_is() -> None:
    registry: Registry[int] = Registry("backend")
    with pytest.raises(KeyError, match='unknown backend "x", one of none'):
        registry["x"]
    registry.register("keras", 1)
    with pytest.raises(KeyError, match='unknown backend "x", one of keras'):
        registry["x"]
