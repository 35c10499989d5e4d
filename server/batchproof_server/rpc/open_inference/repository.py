"""Triton's calls that load and unload models by their names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from batchproof.compat import inference_pb2 as pb
from batchproof_server.base.errors import InvalidInput, NotImplementedYet, cut
from batchproof_server.models.orders import Orders
from batchproof_server.rpc.calls import Call
from batchproof_server.rpc.methods import MethodSpec

# Sent by Triton's client with every unload; no model here depends on another.
_IGNORED: Final = frozenset({"unload_dependents"})


@dataclass(frozen=True, slots=True)
class RepositoryCalls:
    """Takes orders about whole models.

    Attributes:
        orders: carries them out.
    """

    orders: Orders

    def specs(self) -> Mapping[str, MethodSpec]:
        """What is done for these calls, by their names."""
        return {
            "RepositoryModelLoad": MethodSpec(self.load),
            "RepositoryModelUnload": MethodSpec(self.unload),
        }

    async def load(
        self, request: pb.RepositoryModelLoadRequest, call: Call
    ) -> pb.RepositoryModelLoadResponse:
        """Loads what the policy of a model wants."""
        del call
        _check(request)
        await self.orders.load(request.model_name)
        return pb.RepositoryModelLoadResponse()

    async def unload(
        self, request: pb.RepositoryModelUnloadRequest, call: Call
    ) -> pb.RepositoryModelUnloadResponse:
        """Unloads every version of a model."""
        del call
        _check(request)
        await self.orders.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()


def _check(request: pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest) -> None:
    if request.repository_name:
        raise NotImplementedYet("there is one repository, expected no repository_name")
    if unknown := sorted(request.parameters.keys() - _IGNORED):
        raise InvalidInput(
            f'the parameter "{cut(unknown[0])}" is not taken: a model is loaded as it lies in the '
            "repository"
        )
