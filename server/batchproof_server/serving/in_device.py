"""Pictures whose rows are made in a device process: what this process does for them."""

from dataclasses import dataclass
from functools import partial

from batchproof_server.base.events import DecodeRecord, Observer
from batchproof_server.devices.picture_records import PictureAsked
from batchproof_server.devices.picture_slots import PictureDecoding
from batchproof_server.imaging.decoded import PictureRows
from batchproof_server.imaging.recipe import Recipe
from batchproof_server.serving.off_loop import KEPT_BYTES, OffLoop


@dataclass(frozen=True, slots=True)
class RowsWanted:
    """What rows are made of pictures.

    Attributes:
        packed: the views, see ``plan.pack_views``.
        views: how many rows besides the picture's own.
        is_watched: whether somebody wants to know what the pictures are like.
    """

    packed: bytes
    views: int
    is_watched: bool


# Contract: the header and the limits are looked at here, before a device sees the file, and the
# memory that the work takes is counted here. Both wait until a slot is there: of many pictures that
# came together only so few hold the loop up as can be decoded.
@dataclass(frozen=True, slots=True)
class InDevice:
    """Decodes the pictures of one version in its device processes.

    Attributes:
        decoding: makes the rows.
        recipe: checks each header.
        off_loop: has the budget of memory.
        observer: told of every decoded picture.
    """

    decoding: PictureDecoding
    recipe: Recipe
    off_loop: OffLoop
    observer: Observer

    async def decode(self, wanted: RowsWanted, image: bytes) -> PictureRows:
        """The rows of a picture.

        Raises:
            InvalidInput: the picture is refused.
            ModelNotReady: the process that decoded it was lost.
            BackendFailed: it failed with something that nobody foresaw, or took too long.
        """
        slots, place = await self.decoding.turn()
        try:
            measure = partial(self._measure, wanted, image)
            name, wanted_bytes = await self.off_loop.run(measure, read_bytes=len(image))
            over = await self.off_loop.wait_for_budget(wanted_bytes)
        except BaseException:
            slots.give_back(place)
            raise
        is_large = wanted_bytes > KEPT_BYTES
        asked = PictureAsked(len(image), wanted.is_watched, is_large, wanted.packed)
        came = await slots.decode(place, image, asked, over)
        self.observer.notify(DecodeRecord(name, came.took_s))
        return came.made

    def _measure(self, wanted: RowsWanted, image: bytes) -> tuple[str, int]:
        """The format, and the most memory that the work takes."""
        header = self.recipe.header(image)
        return header.format, self.recipe.decoding_bytes(image, header, wanted.views)
