"""A loaded version gets its queue before its device."""

from dataclasses import dataclass

from batchproof_server.base.clock import Clock
from batchproof_server.base.events import Observer
from batchproof_server.batching.batcher import Batcher
from batchproof_server.devices.device import Device
from batchproof_server.devices.failing import Failing
from batchproof_server.devices.picture_slots import PictureDecoding
from batchproof_server.devices.settings import ExecutionSettings
from batchproof_server.models.discovery import Place
from batchproof_server.models.loaded import LoadedModel
from batchproof_server.models.served import ServedModel, self_checks
from batchproof_server.models.warm_up import accepted_row
from batchproof_server.selfcheck.settings import SelfCheckSettings


@dataclass(frozen=True, slots=True)
class Connector:
    """Makes loaded versions answer.

    Attributes:
        clock: time and alarms of the batchers.
        observer: of the batchers.
        self_check: which answers are tried again.
        execution: how long one execution may take.
        max_request_rows: of one request; a manifest and the queue may lower it.
        max_request_views: rows times views of one request; the queue may lower it.
        watches_inputs: see ``ServedModel``.
        answers_non_finite: whether versions whose proof allows it answer rows that are not finite.
    """

    clock: Clock
    observer: Observer
    self_check: SelfCheckSettings
    execution: ExecutionSettings
    max_request_rows: int
    max_request_views: int
    watches_inputs: bool = False
    answers_non_finite: bool = False

    def connect(
        self,
        place: Place,
        loaded: LoadedModel,
        device: Device,
        failing: Failing | None = None,
        decoding: PictureDecoding | None = None,
    ) -> ServedModel:
        """A version that answers; on the loop thread.

        Args:
            place: where it lies.
            loaded: what is known of it.
            device: executes it.
            failing: knows whether what executes it keeps failing; None where it cannot.
            decoding: decodes its pictures; None where this process does.
        """
        batcher = Batcher(
            place.name,
            place.version,
            loaded.backend.signature,
            loaded.batching,
            device=device,
            execution_s=loaded.execution_s,
            known_row=accepted_row(loaded.backend.signature),
            execution_limit_s=self.execution.limit_s(loaded.execution_s),
            clock=self.clock,
            observer=self.observer,
            self_checks=self_checks(loaded, self.self_check),
        )
        queued_rows = loaded.batching.max_queued_rows
        declared_rows = loaded.bundle.manifest.max_request_rows or self.max_request_rows
        return ServedModel(
            loaded,
            batcher,
            device,
            max_request_rows=min(self.max_request_rows, declared_rows, queued_rows),
            max_request_views=min(self.max_request_views, queued_rows),
            watches_inputs=self.watches_inputs,
            failing=failing or Failing(),
            decoding=decoding,
            answers_non_finite=self.answers_non_finite and _keeps_rows_apart(loaded),
        )


def _keeps_rows_apart(loaded: LoadedModel) -> bool:
    """Whether a proof says that a row of NaN or infinities changes no other answer."""
    return loaded.certificate is not None and loaded.certificate.verdict != "unproven"
