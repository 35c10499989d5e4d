"""The processes of a load: how they begin, fail and end."""

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from batchproof_client import BatchproofError, TlsOptions
from batchproof_client.connection import Endpoint
from batchproof_client.loadtest import fleet, worker
from batchproof_client.loadtest.arrivals import ClosedLoop
from batchproof_client.loadtest.items import Item
from batchproof_client.loadtest.record import total
from batchproof_client.loadtest.runner import Work
from batchproof_client.loadtest.worker import Job, Progress, Ready, Start
from support.patience import PATIENCE_S
from wire.client.fake_server import FakeServer


def job(endpoint: Endpoint, duration_s: float = 3600.0, count: int | None = None) -> Job:
    work = Work((Item("a", b"", 1.0, 1),), ClosedLoop(1, duration_s), PATIENCE_S, count)
    return Job(work, endpoint, "batchproof", 1, check_identical=False, interval_s=1.0)


@pytest.mark.parametrize("when", ["before the start", "while it runs", "with a report unread"])
def test_a_process_whose_parent_is_gone_ends_in_silence(
    server: FakeServer, when: str, capfd: pytest.CaptureFixture[str]
) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (theirs, job(Endpoint(server.target)))
    process = context.Process(target=worker.work, args=arguments, daemon=True)
    process.start()
    theirs.close()
    assert isinstance(ours.recv(), Ready)
    if when != "before the start":
        ours.send(Start(time.monotonic()))
        assert isinstance(ours.recv(), Progress)
    if when == "with a report unread":
        assert ours.poll(PATIENCE_S)
    ours.close()
    process.join(PATIENCE_S)
    assert process.exitcode == 0
    assert "batchproof_client" not in capfd.readouterr().err


def test_a_process_says_why_it_cannot_begin(server: FakeServer) -> None:
    endpoint = Endpoint(server.target, tls=TlsOptions("gone.pem"))
    with pytest.raises(BatchproofError, match=r"gone\.pem: cannot be read"):
        fleet.run([job(endpoint)], lambda *_: None, fleet.Interrupt())


def test_a_process_that_dies_is_said_so(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "work", print)  # ends at once, without a word over the pipe
    with pytest.raises(BatchproofError, match="a load process died"):
        fleet.run([job(Endpoint(server.target))], lambda *_: None, fleet.Interrupt())


def test_a_load_may_run_outside_the_main_thread(server: FakeServer) -> None:
    endpoint = Endpoint(server.target)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(
            fleet.run, [job(endpoint, count=3)], lambda *_: None, fleet.Interrupt()
        )
        harvest = running.result(PATIENCE_S)
    assert total(harvest.slices).codes.total() == 3


def test_an_interrupt_that_meets_a_process_at_its_end_still_brings_the_report(
    server: FakeServer,
) -> None:
    interrupt = fleet.Interrupt()
    begun = threading.Event()

    def see_it_end(*_: object) -> None:
        if not begun.is_set():
            begun.set()
            until_none_is_alive()
            interrupt.pressed = True

    harvest = fleet.run([job(Endpoint(server.target), count=800)], see_it_end, interrupt)
    assert total(harvest.slices).codes.total() == 800


def until_none_is_alive() -> None:
    """The process has said its last word, which nobody has read, and is gone."""
    for process in multiprocessing.active_children():
        process.join(PATIENCE_S)
