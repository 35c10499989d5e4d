"""What is sent: kinds, pictures, corruption and messages."""

import io
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from batchproof_client import LocalInputError, TensorSpec
from batchproof_client.loadtest.corruption import (
    KINDS,
    Step,
    corrupted,
    parse_corruption,
    variants,
)
from batchproof_client.loadtest.items import Inputs, Item, build
from batchproof_client.loadtest.mix import Kind, parse_kind, picks
from batchproof_client.loadtest.pictures import (
    FORMATS,
    GeneratedSize,
    generated,
    parse_generated,
    read_folder,
)

SIZE = GeneratedSize(24, 16, "png")


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=np.float64)


def picture(kind: str = "png") -> bytes:
    return generated(GeneratedSize(24, 16, kind), 1, 0)[0].content


class Words:
    """A composer whose messages can be read."""

    def __init__(self, *specs: TensorSpec) -> None:
        self._specs = specs
        self.seen: list[Inputs] = []

    def inputs_of(self, kind: Kind) -> Sequence[TensorSpec]:
        """Those given."""
        del kind
        return self._specs

    def message(self, kind: Kind, inputs: Inputs) -> bytes:
        """The name of the inputs."""
        del kind
        self.seen.append(inputs)
        return inputs.name.encode()


def built(kind: Kind, *specs: TensorSpec, corrupt: str = "") -> tuple[tuple[Item, ...], Words]:
    composer = Words(*specs)
    return build([kind], parse_corruption(corrupt) if corrupt else (), composer, 7), composer


def test_a_corruption_is_read() -> None:
    assert parse_corruption("noise:0.2,rotate:-15@50%") == (
        Step("noise", 0.2),
        Step("rotate", -15.0, 0.5),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("smear:1", '"smear:1" is not KIND:AMOUNT'),
        ("noise", '"noise" is not KIND:AMOUNT'),
        ("noise:x", '"noise:x" is not KIND:AMOUNT'),
        ("noise:2", "noise is 2, expected 0 to 1"),
        ("blur:nan", "blur is nan, expected 0 to 100"),
        ("noise:0.1@0%", "noise has the share 0%"),
        ("noise:0.1@101%", "noise has the share 101%"),
        (",".join(["noise:0.1@50%"] * 7), "more than 6 steps"),
    ],
)
def test_a_corruption_that_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(LocalInputError, match=says.replace("(", r"\(")):
        parse_corruption(text)


@given(st.lists(st.floats(0.01, 1), max_size=5))
def test_the_shares_of_the_variants_add_up_and_each_step_has_its_own(shares: list[float]) -> None:
    steps = tuple(Step("noise", number / 10, share) for number, share in enumerate(shares))
    found = list(variants(steps))

    assert sum(each.share for each in found) == pytest.approx(1)
    for step in steps:
        share = sum(each.share for each in found if step in each.steps)
        assert share == pytest.approx(step.share)


def test_no_step_leaves_the_bytes_as_they_are() -> None:
    assert corrupted(picture(), (), 0) == picture()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_changes_the_picture_but_not_its_size(kind: str) -> None:
    amount = {"rotate": 15.0, "jpeg": 10.0, "blur": 2.0}.get(kind, 0.3)
    for source in (picture("png"), picture("jpeg"), picture("gif")):
        spoilt = corrupted(source, (Step(kind, amount),), 1)
        assert pixels(spoilt).shape == (16, 24, 3)
        assert np.abs(pixels(spoilt) - pixels(source)).mean() > 0.5


def test_the_amount_of_noise_is_its_standard_deviation() -> None:
    grey = io.BytesIO()
    Image.new("L", (200, 200), 128).save(grey, "PNG")
    spoilt = pixels(corrupted(grey.getvalue(), (Step("noise", 0.1),), 5))
    assert spoilt[..., 0].std() == pytest.approx(25.5, rel=0.03)
    assert corrupted(grey.getvalue(), (Step("noise", 0.1),), 5) == corrupted(
        grey.getvalue(), (Step("noise", 0.1),), 5
    )


def test_a_jpeg_stays_a_jpeg_and_the_rest_becomes_a_png() -> None:
    for source, expected in (("jpeg", "JPEG"), ("webp", "PNG"), ("png", "PNG")):
        spoilt = corrupted(picture(source), (Step("brightness", 0.5),), 0)
        assert Image.open(io.BytesIO(spoilt)).format == expected


def test_a_picture_of_16_bits_keeps_its_levels() -> None:
    levels = np.array([[0, 0x4000], [0x8000, 0xFFFF]], np.uint16)
    written = io.BytesIO()
    Image.fromarray(levels).save(written, "PNG")
    spoilt = corrupted(written.getvalue(), (Step("brightness", 1.0),), 0)
    assert np.asarray(Image.open(io.BytesIO(spoilt))).tolist() == [[0, 0x40], [0x80, 0xFF]]


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG"])
def test_a_picture_that_lies_on_its_side_says_so_when_it_is_spoilt(picture_format: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    written = io.BytesIO()
    Image.new("RGB", (8, 4)).save(written, picture_format, exif=exif)
    spoilt = Image.open(io.BytesIO(corrupted(written.getvalue(), (Step("blur", 1.0),), 0)))
    assert (spoilt.format, spoilt.size) == (picture_format, (8, 4))
    assert dict(spoilt.getexif()) == {ExifTags.Base.Orientation: 6}


def test_what_is_no_picture_cannot_be_spoilt() -> None:
    with pytest.raises(LocalInputError, match="cannot be decoded"):
        corrupted(b"\x89PNG\r\n\x1a\nno", (Step("noise", 0.1),), 0)


@pytest.mark.parametrize("picture_format", sorted(FORMATS))
def test_made_up_pictures_are_pictures_of_their_format_and_size(picture_format: str) -> None:
    size = parse_generated(f"24x16:{picture_format}")
    first, second = generated(size, 2, seed=3)
    opened = Image.open(io.BytesIO(first.content))

    assert (opened.format, opened.size) == (FORMATS[picture_format], (24, 16))
    assert first.content != second.content
    assert generated(size, 2, seed=3) == (first, second)
    assert generated(size, 1, seed=4) != (first,)


def test_a_made_up_jpeg_has_about_the_size_of_a_photograph() -> None:
    (made,) = generated(parse_generated("320x240"), 1, seed=0)
    assert 5_000 < len(made.content) < 40_000


@pytest.mark.parametrize("text", ["", "224", "0x5", "5x0", "1x1:tiff", "99999x1", "axb"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(LocalInputError, match="generate is"):
        parse_generated(text)


def test_a_folder_is_read_in_order(tmp_path: Path) -> None:
    for number in (2, 1):
        (tmp_path / f"{number}.png").write_bytes(picture())
    assert [Path(each.name).name for each in read_folder(str(tmp_path))] == ["1.png", "2.png"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"x", "in this folder"),
        ("a.png", b"", "the file is empty"),
        ("a.png", b"hello", "not a picture, expected jpeg, png"),
        ("a.webp", b"RIFF....WAVE", "not a picture"),
    ],
)
def test_a_folder_without_pictures_is_refused(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LocalInputError, match=says):
        read_folder(str(tmp_path))


def test_a_file_that_does_not_exist_is_refused() -> None:
    with pytest.raises(LocalInputError, match="cannot be read"):
        read_folder("gone.png")


def test_a_kind_is_read_over_the_defaults() -> None:
    defaults = {"model": "m:1", "tensors": "random", "rows": 2}
    kind = parse_kind("weight=3, generate=8x8:png,stream,tta=flip", defaults)
    assert kind == Kind(3.0, "m:1", generate="8x8:png", rows=2, tta="flip", stream=True)
    assert kind.name == "m:1, generate 8x8:png, tta flip, stream"
    assert not parse_kind("stream=false", defaults).stream
    assert parse_kind("count=3", defaults).count == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", '"" is not KEY=VALUE'),
        ("colour=red", '"colour=red" is not KEY=VALUE'),
        ("weight", '"weight" is not KEY=VALUE'),
        ("weight=x", 'weight is "x", expected a number'),
        ("weight=0", "weight is 0, expected more than 0"),
        ("rows=0", "rows is 0, expected 1 or more"),
        ("count=0", "count is 0, expected 1 or more"),
        ("stream=maybe", 'stream is "maybe"'),
        ("images=a,generate=1x1", "from images and generate, expected one"),
    ],
)
def test_a_kind_that_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(LocalInputError, match=says):
        parse_kind(text, {"tensors": "random"})


def test_inputs_come_from_somewhere() -> None:
    with pytest.raises(LocalInputError, match="from nowhere"):
        Kind()


def test_each_item_is_picked_as_often_as_its_weight_says() -> None:
    counted = Counter(itertools.islice(picks([1, 3], (0,)), 20_000))
    assert counted[1] / counted.total() == pytest.approx(0.75, abs=0.02)
    assert list(itertools.islice(picks([1, 3], (1,)), 99)) == list(
        itertools.islice(picks([1, 3], (1,)), 99)
    )


def test_pictures_become_one_item_each_and_spoilt_ones_share_their_weight() -> None:
    items, _ = built(Kind(weight=2, generate="8x8:png", count=4), corrupt="noise:0.1@25%")

    assert len(items) == 8
    assert sum(item.weight for item in items) == pytest.approx(2)
    spoilt = [item for item in items if item.name.endswith("noise:0.1")]
    assert sum(item.weight for item in spoilt) == pytest.approx(0.5)


def test_more_rows_take_the_next_pictures() -> None:
    items, composer = built(Kind(generate="8x8:png", count=3, rows=2))
    first, second, third = (inputs.pictures for inputs in composer.seen)

    assert {item.rows for item in items} == {2}
    assert first[1] == second[0]
    assert second[1] == third[0]
    assert third[1] == first[0]


def test_a_picture_that_cannot_be_spoilt_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    with pytest.raises(LocalInputError, match=r"a\.png: cannot be decoded"):
        built(Kind(images=str(tmp_path)), corrupt="noise:0.1")


@pytest.mark.parametrize(
    ("dtype", "most"), [("float32", 1), ("float64", 1), ("uint8", 255), ("int8", 127), ("bool", 1)]
)
def test_random_tensors_fit_the_signature(dtype: str, most: int) -> None:
    kind = Kind(tensors="random", rows=3, count=2, shape="4x5")
    _, composer = built(kind, TensorSpec("x", dtype, (-1, 4, -1)))
    tensors = [inputs.tensors["x"] for inputs in composer.seen if inputs.tensors is not None]

    assert [(each.shape, each.dtype.name) for each in tensors] == [((3, 4, 5), dtype)] * 2
    assert all(0 <= each.min() <= each.max() <= most for each in tensors)
    assert not np.array_equal(tensors[0], tensors[1])


@pytest.mark.parametrize(
    ("spec", "shape", "says"),
    [
        (TensorSpec("x", "float32", (-1, -1)), "", "expected --shape"),
        (TensorSpec("x", "float32", (-1, -1)), "2x3", r"expected that of one row"),
        (TensorSpec("x", "float32", (-1, 4)), "5", r"expected that of one row"),
        (TensorSpec("x", "float32", (-1, 4)), "four", r"expected that of one row"),
        (TensorSpec("x", "unknown", (-1, 4)), "", "no random values"),
    ],
)
def test_random_tensors_that_cannot_be_made_are_refused(
    spec: TensorSpec, shape: str, says: str
) -> None:
    with pytest.raises(LocalInputError, match=says):
        built(Kind(tensors="random", shape=shape), spec)


def test_tensors_come_from_files(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array, y=array)
    spec = TensorSpec("x", "float32", (-1, 3))
    _, one = built(Kind(tensors=str(tmp_path / "a.npy")), spec)
    _, two = built(Kind(tensors=str(tmp_path / "a.npz")), spec)

    assert one.seen[0].tensors is not None
    assert one.seen[0].tensors.keys() == {"x"}
    assert two.seen[0].tensors is not None
    assert two.seen[0].tensors.keys() == {"x", "y"}
    with pytest.raises(LocalInputError, match=r"expected a \.npz"):
        built(Kind(tensors=str(tmp_path / "a.npy")), spec, spec)


def test_files_that_hold_no_tensors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"no")
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    for name in ("a.npy", "o.npy", "gone.npy"):
        with pytest.raises(LocalInputError, match=r"cannot be read as \.npy"):
            built(Kind(tensors=str(tmp_path / name)))


def test_more_than_fits_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchproof_client.loadtest.items._MOST_PREPARED_BYTES", 3)
    with pytest.raises(LocalInputError, match="more than 3 bytes"):
        built(Kind(generate="8x8:png"))
