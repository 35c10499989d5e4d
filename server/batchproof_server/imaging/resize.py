"""The ``[recipe.resize]`` table: what may be written, and what it comes to."""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, TypeVar

from pydantic import ConfigDict

from batchproof_server.base.validation import NO_UNKNOWN_KEYS

ResizeLibrary: TypeAlias = Literal["pillow", "tensorflow"]
ResizePolicy: TypeAlias = Literal[
    "stretch",
    "short_side_center_crop",
    "pad",
    "crop_to_aspect_ratio",
    "pad_to_aspect_ratio",
    "resize_with_pad",
    "keep_aspect_ratio",
]
Rounding: TypeAlias = Literal["uint8", "none"]
ResizeMethod: TypeAlias = Literal[
    "nearest",
    "bilinear",
    "bicubic",
    "box",
    "hamming",
    "lanczos",
    "area",
    "lanczos3",
    "lanczos5",
    "gaussian",
    "mitchellcubic",
]

METHODS: dict[ResizeLibrary, tuple[ResizeMethod, ...]] = {
    "pillow": ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"),
    "tensorflow": (
        "nearest",
        "bilinear",
        "bicubic",
        "area",
        "lanczos3",
        "lanczos5",
        "gaussian",
        "mitchellcubic",
    ),
}

KERAS_POLICIES: dict[ResizePolicy, ResizeLibrary] = {
    "crop_to_aspect_ratio": "tensorflow",
    "pad_to_aspect_ratio": "tensorflow",
    "resize_with_pad": "tensorflow",
    "keep_aspect_ratio": "pillow",
}
"""What Keras does with pictures of another aspect ratio, and the library that it does so with."""

Key = TypeVar("Key")

_MAX_SIDE_PIXELS = 8192
_MAX_LEVEL = 255


@dataclass(frozen=True, slots=True)
class ResizeSettings:
    """The table as it is written; a key that is not given is None.

    Attributes:
        width: pixels of the row; by default the model's.
        height: pixels of the row; by default the model's.
        library: ``pillow`` works in 8 bits and rounds after each axis; ``tensorflow`` in float32.
        method: the filter, one of ``METHODS[library]``.
        antialias: whether the filter widens when it makes the picture smaller.
        policy: ``stretch`` to the size; ``short_side_center_crop``: short side to ``short_side``,
            then cut the middle; ``pad``: fit inside, then fill with ``pad_color``. Three are Keras'
            arguments of that name: ``crop_to_aspect_ratio`` and ``pad_to_aspect_ratio`` of
            ``keras.layers.Resizing``, which cut or fill with 0 before the filter, and
            ``keep_aspect_ratio`` of ``load_img``. ``image_dataset_from_directory`` crops alike, and
            pads as ``resize_with_pad``: with 0, after the filter.
        short_side: pixels of the short side before the cut.
        rounding: ``uint8`` rounds half to even and clips to 0..255; ``none`` keeps fractions.
        pad_color: one level or three (in the order of the recipe's ``color``), 0..255.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NO_UNKNOWN_KEYS

    width: int | None = None
    height: int | None = None
    library: ResizeLibrary | None = None
    method: ResizeMethod | None = None
    antialias: bool | None = None
    policy: ResizePolicy | None = None
    short_side: int | None = None
    rounding: Rounding | None = None
    pad_color: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("width", "height", "short_side"):
            side = getattr(self, name)
            if side is not None and not 1 <= side <= _MAX_SIDE_PIXELS:
                raise ValueError(f"{name} is {side}, expected 1 to {_MAX_SIDE_PIXELS}")
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height are given together or not at all")
        if self.pad_color is not None:
            self._check_pad_color(self.pad_color)

    def _check_pad_color(self, levels: tuple[int, ...]) -> None:
        if len(levels) not in (1, 3) or not all(0 <= level <= _MAX_LEVEL for level in levels):
            raise ValueError(f"pad_color is {list(levels)}, expected 1 or 3 levels, 0 to 255")

    def over(self, base: "ResizeSettings") -> "ResizeSettings":
        """These keys, and the keys of ``base`` where these are not given."""
        return ResizeSettings(
            width=_first(self.width, base.width),
            height=_first(self.height, base.height),
            library=_first(self.library, base.library),
            method=_first(self.method, base.method),
            antialias=_first(self.antialias, base.antialias),
            policy=_first(self.policy, base.policy),
            short_side=_first(self.short_side, base.short_side),
            rounding=_first(self.rounding, base.rounding),
            pad_color=_first(self.pad_color, base.pad_color),
        )


@dataclass(frozen=True, slots=True)
class ResizePlan:
    """The table with every key decided, except a size that is left to the model (None).

    Attributes: as ``ResizeSettings``; ``short_side`` is None unless the policy cuts, ``pad_color``
    unless it pads.
    """

    width: int | None
    height: int | None
    library: ResizeLibrary
    method: ResizeMethod
    antialias: bool
    policy: ResizePolicy
    short_side: int | None
    rounding: Rounding
    pad_color: tuple[int, ...] | None


def resize_plan(written: ResizeSettings) -> ResizePlan:
    """Decides what is not written.

    Raises:
        ValueError: a key is missing or keys contradict each other.
    """
    if written.library is None or written.method is None:
        raise ValueError("resize.library and resize.method are needed where no preset gives them")
    _check_method(written.library, written.method)
    policy = written.policy or "stretch"
    _check_policy(written, policy)
    return ResizePlan(
        width=written.width,
        height=written.height,
        library=written.library,
        method=written.method,
        antialias=_antialias(written, written.library, written.method),
        policy=policy,
        short_side=written.short_side,
        rounding=_rounding(written, written.library),
        pad_color=(written.pad_color or (0,)) if policy == "pad" else None,
    )


def check_short_side(plan: ResizePlan) -> None:
    """Checks that the cut fits.

    Raises:
        ValueError: the short side is shorter than what is cut out.
    """
    if plan.short_side is None or plan.width is None or plan.height is None:
        return
    if plan.short_side < max(plan.width, plan.height):
        raise ValueError(
            f"resize.short_side is {plan.short_side}, expected at least the {plan.width} x "
            f"{plan.height} pixels that are cut out"
        )


def _check_method(library: ResizeLibrary, method: ResizeMethod) -> None:
    if method not in METHODS[library]:
        known = ", ".join(METHODS[library])
        raise ValueError(f'resize.method: {library} has no "{method}", one of {known}')


def _check_policy(written: ResizeSettings, policy: ResizePolicy) -> None:
    cuts = policy == "short_side_center_crop"
    if cuts != (written.short_side is not None):
        raise ValueError(
            f'resize.short_side belongs to the policy "short_side_center_crop", and to it alone; '
            f'the policy is "{policy}"'
        )
    library = KERAS_POLICIES.get(policy, written.library)
    if library != written.library:
        raise ValueError(
            f'resize.policy: "{policy}" is what Keras does with {library}, expected '
            f'library = "{library}"'
        )
    if written.pad_color is not None and policy != "pad":
        raise ValueError(f'resize.pad_color belongs to the policy "pad", not to "{policy}"')


def _antialias(written: ResizeSettings, library: ResizeLibrary, method: ResizeMethod) -> bool:
    forced = _forced_antialias(library, method)
    if forced is None:
        return bool(written.antialias)
    if written.antialias not in (None, forced):
        does = "always antialiases" if forced else "never antialiases"
        raise ValueError(f'resize.antialias: "{method}" of {library} {does}')
    return forced


def _forced_antialias(library: ResizeLibrary, method: ResizeMethod) -> bool | None:
    if method == "nearest":
        return False
    return True if library == "pillow" or method == "area" else None


def _rounding(written: ResizeSettings, library: ResizeLibrary) -> Rounding:
    if library == "tensorflow":
        return written.rounding or "none"
    if written.rounding == "none":
        raise ValueError('resize.rounding: pillow works in 8 bits, so it is "uint8"')
    return "uint8"


def _first(own: Key | None, other: Key | None) -> Key | None:
    return other if own is None else own
