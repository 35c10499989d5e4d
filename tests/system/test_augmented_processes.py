"""Same picture, same augmented answer: in two processes, beside other rows, in a device process."""

import asyncio
import signal
from typing import Any

from batchproof.v1 import prediction_pb2 as pb
from system.bundles import EMBEDDED, encoded, samples
from system.conftest import Serve
from system.process import Samples, ServerProcess
from system.traffic import ask, bits, connected, images

# Every source of randomness and every filter; several draws of the same noise.
VIEWS = (
    "identity", "hflip", "noise(0.1)", "noise(0.1)", "rotate(13)", "scale(0.8)", "scale(1.2)",
    "shift(0.1,-0.05)", "five_crop(0.8)", "brightness(1.3)", "contrast(0.7)", "jpeg(40)",
)  # fmt: skip
TTA = pb.TestTimeAugmentation(
    views=VIEWS, aggregation="logit_mean", return_views=True, seed=20_240_229
)


# Some of the pictures are sure after their plain view, and some are not.
EARLY = pb.TestTimeAugmentation(policy="d4", early_exit=0.999, return_views=True)


async def rows(
    server: ServerProcess,
    pictures: list[bytes],
    neighbours: int = 0,
    tta: pb.TestTimeAugmentation = TTA,
) -> list[bytes]:
    """The rows of one augmented request, sent amid others."""
    options: dict[str, Any] = {"return_probabilities": True, "tta": tta}
    others = [
        images(samples()[place : place + 2], tta=pb.TestTimeAugmentation(policy="d4"))
        for place in range(neighbours)
    ]
    async with connected(server.grpc) as stub:
        outcomes = await asyncio.gather(
            *(ask(stub, other) for other in others), ask(stub, images(pictures, **options))
        )
    assert {outcome.code for outcome in outcomes} == {"OK"}
    answer = outcomes[-1].answer
    assert answer is not None
    return [bits(row) for row in answer.rows]


async def test_two_processes_and_one_whose_devices_decode_give_a_picture_the_same_bits(
    embedded: ServerProcess, serve: Serve
) -> None:
    early = await rows(embedded, samples()[:16], tta=EARLY)
    pictures = [samples()[3], encoded("JPEG", 64), samples()[17]]
    here = await rows(embedded, pictures)
    assert len(set(here)) == 3
    assert await rows(embedded, pictures[::-1], neighbours=9) == here[::-1]
    for kind in ("thread", "process"):
        there = serve(EMBEDDED, variables={"BATCHPROOF_DEVICES__KIND": kind}).wait_serving()
        assert await rows(there, pictures[1:], neighbours=4) == here[1:]
        assert await rows(there, samples()[:16], tta=EARLY) == early
        assert there.stop(signal.SIGTERM) == 0


async def test_the_counters_tell_of_rows_views_and_early_exits(exact: ServerProcess) -> None:
    tta = pb.TestTimeAugmentation(policy="crops", early_exit=0.01)
    before = exact.metrics()
    async with connected(exact.grpc) as stub:
        outcome = await ask(stub, images(samples()[:2], tta=tta))
        assert outcome.code == "OK"
        tta.ClearField("early_exit")
        assert (await ask(stub, images(samples()[:1], tta=tta))).code == "OK"
    expected = {"rows": 3, "views": 2 + 6, "early_exits": 2}

    def grown(after: Samples) -> dict[str, float]:
        labels = {"model": "pictures", "version": "1", "policy": "crops"}
        names = {name: f"batchproof_tta_{name}_total" for name in expected}
        return {
            name: after.of(family, **labels) - before.of(family, **labels)
            for name, family in names.items()
        }

    after = exact.metrics_when(
        "all is counted", lambda now: all(grown(now)[name] >= expected[name] for name in expected)
    )
    assert grown(after) == expected
