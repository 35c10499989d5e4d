import json
from http import HTTPStatus
from pathlib import Path

from batchproof_server.base.errors import InvalidInput, QueueFull
from batchproof_server.rpc.fronts.front import Code
from batchproof_server.rpc.status import CODES, failure_of
from batchproof_server.web.rest.status import STATUSES, failed_answer

PAGE = Path(__file__).resolve().parents[4] / "docs" / "rest.md"


def test_every_code_has_a_status() -> None:
    assert set(STATUSES) == set(Code)


def test_only_faults_of_the_server_are_500() -> None:
    internal = {code for code, status in STATUSES.items() if status.value == 500}
    assert internal == {Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS}
    refused = {STATUSES[code] for code in CODES.values() if code is not Code.INTERNAL}
    assert HTTPStatus.INTERNAL_SERVER_ERROR not in refused
    assert HTTPStatus.OK not in refused


def test_every_status_of_an_error_stands_on_the_page() -> None:
    page = PAGE.read_text()
    # A row that has its outcome already is told by ReportOutcome, which has no path.
    answered = {STATUSES[code] for code in CODES.values()} - {HTTPStatus.CONFLICT}
    assert [each.value for each in answered if f"\n| {each.value} |" not in page] == []


def test_a_full_queue_says_when_to_come_again_in_whole_seconds() -> None:
    for retry_after_s, said in ((0.02, "1"), (1.2, "2")):
        answer = failed_answer(failure_of(QueueFull("busy", retry_after_s), "mine"))
        assert (answer.status, answer.headers["retry-after"]) == (429, said)


def test_the_text_of_an_error_is_json_whatever_it_holds() -> None:
    answer = failed_answer(failure_of(InvalidInput('a "b"\n\u2028'), "mine"))
    assert json.loads(answer.body) == {"error": 'a "b"\\n\\u2028'}  # on one line, as everywhere
    assert answer.headers["x-request-id"] == "mine"
