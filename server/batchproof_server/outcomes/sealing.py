"""Gives every row of an answer its handle."""

from collections.abc import Callable

import numpy as np

from batchproof_server.base.scores import Scores
from batchproof_server.outcomes.answered import NONCE_BYTES
from batchproof_server.outcomes.handle import MAX_LABELS, SealingKey, seal_rows


class Sealer:
    """Seals answers.

    Args:
        key: known to every server that is to take their outcomes.
        epoch_ms: what time it is.
        random_bytes: so many that no two answers share them.
    """

    def __init__(
        self, key: SealingKey, epoch_ms: Callable[[], int], random_bytes: Callable[[int], bytes]
    ) -> None:
        self._key = key
        self._epoch_ms = epoch_ms
        self._random_bytes = random_bytes

    def seal(self, model: str, version: int, scores: Scores) -> tuple[bytes, ...]:
        """The handle of each row; none for more labels than fit into one.

        Args:
            model: answered.
            version: its number.
            scores: of the rows.
        """
        nonce = self._random_bytes(NONCE_BYTES)
        confidences = scores.confidences.tolist()
        if scores.chosen is None:
            rows = zip(scores.decided.tolist(), confidences, strict=True)
            return seal_rows(self._key, model, version, rows, self._epoch_ms(), nonce)
        labels = scores.chosen.shape[1]
        if labels > MAX_LABELS:
            return ()
        bits = np.packbits(scores.chosen, axis=1)
        sets = [
            (labels, confidence, row.tobytes())
            for row, confidence in zip(bits, confidences, strict=True)
        ]
        return seal_rows(self._key, model, version, sets, self._epoch_ms(), nonce)
