"""What a bundle says of the training of its model."""

from pathlib import Path
from typing import Final

from batchproof_server.base.files import TooLarge, read_text, reason_of
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.diagnosis.training_curve import (
    MAX_TRAINING_BYTES,
    TrainingCurve,
    parse_training_curve,
)
from batchproof_server.offline.datasets.pictures import InvalidData

TRAINING_PROFILE_NAME: Final = "profile-training.json"
"""The profile of the pictures that the model was trained on."""


def read_training_curve(file: Path) -> TrainingCurve:
    """The figures of a training, from a file like ``training-curve.json``.

    Raises:
        InvalidData: it cannot be read, or is none.
    """
    try:
        return parse_training_curve(read_text(file, MAX_TRAINING_BYTES))
    except OSError as fault:
        raise InvalidData([f"{file}: cannot be read ({reason_of(fault)})"]) from fault
    except (TooLarge, UnicodeDecodeError) as fault:
        most = f"{MAX_TRAINING_BYTES >> 20} MiB"
        raise InvalidData([f"{file}: expected UTF-8 text of {most} or less"]) from fault
    except InvalidSettings as invalid:
        raise InvalidData([f"{file}: {fault}" for fault in invalid.faults]) from invalid
