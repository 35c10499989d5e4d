"""One row beside other rows."""

import numpy as np

from batchproof_server.base.signature import Array
from batchproof_server.diagnosis.case import PathAnswer
from batchproof_server.offline.diagnosing.asking import RowAsker


async def ask_beside(asker: RowAsker, row: Array) -> tuple[PathAnswer, ...]:
    """The answer to one row, alone and beside other rows, compared bit for bit."""
    alone = await asker.output(row[np.newaxis])
    most = max(2, min(asker.model.batcher.max_batch_rows, 32))
    strangers = _strangers(row, most - 1)
    besides = (
        ("alone once more", row[np.newaxis]),
        ("among 2 copies, padded", np.stack([row] * 3)),
        (f"among {most - 1} copies", np.stack([row] * most)),
        (f"among {most - 1} random rows", np.concatenate([row[np.newaxis], strangers])),
    )
    return tuple(
        [_path(title, len(rows), alone, (await asker.output(rows))[:1]) for title, rows in besides]
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
