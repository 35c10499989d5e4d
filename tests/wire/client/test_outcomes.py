"""What rows really were: the calls of the client and the command, against a fake server."""

import json
from pathlib import Path

import grpc
import pytest

from batchproof.handles import handle_to_text
from batchproof.v1 import prediction_pb2 as pb
from batchproof_client import (
    AnswerNotFound,
    AsyncClient,
    Client,
    InvalidRequest,
    LocalInputError,
    Outcome,
    OutcomeAlreadyReported,
    ServerFailed,
)
from wire.client.conftest import Run
from wire.client.fake_server import Context, FakeServer, ReportHook, accept


def refuse(code: grpc.StatusCode, text: str) -> ReportHook:
    """A hook that ends the call."""

    def hook(_request: pb.ReportOutcomeRequest, context: Context) -> pb.ReportOutcomeResponse:
        context.abort(code, text)
        raise AssertionError("abort raises")

    return hook


def refuse_row_9(request: pb.ReportOutcomeRequest, context: Context) -> pb.ReportOutcomeResponse:
    """A hook that accepts all but row 9."""
    response = accept(request, context)
    for outcome, result in zip(request.outcomes, response.results, strict=True):
        if outcome.row == 9:
            code = grpc.StatusCode.NOT_FOUND.value[0]
            result.error.CopyFrom(pb.Error(code=code, message=f"never heard of {outcome.row}"))
    return response


def test_an_outcome_is_reported_by_label_or_by_class_index(server: FakeServer) -> None:
    with Client(server.target) as client:
        accepted = client.report_outcome("a", "bag")
        other = client.report_outcome("a", 0, row=3)
    assert (accepted.model, accepted.version, accepted.is_correct) == ("fashion", 3, True)
    assert (accepted.predicted.index, accepted.predicted.label) == (1, "bag")
    assert not other.is_correct
    assert [str(each) for each in server.outcomes] == [
        'request_id: "a"\nlabel: "bag"\n',
        'request_id: "a"\nrow: 3\nclass_index: 0\n',
    ]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.NOT_FOUND, AnswerNotFound),
        (grpc.StatusCode.ALREADY_EXISTS, OutcomeAlreadyReported),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequest),
        (grpc.StatusCode.INTERNAL, ServerFailed),
    ],
)
async def test_a_refused_outcome_raises_what_the_server_said(
    server: FakeServer, code: grpc.StatusCode, error: type[Exception]
) -> None:
    server.report = refuse(code, "because")
    async with AsyncClient(server.target) as client:
        with pytest.raises(error, match="because") as caught:
            await client.report_outcome("a", "bag")
    assert getattr(caught.value, "code", None) is code


async def test_many_outcomes_have_a_result_each_in_their_order(server: FakeServer) -> None:
    server.report = refuse_row_9
    outcomes = [Outcome("a", "bag"), Outcome("a", "bag", row=9), Outcome("b", 0)]
    async with AsyncClient(server.target) as client:
        results = await client.report_outcomes(outcomes)
    assert [each.outcome for each in results] == outcomes
    assert results[0].unwrap().is_correct
    assert not results[2].unwrap().is_correct
    with pytest.raises(AnswerNotFound, match="never heard of 9"):
        results[1].unwrap()
    assert results[1].error is not None
    assert results[1].error.request_id == "a"


async def test_more_than_a_thousand_go_in_several_calls(server: FakeServer) -> None:
    sizes: list[int] = []

    def counting(request: pb.ReportOutcomeRequest, context: Context) -> pb.ReportOutcomeResponse:
        sizes.append(len(request.outcomes))
        return accept(request, context)

    server.report = counting
    outcomes = (Outcome(str(number), "bag") for number in range(2_001))
    async with AsyncClient(server.target) as client:
        results = await client.report_outcomes(outcomes)
    assert sizes == [1_000, 1_000, 1]
    assert [each.outcome.request_id for each in results] == [str(n) for n in range(2_001)]


async def test_the_last_of_many_that_is_sent_alone_and_refused_has_a_result_too(
    server: FakeServer,
) -> None:
    server.report = refuse(grpc.StatusCode.NOT_FOUND, "never heard of it")
    async with AsyncClient(server.target) as client:
        (result,) = await client.report_outcomes([Outcome("a", "bag")])
    assert isinstance(result.error, AnswerNotFound)


async def test_no_outcomes_are_no_call(server: FakeServer) -> None:
    async with AsyncClient(server.target) as client:
        assert await client.report_outcomes([]) == ()
    assert server.outcomes == []


async def test_a_server_that_answers_another_number_of_results_has_failed(
    server: FakeServer,
) -> None:
    server.report = lambda _request, _context: pb.ReportOutcomeResponse()
    async with AsyncClient(server.target) as client:
        with pytest.raises(ServerFailed, match="0 results for 1 outcomes"):
            await client.report_outcome("a", "bag")


@pytest.mark.parametrize("outcome", [Outcome("a", "bag", row=-1), Outcome("a", 2**32)])
async def test_a_number_that_cannot_be_sent_is_refused_here(
    server: FakeServer, outcome: Outcome
) -> None:
    async with AsyncClient(server.target) as client:
        with pytest.raises(LocalInputError, match="expected 0 to 4294967295"):
            await client.report_outcomes([outcome])
    assert server.outcomes == []


def test_the_command_reports_one_outcome(run: Run, server: FakeServer) -> None:
    code, out, err = run("report-outcome", "--request-id", "a", "--label", "bag", "--row", 2)
    assert (code, out, err) == (0, "1 accepted, 1 of them correct; 0 refused\n", "")
    assert server.outcomes[0].row == 2
    assert run("report-outcome", "--request-id", "a", "--class-index", 0)[1].startswith(
        "1 accepted, 0 of"
    )


def test_the_command_reports_a_file_and_says_what_was_refused(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    server.report = refuse_row_9
    file = tmp_path / "outcomes.csv"
    file.write_text('\ufeffrequest_id,row,label\na,0,bag\nb,9,bag\n"c,d",,boot\n')
    code, out, err = run("report-outcome", "--file", file)
    assert (code, out) == (1, "2 accepted, 1 of them correct; 1 refused\n")
    assert err == "batchproof: never heard of 9\n"
    assert [each.request_id for each in server.outcomes] == ["a", "b", "c,d"]
    records = [
        json.loads(line) for line in run("report-outcome", "--file", file, "--json")[1].splitlines()
    ]
    assert records[0] == {
        "request_id": "a",
        "row": 0,
        "model": "fashion",
        "version": 3,
        "predicted": "bag",
        "confidence": 0.75,
        "is_correct": True,
    }
    assert records[1]["kind"] == "AnswerNotFound"


HANDLE, CONTENT = "AQIDBA", b"\1\2\3\4"


def test_an_outcome_is_reported_with_the_handle_of_the_answer(server: FakeServer) -> None:
    with Client(server.target) as client:
        result = client.predict(b"\1", return_probabilities=True)
        assert result.handle == result.only.handle == handle_to_text(b"handle of 1")
        assert client.report_outcome(handle=result.handle, label="bag").is_correct
        client.report_outcomes([Outcome(handle=HANDLE, label=0)])
    assert [str(each) for each in server.outcomes] == [
        'label: "bag"\nhandle: "handle of 1"\n',
        'class_index: 0\nhandle: "\\001\\002\\003\\004"\n',
    ]


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (Outcome(label="bag"), "expected either a handle, or a request id and a row of it"),
        (Outcome("a", "bag", handle=HANDLE), "expected either a handle"),
        (Outcome(label="bag", row=1, handle=HANDLE), "expected either a handle"),
        (Outcome(label="bag", handle="AQIDBA=="), "the handle cannot be read"),
        (Outcome(label="bag", handle="no handle"), "the handle cannot be read"),
    ],
)
def test_what_names_no_row_is_refused_before_it_is_sent(
    server: FakeServer, outcome: Outcome, says: str
) -> None:
    with Client(server.target) as client, pytest.raises(LocalInputError, match=says):
        client.report_outcomes([outcome])
    assert server.outcomes == []


def test_the_command_shows_handles_and_reports_them(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    picture = tmp_path / "bag.png"
    picture.write_bytes(b"\1")
    text = handle_to_text(b"handle of 1")
    assert text in run("predict", "--handles", picture)[1]
    assert text not in run("predict", picture)[1]
    assert json.loads(run("predict", "--json", picture)[1])["handle"] == text
    code, out, err = run("report-outcome", text, "--label", "bag")
    assert (code, out, err) == (0, "1 accepted, 1 of them correct; 0 refused\n", "")
    assert server.outcomes[0].handle == b"handle of 1"
    record = json.loads(run("report-outcome", text, "--label", "bag", "--json")[1])
    assert (record["handle"], record["is_correct"]) == (text, True)


def test_the_command_reports_handles_from_csv_and_from_json_lines(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    table, lines = tmp_path / "outcomes.csv", tmp_path / "outcomes.jsonl"
    table.write_text(f"handle,label\n{HANDLE},bag\n")
    lines.write_text(
        f'{{"handle": "{HANDLE}", "label": "bag"}}\n\n'
        '{"request_id": "a", "row": 2, "class_index": 1}\n'
    )
    assert run("report-outcome", "--file", table)[0] == 0
    assert run("report-outcome", "--file", lines)[0] == 0
    assert [each.handle for each in server.outcomes] == [CONTENT, CONTENT, b""]
    assert (server.outcomes[2].row, server.outcomes[2].class_index) == (2, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]\n", "line 1: is no JSON object"),
        ('{"handle": "AQIDBA", "label": "bag"}\n{"handle"\n', "line 2: is no JSON object"),
        ("[" * 100_000, "line 1: is no JSON object"),
        ('{"handle": "AQIDBA", "label": 1}', 'line 1: "label" is 1, expected a text'),
        ('{"handle": "AQIDBA", "class_index": true}', '"class_index" is true, expected a number'),
        ('{"handle": "AQIDBA", "class_index": -1}', 'class_index is "-1", expected a number'),
        ('{"handle": "AQIDBA", "label": "b", "row": 0}', "expected no row beside it"),
        ('{"handle": "AQIDBA", "request_id": "a"}', "expected either handle or request_id"),
        ('{"handle": "AQIDBA", "score": 0.5}', 'key "score" is unknown'),
        ('{"handle": "AQIDBA"}', "expected either label or class_index"),
        ("\udcff", "cannot be read as JSON lines"),
    ],
)
def test_json_lines_with_a_fault_are_refused_whole_with_the_line(
    run: Run, server: FakeServer, tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "outcomes.jsonl"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    code, out, err = run("report-outcome", "--file", file)
    assert (code, out) == (2, "")
    assert says in err
    assert server.outcomes == []


def test_a_file_may_name_classes_by_index(run: Run, server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "outcomes.csv"
    file.write_text("class_index,request_id\n1,a\n")
    assert run("report-outcome", "--file", file)[0] == 0
    assert server.outcomes[0].class_index == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected the columns handle (or request_id) and label (or class_index, or labels)"),
        (
            "request_id,row\na,1\n",
            "expected the columns handle (or request_id) and label (or class_index, or labels)",
        ),
        ("request_id,label,when\na,b,c\n", 'column "when" is unknown'),
        ("request_id,label\na,b\n,b\n", "line 3: expected either handle or request_id"),
        ("request_id,label\na\n", "line 2: expected either label or class_index"),
        ("request_id,label,class_index\na,b,1\n", "line 2: expected either label or class_index"),
        ("request_id,label,row\na,b,-1\n", 'line 2: row is "-1", expected a number from 0'),
        ("request_id,class_index\na,x\n", 'line 2: class_index is "x", expected a number from 0'),
        ("request_id,label\na,b,c\n", "line 2: has more cells than there are columns"),
        ('request_id,label\n"a,b\n', "cannot be read as CSV"),
        ("request_id,label\na,\udcff\n", "cannot be read as CSV"),
        ("request_id,class_index\na,99999999999\n", "the class index is 99999999999"),
    ],
)
def test_a_file_with_a_fault_is_refused_whole_with_its_line(
    run: Run, server: FakeServer, tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "outcomes.csv"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    code, out, err = run("report-outcome", "--file", file)
    assert (code, out) == (2, "")
    assert says in err
    assert server.outcomes == []


def test_a_missing_file_is_one_sentence(run: Run, tmp_path: Path) -> None:
    code, _, err = run("report-outcome", "--file", tmp_path / "none.csv")
    assert code == 2
    assert "none.csv: cannot be read as CSV" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["a"],
        ["a", "--label", "bag", "--class-index", "1"],
        ["--label", "bag"],
        ["a", "--file", "f"],
        ["--request-id", "a"],
        ["--request-id", "a", "--file", "f"],
        ["AQ", "--request-id", "a", "--label", "bag"],
        ["AQ", "--label", "bag", "--row", "1"],
        ["--file", "f", "--row", "1"],
    ],
)
def test_what_to_report_must_be_said_once(run: Run, argv: list[str]) -> None:
    code, _, err = run("report-outcome", *argv)
    assert code == 2
    assert "expected" in err
