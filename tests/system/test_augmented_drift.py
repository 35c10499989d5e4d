"""The embedded model with a profile of mirrored pictures: what counts in it, over processes."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from batchproof.v1 import prediction_pb2 as pb
from system import process
from system.bundles import EMBEDDED, EXAMPLES, samples
from system.conftest import Serve
from system.process import Samples, ServerProcess
from system.traffic import ask, connected, images

DATA = EXAMPLES.parents[1] / "tests" / "data" / "fashion_mnist_1000.npz"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the embedded bundle, profiled with the policy "flip"."""
    models = shutil.copytree(EMBEDDED, tmp_path_factory.mktemp("repository") / "models")
    bundle = models / "fashion-mnist" / "1"
    more = ("--limit", "200", "--tta", "flip")
    made = process.run("profile", bundle, "--data", DATA, *more)
    assert made.returncode == 0, made.stderr
    assert "TTA           flip: identity, hflip; mean" in made.stdout
    return models


async def sent(server: ServerProcess, pictures: list[bytes], tta: Any) -> list[pb.RowPrediction]:
    async with connected(server.grpc) as stub:
        outcome = await ask(stub, images(pictures, tta=tta))
    assert outcome.answer is not None, outcome.code
    return list(outcome.answer.rows)


def bins(samples: Samples, signal: str) -> list[float]:
    """Observations in each bin of a signal."""
    name = "batchproof_drift_observations_total"
    found = {
        labels["bin"]: value
        for (family, pairs), value in samples.values.items()
        if family == name and (labels := dict(pairs))["signal"] == signal
    }
    return [found[number] for number in sorted(found)]


def counted(samples: Samples) -> dict[str, float]:
    """Observations of each signal."""
    names = ("tta_flip_rate", "tta_mutual_information", "class")
    return {name: sum(bins(samples, name)) for name in names}


def metrics_when_counted(server: ServerProcess, expected: dict[str, float]) -> Samples:
    """The metrics page once it shows exactly these observations."""
    return server.metrics_when(f"it shows {expected}", lambda now: counted(now) == expected)


async def test_augmented_requests_grow_the_signals_of_their_policy_and_plain_ones_do_not(
    repository: Path, serve: Serve
) -> None:
    server = serve(repository).wait_serving()
    nothing: dict[str, float] = dict.fromkeys(
        ("tta_flip_rate", "tta_mutual_information", "class"), 0
    )
    assert counted(server.metrics()) == nothing
    await sent(server, samples()[:7], None)
    await sent(server, samples()[:3], pb.TestTimeAugmentation(policy="light"))
    metrics_when_counted(server, nothing | {"class": 10})
    rows = await sent(server, samples()[:20], pb.TestTimeAugmentation(policy="flip"))
    assert all(row.tta.views_executed == 2 for row in rows)
    after = metrics_when_counted(
        server, {"tta_flip_rate": 20, "tta_mutual_information": 20, "class": 30}
    )
    flipped = sum(row.tta.flip_rate > 0 for row in rows)
    assert bins(after, "tta_flip_rate")[0] == 20 - flipped


def test_a_manifest_without_the_policy_of_the_profile_refuses_the_version(
    repository: Path, tmp_path: Path
) -> None:
    models = shutil.copytree(repository, tmp_path / "models")
    manifest = models / "fashion-mnist" / "1" / "batchproof.toml"
    manifest.write_text(manifest.read_text() + '\n[tta]\nallowed = ["light"]\n')
    ended = process.run("serve", models, "--grpc-port", "0", "--http-port", "0")
    assert ended.returncode == 1
    assert 'its TTA policy \\"flip\\" is unknown to the bundle, one of light' in ended.stderr
