"""Health hears of versions by their news alone, and forgets what was unloaded."""

from batchproof_server.models.shadows import ShadowChanged
from batchproof_server.models.version_changed import VersionChanged
from batchproof_server.models.version_states import VersionState
from batchproof_server.rpc.health import Health

SERVING, NOT_SERVING = True, False


async def loaded(*, all_must_answer: bool = False) -> Health:
    """A server of the model "a" whose loading is over."""
    health = Health(all_must_answer=all_must_answer)
    health.start()
    told(health, 1, VersionState.DISCOVERED)
    told(health, 1, VersionState.READY)
    await health.end_loading()
    return health


def told(health: Health, version: int, new: VersionState, model: str = "a") -> None:
    health.follow_version(VersionChanged(model, version, None, new))


async def test_a_model_is_serving_while_any_of_its_versions_is_ready() -> None:
    health = await loaded()
    told(health, 2, VersionState.READY)
    told(health, 1, VersionState.DRAINING)
    assert health._states == {"": SERVING, "a": SERVING}
    told(health, 2, VersionState.STUCK)
    assert health._states == {"": NOT_SERVING, "a": NOT_SERVING}
    assert not health.is_serving
    told(health, 2, VersionState.READY)
    assert health.is_serving


async def test_a_model_without_versions_is_forgotten() -> None:
    health = await loaded()
    told(health, 1, VersionState.READY, "b")
    told(health, 2, VersionState.FAILED, "b")
    told(health, 1, VersionState.UNLOADED, "b")
    assert health._states == {"": SERVING, "a": SERVING, "b": NOT_SERVING}
    told(health, 2, VersionState.UNLOADED, "b")
    assert health._states == {"": SERVING, "a": SERVING}
    assert set(health._versions) == {"a"}
    told(health, 1, VersionState.UNLOADED)
    assert health._states == {"": NOT_SERVING}


async def test_what_is_loaded_while_the_server_drains_does_not_serve() -> None:
    health = await loaded()
    await health.start_draining()
    told(health, 2, VersionState.READY)
    assert health._states == {"": NOT_SERVING, "a": NOT_SERVING}


async def test_a_failed_model_is_passed_over_unless_all_must_answer() -> None:
    for all_must_answer in (False, True):
        health = await loaded(all_must_answer=all_must_answer)
        told(health, 1, VersionState.LOADING, "b")
        assert health.is_serving
        told(health, 1, VersionState.FAILED, "b")
        assert health.is_serving is not all_must_answer
        assert health.state("b") is NOT_SERVING
        told(health, 2, VersionState.READY, "b")
        assert health.is_serving


async def test_where_all_must_answer_a_failed_shadow_matters_to_nobody() -> None:
    health = await loaded(all_must_answer=True)
    told(health, 2, VersionState.FAILED)
    health.follow_shadow(ShadowChanged("a", 2))
    assert health.is_serving
