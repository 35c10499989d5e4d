"""A version that answers: what was loaded, the micro-batcher before it, and who uses it."""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType

from batchproof_server.base.errors import Draining, InvalidInput
from batchproof_server.batching.batcher import Batcher
from batchproof_server.devices.device import Device
from batchproof_server.devices.failing import Failing
from batchproof_server.devices.picture_slots import PictureDecoding
from batchproof_server.drift.far_rows import UsualMeans
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.selfcheck.choosing import SelfChecks
from batchproof_server.selfcheck.settings import SelfCheckSettings
from batchproof_server.tta.choice import TtaRequest
from batchproof_server.tta.expansion import Expansion
from batchproof_server.tta.plan import Plan


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
        failing: tells when what executes it keeps failing.
        decoding: decodes its pictures; None where this process does.
        answers_non_finite: whether rows that are not finite are executed, and answered with NaN.
        is_watched: whether somebody wants to know what its inputs are like.
        usual_means: what rows of tensors are compared with; None without a profile that knows.
    """

    loaded: LoadedModel
    batcher: Batcher
    device: Device
    max_request_rows: int
    max_request_views: int
    watches_inputs: bool = False
    failing: Failing = field(default_factory=Failing)
    decoding: PictureDecoding | None = None
    answers_non_finite: bool = False
    name: str = field(init=False)
    version: int = field(init=False)
    is_watched: bool = field(init=False)
    usual_means: UsualMeans | None = field(init=False)

    def __post_init__(self) -> None:
        is_watched = self.watches_inputs or self.loaded.profile is not None
        object.__setattr__(self, "is_watched", is_watched)
        known = self.loaded.profile
        usual_means = None if known is None else UsualMeans.of(known.profile)
        object.__setattr__(self, "usual_means", usual_means)
        object.__setattr__(self, "name", self.loaded.bundle.name)
        object.__setattr__(self, "version", self.loaded.bundle.version)

    @property
    def expansion(self) -> Expansion:
        """What makes rows of pictures.

        Raises:
            InvalidInput: the model takes tensors only.
        """
        expansion = self.loaded.expansion
        if expansion is None:
            raise InvalidInput(
                f'model "{self.name}" has no recipe for images, expected input tensors'
            )
        return expansion

    def plan(self, asked: TtaRequest | None) -> Plan:
        """The views that a request comes to; the default where it says nothing.

        Raises:
            InvalidInput: see ``Choice.plan``.
        """
        choice = self.loaded.tta
        return choice.default if asked is None else choice.plan(asked)

    def label(self, class_index: int) -> str:
        """The label of a class, or its index in decimal when the bundle names none."""
        labels = self.loaded.bundle.labels
        return labels[class_index] if labels else str(class_index)

    def close(self) -> None:
        """Releases queue, device and model; to be called when the batcher is drained."""
        self.batcher.close()
        self.device.close()


# Contract: entering and leaving are a count, because every request does both. Whoever entered has
# the model until they leave; after ``end`` nobody enters any more.
class Lease:
    """Keeps a loaded version in use; the same value for all who use it.

    Args:
        served: the version.
    """

    __slots__ = ("_holders", "_is_over", "_nobody", "_served")

    def __init__(self, served: ServedModel) -> None:
        self._served = served
        self._holders = 0
        self._is_over = False
        self._nobody = asyncio.Event()

    def __enter__(self) -> ServedModel:
        if self._is_over:
            raise Draining(f'model "{self._served.name}" is going away; try another server')
        self._holders += 1
        return self._served

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._holders -= 1
        if self._is_over and not self._holders:
            self._nobody.set()

    async def end(self) -> None:
        """Returns when nobody uses the version any more; nobody new may from now on."""
        self._is_over = True
        if self._holders:
            await self._nobody.wait()


def self_checks(loaded: LoadedModel, settings: SelfCheckSettings) -> SelfChecks:
    """What to try again of a version's answers.

    Without a certificate nothing is known of its buckets: each is compared with itself only.
    """
    served = set(loaded.batching.buckets_rows)
    classes = () if loaded.certificate is None else loaded.certificate.measured.classes
    return SelfChecks(settings, [kept for each in classes if (kept := tuple(served & set(each)))])
