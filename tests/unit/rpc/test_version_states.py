"""The states of versions in the words of every protocol."""

import pytest

from batchproof.compat import tensorflow_serving_pb2 as tfs
from batchproof.v1 import prediction_pb2 as pb
from batchproof_server.models.version_states import VersionState
from batchproof_server.rpc.version_states import STATE_NAMES

TRITON = {"UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"}


def test_every_state_has_its_words() -> None:
    assert set(STATE_NAMES) == set(VersionState)


@pytest.mark.parametrize("state", VersionState)
def test_the_words_are_those_of_each_protocol(state: VersionState) -> None:
    names = STATE_NAMES[state]
    assert names.native in set(pb.ModelState.values()) - {pb.MODEL_STATE_UNSPECIFIED}
    assert names.open_inference in TRITON
    assert names.tensorflow_serving in tfs.ModelVersionStatus.State.values()


def test_only_what_is_ready_is_called_so_by_any_protocol() -> None:
    ready = {
        state
        for state, names in STATE_NAMES.items()
        if names.native == pb.MODEL_STATE_READY
        or names.open_inference == "READY"
        or names.tensorflow_serving == tfs.ModelVersionStatus.AVAILABLE
    }
    assert ready == {VersionState.READY}
