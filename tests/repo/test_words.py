"""One meaning for each class name of the server (docs/glossary.md)."""

import ast
import re
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


# Words of earlier texts that people do not search for -> what is written instead.
LEFT_BEHIND = {
    r"\b[Cc]ompany\b": "co-batched rows, or requests",
    r"\bCompany": "what is executed together",
    r"\bbooks\b": "accounting, counts",
    r"\bvery bits\b": "the same bits",
}
# What logs, certificates and metrics hold keeps its name.
RECORDED = ('"company"', "`company`", '"no company"', "`no company`", "``no company``")


def test_no_text_uses_a_word_that_was_left_behind() -> None:
    pages = (*ROOT.glob("docs/**/*.md"), ROOT / "README.md", *product_modules())
    assert [
        f"{page.relative_to(ROOT)}:{number}: {found}"
        for page in pages
        for number, line in enumerate(page.read_text().splitlines(), start=1)
        for found in _left_behind(line)
    ] == []


def test_a_planted_word_is_found_and_a_recorded_one_is_not() -> None:
    assert list(_left_behind("a request without company")) == [r"\b[Cc]ompany\b"]
    assert list(_left_behind('the arrangement "company"')) == []


def _left_behind(line: str) -> Iterable[str]:
    for recorded in RECORDED:
        line = line.replace(recorded, "")
    return [word for word in LEFT_BEHIND if re.search(word, line)]
