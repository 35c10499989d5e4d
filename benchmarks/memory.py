"""(g) Memory, by model and by what waits."""

from typing import Final

from bench import Bench
from processes import closed_loop, served
from results import Aim, Cell, Outcome, Table
from subjects import ALL, affine_floats, mobilenet_bytes, mobilenet_floats

_DEPTHS: Final = (16, 128, 512)
_PROCESS: Final = {"BATCHPROOF_DEVICES__KIND": "process"}
_FRONT_MB: Final = 120.0
_WITH_DEVICE_MB: Final = 500.0


def run(bench: Bench) -> Outcome:
    """Measures each model loaded, and two with a queue of large pictures."""
    models: list[tuple[str | float, ...]] = []
    for make in bench.steps("(g) model", ALL):
        subject = make()
        with served(subject) as server:
            loaded_mb = server.memory_mb("VmRSS")
            closed_loop(server.grpc, subject.message, 16, bench.seconds)
            models.append(
                (subject.label, loaded_mb, server.memory_mb("VmRSS"), server.memory_mb("VmHWM"))
            )
    depths: list[tuple[str | float, ...]] = []
    for make in bench.steps("(g) queue of", (affine_floats, mobilenet_floats)):
        subject = make()
        with served(subject) as server:
            for depth in _DEPTHS:
                closed_loop(server.grpc, subject.message, depth, 3 * bench.seconds)
                depths.append((subject.label, depth, server.memory_mb("VmHWM")))
    apart, aims = _device_apart(bench)
    return Outcome(
        title="Memory",
        how="Resident memory of the server's process. A caller of the closed loop has one request "
        "of 600 kB on its way, and most of them wait in the queue, which holds 512 rows.",
        tables=(
            Table("MB by model", ("model", "loaded", "after a load of 16", "most"), tuple(models)),
            Table("Most MB by callers", ("model", "callers", "most"), tuple(depths)),
            apart,
        ),
        aims=aims,
    )


def _device_apart(bench: Bench) -> tuple[Table, tuple[Aim, ...]]:
    """MobileNetV2 in a device process, started from its certificate, after a load."""
    subject = mobilenet_bytes()
    with served(subject, _PROCESS):
        pass  # proven, so that the next start imports no TensorFlow
    with served(subject, _PROCESS) as server:
        closed_loop(server.grpc, subject.message, 16, bench.seconds)
        front_mb, all_mb = server.memory_mb("VmRSS"), server.shared_out_mb()
    row: tuple[Cell, ...] = (subject.label, front_mb, all_mb)
    columns = ("model", "the front", "with its device process")
    aims = (
        Aim(f"{subject.label}: MB of the front alone", front_mb, _FRONT_MB, at_least=False),
        Aim(f"{subject.label}: MB with one device", all_mb, _WITH_DEVICE_MB, at_least=False),
    )
    return Table("MB with a device process, OpenVINO, a kept certificate", columns, (row,)), aims
