import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.tta.views import (
    VIEW_PARAMETERS,
    Parameter,
    View,
    parse_view,
    parse_views,
)


def numbers(parameter: Parameter) -> st.SearchStrategy[float]:
    if parameter.whole:
        return st.integers(int(parameter.lowest), int(parameter.highest)).map(float)
    return st.floats(parameter.lowest, parameter.highest).map(lambda value: value + 0.0)


@st.composite
def views(draw: st.DrawFn) -> View:
    name = draw(st.sampled_from(list(VIEW_PARAMETERS)))
    return View(name, tuple(draw(numbers(each)) for each in VIEW_PARAMETERS[name]))


@given(views())
def test_the_canonical_text_of_a_view_reads_back_as_the_same_view(view: View) -> None:
    assert parse_view(view.text) == view
    assert parse_view(view.text).text == view.text


@given(st.text(max_size=80))
def test_any_text_is_a_view_or_a_fault_that_names_it(text: str) -> None:
    try:
        view = parse_view(text)
    except ValueError as refused:
        fault = str(refused)
    else:
        fault = f"view {view.text}"
        assert parse_view(view.text) == view
    assert "view" in fault
    assert len(fault) < 400


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("rotate(15.0)", "rotate(15)"),
        ("rotate(-0.0)", "rotate(0)"),
        ("shift( 0.10 , -2e-1 )", "shift(0.1,-0.2)"),
        ("jpeg(50.0)", "jpeg(50)"),
        ("five_crop", "five_crop(0.875)"),
        ("noise(.05)", "noise(0.05)"),
    ],
)
def test_a_view_has_one_way_to_be_written(text: str, canonical: str) -> None:
    assert parse_view(text).text == canonical


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rotat(15)", 'unknown view "rotat", one of identity, hflip, vflip'),
        ("rotate", 'view "rotate": 0 number(s), expected 1: deg'),
        ("hflip(1)", 'view "hflip(1)": 1 number(s), expected 0: none'),
        ("shift(0.1)", "1 number(s), expected 2: dx, dy"),
        ("rotate(181)", "deg is 181, expected a number from -180 to 180"),
        ("jpeg(5.5)", "q is 5.5, expected a whole number from 1 to 100"),
        ("rotate(nan)", '"nan" is not a number'),
        ("rotate(1e999)", '"1e999" is not a number'),
        ("rotate(1_0)", '"1_0" is not a number'),
        ("hflip()", 'view "hflip()" is not written name or name(number,...)'),
        (" hflip", "is not written name or name(number,...)"),
        ("HFLIP", "is not written name or name(number,...)"),
        ("x" * 65, "is not written name or name(number,...)"),
        ("", "is not written name or name(number,...)"),
    ],
)
def test_what_is_no_view_is_told_what_came_and_what_is_known(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="view") as refused:
        parse_view(text)
    assert sentence in str(refused.value)


def test_five_crop_stands_for_its_five_views() -> None:
    assert [view.text for view in parse_views(["identity", "five_crop(0.5)"])] == [
        "identity",
        "crop_top_left(0.5)",
        "crop_top_right(0.5)",
        "crop_bottom_left(0.5)",
        "crop_bottom_right(0.5)",
        "crop(0.5)",
    ]


@pytest.mark.parametrize(
    ("text", "unsafe"),
    [
        ("hflip", True),
        ("rot90", True),
        ("transverse", True),
        ("rotate(45)", False),
        ("rotate(-46)", True),
        ("identity", False),
        ("crop(0.5)", False),
        ("noise(0.1)", False),
    ],
)
def test_flips_and_great_turns_may_change_a_label(text: str, *, unsafe: bool) -> None:
    assert parse_view(text).may_change_label is unsafe
