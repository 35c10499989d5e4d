"""Outside ``backends``, artefact kinds and engines are values and not names (decision 24)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchproof_server.backends.plug_list import ARTEFACT_KINDS, ENGINES
from repo.checkout import product_modules
from repo.doors import module_name
from repo.plug_names import OTHER_THINGS, compared_names, plug_imports

NAMES = {*ARTEFACT_KINDS, *ENGINES}
FOLDERS = {module.rpartition(".")[0] for module in (*ARTEFACT_KINDS.values(), *ENGINES.values())}


def outside() -> Iterator[tuple[str, Path]]:
    """The modules of the server that are in no folder of ``backends``."""
    for path in product_modules():
        module = module_name(path)
        if module.startswith("batchproof_server.") and ".backends" not in module:
            yield module, path


def test_no_module_outside_backends_compares_with_the_name_of_a_kind_or_an_engine() -> None:
    found = {
        module: found
        for module, path in outside()
        if (found := list(compared_names(path.read_text(), NAMES)))
    }

    assert found.keys() == OTHER_THINGS.keys(), found


def test_no_module_outside_backends_reaches_into_the_folder_of_a_kind_or_an_engine() -> None:
    assert [
        (module, *use)
        for module, path in outside()
        for use in plug_imports(module, path.read_text(), FOLDERS)
    ] == []


@pytest.mark.parametrize(
    "source",
    [
        'bundle.backend == "keras"',
        '"saved_model" != kind.name',
        'name in ("keras", "saved_model")',
        'name in {"affine": 1}',
        '{"tensorflow": 1, "numpy": 2}[engine]',
        'match name:\n    case "keras" | "affine":\n        pass',
    ],
)
def test_a_planted_comparison_is_found(source: str) -> None:
    assert list(compared_names(source, NAMES))


def test_a_planted_import_is_found() -> None:
    source = "import importlib\nimportlib.import_module('batchproof_server.backends.keras.source')"
    assert list(plug_imports("batchproof_server.models.loading", source, FOLDERS))


def test_a_name_that_is_passed_on_is_no_comparison() -> None:
    assert not list(compared_names('register("keras", plug)\nplugs["keras"]', NAMES))
