"""A caller beside the server: asks over real gRPC, as any client does, from the server's process.

For commands that must see what a caller sees. It has no retries and no options: the client is a
package of its own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import numpy as np
from grpc import aio

from batchproof.v1 import prediction_pb2 as pb
from batchproof.v1 import prediction_pb2_grpc as pb_grpc
from batchproof_server.base.errors import InvalidInput, ServingError
from batchproof_server.offline.evaluation.answers import SingleAnswer


class Loopback:
    """Asks one server for one model version.

    Args:
        channel: to the server.
        model: its name.
        version: its number.
        logits: whether to ask for logits; only for a model whose output is logits.
    """

    def __init__(self, channel: aio.Channel, model: str, version: int, *, logits: bool) -> None:
        self._stub: Any = pb_grpc.PredictionServiceStub(channel)
        self._selector = pb.ModelSelector(name=model, version=version)
        self._options = pb.PredictOptions(top_k=1, return_probabilities=True, return_logits=logits)

    async def predict(self, encoded: bytes) -> SingleAnswer:
        """Sends one picture and waits for its answer.

        Raises:
            InvalidInput: the server refused the picture.
            ServingError: the call failed for another reason.
        """
        request = pb.PredictRequest(
            model=self._selector,
            images=pb.EncodedImages(contents=[encoded]),
            options=self._options,
        )
        try:
            response = await self._stub.Predict(request)
        except aio.AioRpcError as failed:
            if failed.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise InvalidInput(failed.details()) from failed
            raise ServingError(f"{failed.code().name}: {failed.details()}") from failed
        row = response.rows[0]
        return SingleAnswer(
            top1=row.classes[0].index,
            probabilities=np.array(row.probabilities, np.float32),
            logits=np.array(row.logits, np.float32) if row.logits else None,
            bucket_rows=response.provenance.executions[0].bucket_rows,
        )


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[aio.Channel]:
    """A channel in plain text to a server of this process.

    Args:
        address: ``host:port``.
    """
    async with aio.insecure_channel(address, options=_OPTIONS) as channel:
        yield channel


# A proxy of the environment has nothing to do between a process and itself.
_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
