"""``HandleReloadConfigRequest``: other policies and labels for models of the repository."""

from collections.abc import Mapping
from dataclasses import dataclass

from batchproof.compat import tensorflow_serving_pb2 as pb
from batchproof_server.base.errors import InvalidInput, cut
from batchproof_server.base.validation import InvalidSettings
from batchproof_server.models.orders import Orders
from batchproof_server.rpc.calls import Call
from batchproof_server.rpc.methods import MethodSpec
from batchproof_server.rpc.tensorflow_serving.model_config import configured


# Contract: a caller names models and says what is wanted of them, and never where they lie: a base
# path has to be the one that the model has. Models that are not named are unloaded.
@dataclass(frozen=True, slots=True)
class ConfigReloads:
    """Takes configurations from callers.

    Attributes:
        orders: carries them out.
    """

    orders: Orders

    def specs(self) -> Mapping[str, MethodSpec]:
        """What is done for the call, by its name."""
        return {"HandleReloadConfigRequest": MethodSpec(self.answer)}

    async def answer(self, request: pb.ReloadConfigRequest, call: Call) -> pb.ReloadConfigResponse:
        """Follows a configuration, and answers when its models have been loaded."""
        del call
        try:
            models = configured(request.config)
        except InvalidSettings as invalid:
            raise InvalidInput("; ".join(invalid.faults)) from invalid
        for model in models:
            lies_in = self.orders.directory_of(model.name)
            if lies_in is not None and model.base_path.resolve() != lies_in:
                raise InvalidInput(
                    f'the base_path of model "{cut(model.name)}" is "{cut(str(model.base_path))}", '
                    "expected the one that the server knows; paths are set where it is started"
                )
        await self.orders.follow_policies(
            {model.name: model.policy for model in models},
            {model.name: model.labels for model in models},
        )
        return pb.ReloadConfigResponse(status=pb.StatusProto())
