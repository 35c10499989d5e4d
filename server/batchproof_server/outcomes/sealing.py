"""Gives every row of an answer its handle."""

from collections.abc import Callable

from batchproof_server.base.scores import Scores
from batchproof_server.outcomes.answered import NONCE_BYTES
from batchproof_server.outcomes.handle import SealingKey, seal_rows


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
        """The handle of each row.

        Args:
            model: answered.
            version: its number.
            scores: of the rows.
        """
        rows = zip(scores.decided.tolist(), scores.confidences.tolist(), strict=True)
        nonce = self._random_bytes(NONCE_BYTES)
        return seal_rows(self._key, model, version, rows, self._epoch_ms(), nonce)
