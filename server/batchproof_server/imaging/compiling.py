"""Compiles the passes of ``passes.py`` with numba, which comes with the extra ``pictures``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from batchproof_server.base.signature import Array
from batchproof_server.imaging import passes

# Of both passes: pixels, where they begin, first, counts, weights, out.
Pass: TypeAlias = Callable[[Array, int, Array, Array, Array, Array], None]


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPasses:
    """Machine code that lets other threads run meanwhile.

    Attributes:
        along_width: see ``passes.along_width``.
        along_height: see ``passes.along_height``.
        pick: see ``passes.pick``.
        luma_of: see ``passes.luma_of``.
    """

    along_width: Pass
    along_height: Pass
    pick: Callable[[Array, Array, Array, Array], None]
    luma_of: Callable[[Array, Array], None]


def compile_passes() -> CompiledPasses:
    """Takes about two seconds, and a tenth of one where numba finds what it made before.

    numba keeps machine code beside the module or in the user's cache, for one processor and one
    state of the file. A cache that cannot be written or read costs time and nothing else.

    Raises:
        ImportError: numba is not installed, or not with this numpy.
    """
    try:
        return _compile(is_kept=True)
    except ImportError:
        raise
    except Exception:  # noqa: BLE001 - whatever a cache meets, compiling anew is the answer
        return _compile(is_kept=False)


def _compile(*, is_kept: bool) -> CompiledPasses:
    import numba  # noqa: PLC0415 - it takes long to import, and may be missing

    def compiled(function: Any, *arguments: Any) -> Any:
        compiler = numba.njit(
            numba.void(*arguments), nogil=True, error_model="numpy", cache=is_kept
        )
        return compiler(function)

    level, number = numba.uint8, numba.int32
    # What is only read may be read-only.
    values, lines, picture = (
        numba.types.Array(level, axes, "C", readonly=True) for axes in (1, 2, 3)
    )
    taps = (numba.int64, number[::1], number[::1], number[:, ::1])
    return CompiledPasses(
        along_width=compiled(passes.along_width, picture, *taps, level[:, :, ::1]),
        along_height=compiled(passes.along_height, lines, *taps, level[:, ::1]),
        pick=compiled(passes.pick, picture, numba.int64[::1], numba.int64[::1], level[:, :, ::1]),
        luma_of=compiled(passes.luma_of, values, level[::1]),
    )
