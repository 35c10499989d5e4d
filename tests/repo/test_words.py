"""One meaning for each class name of the server (docs/glossary.md)."""

import ast
from collections import defaultdict
from collections.abc import Iterable

from repo.checkout import ROOT, product_modules


def test_no_two_classes_of_the_server_have_one_name() -> None:
    assert _shared_names(_server_classes()) == {}


def test_a_name_that_two_modules_use_is_found_whether_it_is_private_or_not() -> None:
    classes = [("a", "Answer"), ("b", "_Answer"), ("b", "Other")]

    assert _shared_names(classes) == {"Answer": ["a", "b"]}


def _server_classes() -> list[tuple[str, str]]:
    """Module and name of each class at the top of a module."""
    return [
        (str(path.relative_to(ROOT)), node.name)
        for path in product_modules()
        if "batchproof_server" in path.parts
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    ]


def _shared_names(classes: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    modules: defaultdict[str, list[str]] = defaultdict(list)
    for module, name in classes:
        modules[name.lstrip("_")].append(module)
    return {name: places for name, places in modules.items() if len(places) > 1}
