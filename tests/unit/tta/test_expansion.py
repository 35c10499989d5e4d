import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.tta.expansion import Expansion
from batchproof_server.tta.plan import Plan
from batchproof_server.tta.views import View, parse_view, parse_views
from support.tta_recipes import recipe_of_size

RECIPE = recipe_of_size(12, 10)


def scene(height: int = 20, width: int = 30) -> Array:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def rows(recipe: Recipe, picture: Array, *texts: str, seed: int = 0) -> Array:
    return Expansion.of(recipe).rows(picture, Plan("x", parse_views(texts), seed=seed))


def test_the_row_of_the_plain_view_is_the_recipe_s_own_bit_for_bit() -> None:
    picture = scene()
    expanded = rows(RECIPE, picture, "hflip", "identity")
    assert expanded.shape == (2, 12, 10, 3)
    assert expanded[1].tobytes() == RECIPE.row(picture).tobytes()


def test_a_view_is_made_before_the_recipe_resizes() -> None:
    picture = scene()
    expanded = rows(RECIPE, picture, "crop(0.5)", "rot90")
    assert expanded[0].tobytes() == RECIPE.row(picture[5:15, 7:22]).tobytes()
    assert expanded[1].tobytes() == RECIPE.row(np.rot90(picture)).tobytes()


some_views = st.lists(
    st.sampled_from(["identity", "hflip", "noise(0.1)", "noise(0.2)", "rotate(10)"]),
    min_size=1,
    max_size=6,
)


@given(some_views, st.data())
def test_the_rows_of_the_views_do_not_depend_on_their_order(
    texts: list[str], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(texts))
    picture = scene(6, 7)
    straight, other = (
        sorted(zip(order, (row.tobytes() for row in rows(RECIPE, picture, *order)), strict=True))
        for order in (texts, list(shuffled))
    )
    assert straight == other


def test_equal_random_views_of_a_picture_differ_from_each_other() -> None:
    one, other = rows(RECIPE, scene(), "noise(0.1)", "noise(0.1)")
    assert one.tobytes() != other.tobytes()


def test_random_views_depend_on_seed_and_picture_and_nothing_else() -> None:
    picture = scene()
    first = rows(RECIPE, picture, "noise(0.1)").tobytes()
    assert rows(RECIPE, picture.copy(), "hflip", "noise(0.1)")[1].tobytes() == first
    assert rows(RECIPE, picture, "noise(0.1)", seed=1).tobytes() != first
    other = picture.copy()
    other[0, 0, 0] ^= 1
    changed = rows(RECIPE, other, "noise(0.1)")[0] - rows(RECIPE, picture, "noise(0.1)")[0]
    assert np.count_nonzero(changed) > 12


def test_a_view_that_the_recipe_cannot_take_is_named() -> None:
    fixed = recipe_of_size(20, 30, resize=False)
    with pytest.raises(InvalidInput, match=r'view "rot90": the picture is 20 x 30 pixels'):
        rows(fixed, scene(), "identity", "rot90")


def test_views_of_other_sizes_are_refused_where_the_model_takes_any() -> None:
    free = recipe_of_size(None, None, resize=False)
    with pytest.raises(InvalidInput, match=r'view "rot90": the row is \[30, 20, 3\]'):
        rows(free, scene(), "identity", "rot90")
    assert rows(free, scene(20, 20), "identity", "rot90").shape == (2, 20, 20, 3)


def test_jpeg_of_16_bits_is_refused_by_name() -> None:
    grey = recipe_of_size(4, 4, color="grayscale")
    picture = np.full((4, 4, 1), 40_000, np.uint16)
    assert parse_view("jpeg(9)") == View("jpeg", (9.0,))
    with pytest.raises(InvalidInput, match='view "jpeg\\(9\\)": the picture has 16 bits'):
        rows(grey, picture, "jpeg(9)")
    assert rows(grey, picture, "identity", "rotate(5)", "noise(0.1)").shape == (3, 4, 4, 1)


@pytest.mark.parametrize("color", ["rgb", "grayscale"])
def test_a_row_written_in_place_is_the_row_bit_for_bit(color: str) -> None:
    recipe = recipe_of_size(12, 10, color=color)
    picture = scene()[:, :, :1] if color == "grayscale" else scene()
    row = recipe.row(picture)
    place = np.empty((2, *row.shape), row.dtype)
    assert np.shares_memory(recipe.row(picture, place[1]), place)
    assert place[1].tobytes() == row.tobytes()
    other = np.zeros((3, 3, 1), row.dtype)
    assert recipe.row(picture, other).tobytes() == row.tobytes()
    assert not other.any()
