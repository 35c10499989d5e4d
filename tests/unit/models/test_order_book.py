"""The file of the orders: what is refused, and what is told of what can be followed no more."""

import asyncio
from pathlib import Path

import pytest

from batchproof_server.base.errors import OrderNotKept
from batchproof_server.models.kept_orders import (
    MAX_ORDERS_BYTES,
    KeptOrders,
    ModelOrders,
    MovedLabel,
    MovedShadow,
    restore,
)
from batchproof_server.models.order_book import OrderBook, read_book

ORDERS = KeptOrders(models={"m": ModelOrders(loaded=(3,), labels={"stable": MovedLabel(3, 4)})})


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def test_a_file_that_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    assert read_book(tmp_path / "orders.json") == KeptOrders()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "Expecting value"),
        (b"[]", "expected an object"),
        (b"\xff", "'utf-8' codec"),
        (b'{"format": 2}', "format: unknown 2, one of 1"),
        (b'{"format": 1, "modles": {}}', 'modles: unknown key; the nearest known one is "models"'),
        (b'{"models": {"m": {"loaded": [0]}}}', "a version is 0, expected 1 or more"),
        (b'{"models": {"m": {"loaded": [1], "unloaded": [1]}}}', "to be loaded and unloaded"),
        (
            b'{"models": {"m": {"labels": {"s": {"now": "x", "configured": null}}}}}',
            '"x" is no version',
        ),
        (b'{"models": {"m": {"labels": {"": {"now": 1, "configured": null}}}}}', "the label"),
        (b"[" * 100_000, "nested too deep"),
        (b" " * (MAX_ORDERS_BYTES + 1), "more than 1048576 bytes"),
    ],
    ids=repr,
)
def test_a_file_that_holds_something_else_is_refused_with_the_way_out(
    tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "orders.json"
    file.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"move it away to start by the configuration alone"
    ) as bad:
        read_book(file)
    assert says in str(bad.value)
    assert len(str(bad.value)) < 1000


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone/orders.json: its folder does not exist"):
        read_book(tmp_path / "gone" / "orders.json")
    with pytest.raises(ValueError, match="Is a directory"):
        read_book(tmp_path)


async def test_what_changed_is_on_the_disk_when_it_is_kept_and_nobody_else_may_read_it(
    tmp_path: Path,
) -> None:
    file, now = tmp_path / "orders.json", KeptOrders()
    book = OrderBook(file, KeptOrders(), lambda: now)
    await book.keep()
    assert not file.exists()
    now = ORDERS
    await asyncio.gather(*(book.keep() for _ in range(5)))
    assert read_book(file) == ORDERS
    assert file.stat().st_mode & 0o777 == 0o600
    assert names_in(tmp_path) == ["orders.json"]


async def test_what_cannot_be_written_is_told_and_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "away"
    book = OrderBook(folder / "orders.json", KeptOrders(), lambda: ORDERS)
    for _ in range(2):
        with pytest.raises(OrderNotKept, match="carried out and will be forgotten"):
            await book.keep()
    folder.mkdir()
    await book.keep()
    assert read_book(folder / "orders.json") == ORDERS


def test_orders_that_can_be_followed_no_more_are_told_one_by_one() -> None:
    orders = ModelOrders(
        loaded=(9,),
        unloaded=(1, 8),
        labels={"old": MovedLabel(7, None), "dark": MovedLabel(2, None)},
        shadow=MovedShadow(1, 2),
    )
    kept = KeptOrders(models={"m": orders, "gone": ModelOrders(stopped=True)})
    found = {("m", 1), ("m", 2), ("m", 3)}
    result = restore(kept, {"m": {"stable": 1}}, {"m": 2}, found)
    assert result.ignored == [
        'model "gone" is not in the repository',
        'the label "dark" of model "m" was for version 2, which is a shadow now',
        'the label "old" of model "m" was for version 7, which is not there',
        'the shadow of model "m" was version 1, for which a label stands now',
        'version 1 of model "m" was unloaded, and a label stands for it now',
        'version 8 of model "m" was unloaded and is not there',
        'version 9 of model "m" was loaded and is not there',
    ]
    assert (result.labels, result.shadows, result.said) == ({"m": {"stable": 1}}, {"m": 2}, {})
