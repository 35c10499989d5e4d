"""What pictures are like beside the reference pictures."""

from dataclasses import dataclass

from batchproof_server.base.signature import Array


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What pictures look like at the model's size, without any model.

    Attributes:
        white: the level that 0.5 % of the pixels exceed, [pictures].
        noise: standard deviation inside the calmest twentieth of all 3 x 3 neighbourhoods, levels.
        axes: along which edges lie, see ``edge_axes``, complex128 [pictures].
    """

    white: Array
    noise: Array
    axes: Array


@dataclass(frozen=True, slots=True, eq=False)
class TurnGains:
    """What turning pictures back gains.

    Attributes:
        degrees: the angle of each turn.
        likeness: how much more alike to the nearest reference picture, [pictures, turns].
        typicality: how much more typical the answer is, [pictures, turns].
    """

    degrees: tuple[float, ...]
    likeness: Array
    typicality: Array


@dataclass(frozen=True, slots=True, eq=False)
class PlaceInReference:
    """Where pictures lie among the reference pictures.

    Attributes:
        likeness: to the nearest other reference picture, correlation of levels, [pictures].
        distance: to the nearest other reference picture in the model's scores, [pictures].
        typicality: of the answer, [pictures].
    """

    likeness: Array
    distance: Array
    typicality: Array


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A reference picture that the model finds alike.

    Attributes:
        name: of its file.
        thumbnail: PNG.
        answer: the label that the model gives it.
        confidence: of that.
        distance: in the model's scores.
    """

    name: str
    thumbnail: bytes
    answer: str
    confidence: float
    distance: float


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceMeasures:
    """The reference pictures, measured like the picture.

    Attributes:
        count: how many.
        looks: of each.
        turns: of each, compared with all others.
        place: of each, compared with all others.
    """

    count: int
    looks: Looks
    turns: TurnGains
    place: PlaceInReference
