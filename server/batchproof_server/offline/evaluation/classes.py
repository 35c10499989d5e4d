"""The figures of each class, and which pairs of classes are confused. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from batchproof_server.base.intervals import share_interval
from batchproof_server.base.signature import Array

Each = TypeVar("Each")


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """What was found of one of several classes that exclude each other.

    Attributes:
        label: its name.
        pictures: of it.
        answered: pictures of any class that are answered with it.
        right: that are both.
    """

    label: str
    pictures: int
    answered: int
    right: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """So many pictures of one class are answered with another.

    Attributes:
        truth: the label of the first.
        answer: that of the second.
        pictures: one or more.
        of_pictures: all of the first.
    """

    truth: str
    answer: str
    pictures: int
    of_pictures: int


def class_figures(labels: Sequence[str], confusion: Array) -> tuple[ClassFigures, ...]:
    """The figures of each class.

    Args:
        labels: of the classes.
        confusion: int64 [classes, classes], the truth on axis 0.
    """
    counts = (confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal())
    columns = (map(int, column) for column in counts)
    return tuple(map(ClassFigures, labels, *columns))


def confusions(labels: Sequence[str], confusion: Array) -> tuple[Confusion, ...]:
    """Every pair of which there is a picture, the most pictures first.

    Args:
        labels: of the classes.
        confusion: int64 [classes, classes], the truth on axis 0.
    """
    pictures = confusion.sum(axis=1)
    pairs = [(int(true), int(answer)) for true, answer in np.argwhere(confusion) if true != answer]
    found = (
        Confusion(labels[true], labels[answer], int(confusion[true, answer]), int(pictures[true]))
        for true, answer in pairs
    )
    return tuple(sorted(found, key=lambda each: (-each.pictures, each.of_pictures)))


@dataclass(frozen=True, slots=True)
class Chosen(Generic[Each]):
    """Which of many classes a table names.

    Attributes:
        shown: in the order of the table.
        others: that have pictures too.
        absent: that have none.
    """

    shown: tuple[Each, ...]
    others: tuple[Each, ...]
    absent: tuple[Each, ...]


def choose_lowest(
    classes: Iterable[Each], counted: Callable[[Each], tuple[int, int]], most: int
) -> Chosen[Each]:
    """The classes whose share of right pictures is surely low.

    Ordered by the upper end of its interval (Wilson, 95 %): one wrong picture of one says less than
    nine of ten, and what is right without exception is not named.

    Args:
        classes: all of them.
        counted: how many pictures of a class are right, and how many there are.
        most: so many are named.
    """
    there = [(*counted(each), each) for each in classes]
    absent = tuple(each for _, pictures, each in there if not pictures)
    perfect = tuple(each for right, pictures, each in there if 0 < pictures == right)
    faulty = [
        (share_interval(right, pictures).high, each)
        for right, pictures, each in there
        if right < pictures
    ]
    ordered = tuple(each for _, each in sorted(faulty, key=lambda pair: pair[0]))
    return Chosen(ordered[:most], ordered[most:] + perfect, absent)
