"""Those who change, ask and look while callers are answered, for soak.py."""

import json
import random
from typing import Any, Final

from grpc import aio

from batchproof.v1 import management_pb2 as pb
from batchproof.v1 import management_pb2_grpc as pb_grpc
from batchproof.v1 import prediction_pb2 as prediction
from batchproof.v1 import prediction_pb2_grpc as prediction_grpc
from soak_protocols import PATIENCE_S, Served, connected
from soak_setting import LABEL, SHADOW, SHARED, Metadata

_PATIENT_CODES: Final = {"DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
_DIAGNOSIS_PATIENCE_S: Final = 240.0
_OTHER, _STAYS = SHARED


async def operating(
    address: str, model: str, bearing: Metadata, chance: random.Random
) -> list[str]:
    """Moves shares, takes a version away and brings it back, ends the shadow and begins it again.

    Returns:
        The orders that were refused, and why.
    """
    weight = chance.randrange(1, 100)
    shared = {LABEL: pb.VersionWeights(weights={_OTHER: weight, _STAYS: 100 - weight})}
    orders: list[tuple[str, Any]] = [
        ("SetLabels", pb.SetLabelsRequest(model=model, shared=shared)),
        ("CompareVersions", pb.CompareVersionsRequest(model=model)),
        ("SetLabels", pb.SetLabelsRequest(model=model, labels={LABEL: _STAYS})),
        ("UnloadVersion", pb.UnloadVersionRequest(model=model, version=_OTHER)),
        ("SetShadow", pb.SetShadowRequest(model=model)),
        ("LoadVersion", pb.LoadVersionRequest(model=model, version=_OTHER)),
        ("SetShadow", pb.SetShadowRequest(model=model, version=SHADOW)),
        ("Reload", pb.ReloadRequest()),
        ("ListVersions", pb.ListVersionsRequest()),
    ]
    refused = []
    async with connected(address) as channel:
        make: Any = pb_grpc.ManagementServiceStub
        stub = make(channel)
        for name, order in orders:
            try:
                await getattr(stub, name)(order, metadata=bearing, timeout=PATIENCE_S)
            except aio.AioRpcError as error:
                refused.append(f"{name} {error.code().name}: {error.details()}")
    return refused


async def diagnosing(served: Served, chance: random.Random) -> str:
    """Asks why a picture gets its answer; how that ended, empty where there was no time for it."""
    asked = prediction.DiagnoseRequest(
        model=prediction.ModelSelector(name=served.model), image=chance.choice(served.pictures)
    )
    async with connected(served.address) as channel:
        make: Any = prediction_grpc.PredictionServiceStub
        try:
            answer = await make(channel).Diagnose(
                asked, metadata=served.metadata, timeout=_DIAGNOSIS_PATIENCE_S
            )
        except aio.AioRpcError as error:
            code = str(error.code().name)
            return "" if code in _PATIENT_CODES else f"{code}: {error.details()}"
    json.loads(answer.json)
    return "OK"
