"""A declared way from an encoded picture to one row, compiled against the model's input."""

import dataclasses
import hashlib
import io
import json
from dataclasses import dataclass

import numpy as np
import PIL
from PIL import Image

from batchproof_server.base.errors import InvalidInput
from batchproof_server.base.signature import Array, TensorSpec
from batchproof_server.imaging.exif import read_orientation, upright
from batchproof_server.imaging.fit import channels_last, fit_to_input
from batchproof_server.imaging.formats.table import FORMATS
from batchproof_server.imaging.geometry import (
    Picture,
    Size,
    as_array,
    framing,
    picture_size,
)
from batchproof_server.imaging.header import ImageHeader, read_header
from batchproof_server.imaging.limits import ImageLimits
from batchproof_server.imaging.normalize import NormalizeSettings as NormalizeSettings
from batchproof_server.imaging.normalize import normalize_in_place
from batchproof_server.imaging.pixels import accurate_decoder, pillow_resizer
from batchproof_server.imaging.plugs import Decoder, Plugs, Resizer
from batchproof_server.imaging.resize import ResizeSettings as ResizeSettings
from batchproof_server.imaging.settings import RecipePlan, recipe_plan
from batchproof_server.imaging.settings import RecipeSettings as RecipeSettings
from batchproof_server.imaging.working_memory import decoding_bytes, rows_bytes


# Contract of a recipe: immutable, safe in any number of threads; the same bytes give the same bits,
# whatever went through before and goes through beside.
@dataclass(frozen=True, slots=True)
class Recipe:
    """From an encoded picture to one row. Made by ``compile_recipe``.

    Attributes:
        plan: every key decided.
        limits: on bytes and pixels.
        decoder: of ``plan.decoder``.
        resizer: of ``plan.resize.library``, None where the recipe does not resize.
        channels: of the decoded picture, 1 or 3.
        in_8_bits: whether some step has no room for a picture of 16 bits a pixel.
        row_shape: of the model's input, [height, width, channels] or [height, width]; also where
            the plan then puts the channels first.
        canonical_json: the decided keys, sorted, without spaces: what the digest is taken of.
        digest: SHA-256 of ``canonical_json``, in hexadecimal.
    """

    plan: RecipePlan
    limits: ImageLimits
    decoder: Decoder
    resizer: Resizer | None
    channels: int
    in_8_bits: bool
    row_shape: tuple[int | None, ...]
    canonical_json: str
    digest: str

    @property
    def formats(self) -> tuple[str, ...]:
        """The file formats that are accepted."""
        return self.plan.formats

    @property
    def libraries(self) -> dict[str, str]:
        """The version of Pillow where it makes pixels: versions differ for the same picture.

        Of TensorFlow the certificate and the engine speak.
        """
        resize = self.plan.resize
        decodes = self.plan.decoder == "accurate"
        resizes = resize is not None and resize.library == "pillow"
        return {"pillow": PIL.__version__} if decodes or resizes else {}

    def header(self, encoded: bytes) -> ImageHeader:
        """Reads the header alone; allocates nothing to speak of.

        Raises:
            InvalidInput: see ``read_header``.
        """
        return read_header(encoded, self.plan.formats, self.limits)

    def apply(self, encoded: bytes, header: ImageHeader | None = None) -> Array:
        """One row of the input's dtype and row shape (no axis 0), C-contiguous, the caller's own.

        Args:
            encoded: the file.
            header: as ``header`` gave it; read when it is left out.

        Raises:
            InvalidInput: see ``read_header``; or the file is corrupt, or has a size or a depth that
                the recipe cannot bring to the row.
        """
        return self.row(self.picture(encoded, header))

    def picture(self, encoded: bytes, header: ImageHeader | None = None) -> Picture:
        """The decoded picture, upright; not resized yet.

        Args:
            encoded: the file.
            header: as ``header`` gave it; read when it is left out.

        Raises:
            InvalidInput: see ``read_header``; or the file is corrupt, or too deep for the recipe.
        """
        header = header or self.header(encoded)
        picture = self.decoder.decode(encoded, header, self.channels)
        if self.plan.orientation != "ignore":
            picture = self._upright(picture, encoded, header)
        if self.in_8_bits and not _has_8_bits(picture):
            raise InvalidInput("the picture has 16 bits a pixel, the recipe works in 8 bits")
        return picture

    def row(self, picture: Picture, out: Array | None = None) -> Array:
        """The row of a picture that ``picture`` gave, or of one of the same dtype and channels.

        Args:
            picture: upright.
            out: C-contiguous, of the input's dtype: written to and returned if it has the shape of
                the row. Otherwise, and when left out, the row is in new memory.

        Raises:
            InvalidInput: it has a size that the recipe cannot bring to the row.
        """
        pixels = self._sized(picture)
        if self.plan.color == "bgr":
            pixels = pixels[:, :, ::-1]
        if self.plan.layout == "channels_first":
            return self._channels_first(pixels, out)
        shape = pixels.shape[: len(self.row_shape)]
        row = np.empty(shape, self.plan.dtype) if out is None or out.shape != shape else out
        self._fill(row.reshape(pixels.shape), pixels)
        return row

    def decoding_bytes(self, encoded: bytes, header: ImageHeader, views: int = 0) -> int:
        """The most that a file takes while its row, and those of its views, are made.

        Args:
            encoded: the file.
            header: as ``header`` gave it.
            views: rows that are made of it besides its own.

        Raises:
            InvalidInput: the file is corrupt.
        """
        return decoding_bytes(self.plan, encoded, header, views)

    def rows_bytes(self, picture: Picture, views: int) -> int:
        """The most that the rows of a picture's views take beside it."""
        return rows_bytes(self.plan, picture_size(picture), views)

    def warm_up(self) -> None:
        """Runs once on a blank picture of the model's size, so that no request pays for it."""
        height, width = (side or _BLANK_SIDE_PIXELS for side in self.row_shape[:2])
        blank = io.BytesIO()
        Image.new("RGB", (width, height)).save(blank, self.formats[0])
        self.apply(blank.getvalue())

    def _upright(self, picture: Picture, encoded: bytes, header: ImageHeader) -> Picture:
        orientation = read_orientation(FORMATS[header.format].exif(encoded))
        return picture if orientation == 1 else upright(picture, orientation)

    def _sized(self, picture: Picture) -> Array:
        came = picture_size(picture)
        resize = self.plan.resize
        if resize is None or self.resizer is None:
            self._check_size(came)
            return as_array(picture)
        wanted = Size(resize.width or came.width, resize.height or came.height)
        framed = framing(resize, came, wanted)
        if framed.made != wanted:
            self._check_made(framed.made, came)
        read = framed.read
        if read.width > came.width or read.height > came.height:
            self._check_filtered(read.size, came)
        picture = self.resizer.resize(picture, framed)
        return framed.placed(as_array(picture), resize.pad_color)

    def _check_made(self, made: Size, came: Size) -> None:
        """A long picture keeps its form, and is cut or filled up."""
        if not 1 <= made.pixels <= self.limits.max_image_pixels:
            raise InvalidInput(
                f"the picture is {came} pixels, too long: resized it would be {made}, "
                f"expected 1 to {self.limits.max_image_pixels} pixels"
            )

    def _check_filtered(self, filtered: Size, came: Size) -> None:
        """A long picture is filled up to a large one."""
        if filtered.pixels > max(self.limits.max_image_pixels, came.pixels):
            raise InvalidInput(
                f"the picture is {came} pixels, too long: with the aspect ratio of the row it "
                f"would be {filtered}, expected at most {self.limits.max_image_pixels} pixels"
            )

    def _check_size(self, came: Size) -> None:
        height, width = self.row_shape[:2]
        if (height or came.height, width or came.width) != (came.height, came.width):
            wanted = f"{width or 'any'} x {height or 'any'}"
            raise InvalidInput(
                f"the picture is {came} pixels, expected {wanted}: the recipe does not resize"
            )

    def _channels_first(self, pixels: Array, out: Array | None) -> Array:
        levels = np.empty(pixels.shape, self.plan.dtype)
        self._fill(levels, pixels)
        turned = levels.transpose(2, 0, 1)
        if out is None or out.shape != turned.shape:
            return np.ascontiguousarray(turned)
        np.copyto(out, turned)
        return out

    def _fill(self, levels: Array, pixels: Array) -> None:
        np.copyto(levels, pixels, casting="unsafe")
        if self.plan.normalize is not None:
            normalize_in_place(levels, self.plan.normalize)


# The side of a blank picture where the model takes any size.
_BLANK_SIDE_PIXELS = 64


def pillow_plugs() -> Plugs:
    """The plugs that are always there: the decoder ``accurate`` and the resize library ``pillow``.

    The artefact kinds of TensorFlow add its own.
    """
    plugs = Plugs()
    plugs.decoders.register_on_demand("accurate", accurate_decoder)
    plugs.resizers.register("pillow", pillow_resizer)
    return plugs


def compile_recipe(
    settings: RecipeSettings, input_spec: TensorSpec, plugs: Plugs, limits: ImageLimits
) -> Recipe:
    """Checks a recipe against the model's input and the plugs at hand.

    Args:
        settings: the manifest's table.
        input_spec: the model's image input.
        plugs: who decodes and who resizes.
        limits: on bytes and pixels.

    Raises:
        InvalidSettings: with every fault, each beginning with its path (``recipe.resize: ...``).
    """
    plan = fit_to_input(recipe_plan(settings), input_spec, plugs)
    resizer = plugs.resizers[plan.resize.library](plan.resize) if plan.resize else None
    keys = dataclasses.asdict(plan)
    if plan.layout == "channels_last":
        del keys["layout"]  # which 0.1.0 did not know, and whose digests hold
    canonical = json.dumps(keys, sort_keys=True, separators=(",", ":"))
    return Recipe(
        plan=plan,
        limits=limits,
        decoder=plugs.decoders[plan.decoder],
        resizer=resizer,
        channels=plan.channels,
        in_8_bits=_works_in_8_bits(plan),
        row_shape=channels_last(plan, input_spec).row_shape,
        canonical_json=canonical,
        digest=hashlib.sha256(canonical.encode()).hexdigest(),
    )


def _works_in_8_bits(plan: RecipePlan) -> bool:
    resize = plan.resize
    rounds = resize is not None and resize.library == "tensorflow" and resize.rounding == "uint8"
    return plan.dtype == "uint8" or rounds


def _has_8_bits(picture: Picture) -> bool:
    if isinstance(picture, Image.Image):
        return picture.mode in ("L", "RGB")
    return picture.dtype == np.uint8
