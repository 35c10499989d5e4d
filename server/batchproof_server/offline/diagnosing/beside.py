"""One row beside other rows."""

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.case import PathAnswer
from batchproof_server.offline.diagnosing.asking import RowAsker

_COPIES_PADDED = 3
_MOST_BESIDE = 32


async def ask_beside(asker: RowAsker, row: Array) -> tuple[PathAnswer, ...]:
    """The answer to one row, alone and beside as many rows as are executed, bit for bit."""
    alone = await asker.execute(row[np.newaxis])
    most = min(asker.most_rows, _MOST_BESIDE)
    besides = [("alone once more", row[np.newaxis])]
    if most >= _COPIES_PADDED:
        besides.append(("among 2 copies, padded", np.stack([row] * _COPIES_PADDED)))
    if most > 1:
        strangers = np.concatenate([row[np.newaxis], _strangers(row, most - 1)])
        besides.append((f"among {most - 1} copies", np.stack([row] * most)))
        besides.append((f"among {most - 1} random rows", strangers))
    return tuple(
        [_path(title, len(rows), alone, (await asker.execute(rows))[:1]) for title, rows in besides]
    )


def _strangers(row: Array, count: int) -> Array:
    """Random rows between the least and the greatest value of a row; always the same ones."""
    random = np.random.default_rng(count)
    low, high = float(row.min()), float(row.max())
    return random.uniform(low, max(high, low + 1e-6), (count, *row.shape)).astype(row.dtype)


def _path(title: str, rows: int, alone: Array, output: Array) -> PathAnswer:
    return PathAnswer(
        title=title,
        rows=rows,
        same_bits=alone.tobytes() == output.tobytes(),
        greatest_difference=float(np.abs(alone.astype(np.float64) - output).max()),
        same_class=bool(alone.reshape(-1).argmax() == output.reshape(-1).argmax()),
    )
