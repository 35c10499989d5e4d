"""A version that answers: what was loaded, and the micro-batcher before it."""

from dataclasses import dataclass, field

from batchproof_server.batching.batcher import Batcher
from batchproof_server.devices.device import Device
from batchproof_server.models.loading import LoadedModel
from batchproof_server.selfcheck.choosing import SelfChecks
from batchproof_server.selfcheck.settings import SelfCheckSettings


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded version, the queue before its device, and the device.

    Attributes:
        name: of the model.
        version: its number.
        max_request_rows: rows of one request.
        max_request_views: rows times views of one request with test-time augmentation.
        watches_inputs: whether observers are told what inputs are like, even where the version has
            no reference profile to compare them with.
    """

    loaded: LoadedModel
    batcher: Batcher
    device: Device
    max_request_rows: int
    max_request_views: int
    watches_inputs: bool = False
    name: str = field(init=False)
    version: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.loaded.bundle.name)
        object.__setattr__(self, "version", self.loaded.bundle.version)

    def label(self, class_index: int) -> str:
        """The label of a class, or its index in decimal when the bundle names none."""
        labels = self.loaded.bundle.labels
        return labels[class_index] if labels else str(class_index)

    def close(self) -> None:
        """Releases queue, device and model; to be called when the batcher is drained."""
        self.batcher.close()
        self.device.close()


def self_checks(loaded: LoadedModel, settings: SelfCheckSettings) -> SelfChecks:
    """What to try again of a version's answers.

    Without a certificate nothing is known of its buckets: each is compared with itself only.
    """
    served = set(loaded.batching.buckets_rows)
    classes = () if loaded.certificate is None else loaded.certificate.measured.classes
    return SelfChecks(settings, [kept for each in classes if (kept := tuple(served & set(each)))])
