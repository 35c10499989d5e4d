"""Why pictures get their answers: the call of the client and the command, against a fake server."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from batchproof.tensors import from_proto
from batchproof_client import Client, InvalidRequest, Question
from wire.client.conftest import Run
from wire.client.fake_server import FakeServer


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Three pictures, of which the server refuses one."""
    (tmp_path / "a.png").write_bytes(b"one")
    (tmp_path / "b.png").write_bytes(b"another")
    (tmp_path / "c.png").write_bytes(b"refused")
    return tmp_path


def test_the_client_sends_what_it_is_given_and_reads_what_comes(
    server: FakeServer, shots: Path
) -> None:
    tensor = np.arange(4, dtype=np.float32).reshape(2, 2)
    with Client(server.target) as client:
        found = client.diagnose(
            Question(shots / "a.png", model="shoes:2", label=3, tensor=tensor, scores=np.ones(3))
        )
    (sent,) = server.diagnosed
    assert (sent.image, sent.name, sent.label) == (b"one", str(shots / "a.png"), "3")
    assert (sent.model.name, sent.model.version) == ("shoes", 2)
    assert np.array_equal(from_proto(sent.tensor), tensor)
    assert from_proto(sent.scores).tolist() == [1.0, 1.0, 1.0]
    assert (found.answer, found.verdict) == ("boot", "likely cause: x / 255")
    assert [each.cause for each in found.causes] == ["scaling:unit"]
    assert found.page == ""


def test_what_is_no_path_has_the_name_that_it_is_given_or_none(server: FakeServer) -> None:
    with Client(server.target) as client:
        client.diagnose(Question(io.BytesIO(b"one")))
        client.diagnose(Question(io.BytesIO(b"one"), name="first"))
    assert [(sent.image, sent.name) for sent in server.diagnosed] == [
        (b"one", ""),
        (b"one", "first"),
    ]


def test_a_refused_picture_raises(server: FakeServer) -> None:
    with Client(server.target) as client, pytest.raises(InvalidRequest, match="no picture"):
        client.diagnose(Question(b"refused"))


def test_one_picture_is_told_in_full_and_its_page_written(run: Run, shots: Path) -> None:
    code, said, _ = run("diagnose", shots / "a.png", "--html", shots / "why.html")
    assert code == 0
    assert said.splitlines() == [f"{shots / 'a.png'}: boot (50.0%)", "  verdict: nothing unusual"]
    assert (shots / "why.html").read_text() == "<!doctype html>"


def test_a_folder_has_a_line_for_each_and_what_they_have_in_common(run: Run, shots: Path) -> None:
    code, said, errors = run("diagnose", shots)
    assert code == 1
    assert said.splitlines()[-2:] == [
        "2 pictures: nothing unusual with 2",
        "  1 x could not be diagnosed",
    ]
    assert f"{shots / 'c.png'}: " in errors


def test_the_callers_own_files_are_sent(run: Run, shots: Path, server: FakeServer) -> None:
    np.save(shots / "mine.npy", np.zeros((1, 2), np.float32))
    (shots / "mine.json").write_text("[0.25, 0.75]")
    options = ("--tensor", shots / "mine.npy", "--scores", shots / "mine.json", "--label", "boot")
    code, said, _ = run("diagnose", shots / "a.png", "--json", *options)
    assert code == 0
    assert json.loads(said) == {"format": 1}
    (sent,) = server.diagnosed
    assert from_proto(sent.scores).tolist() == [0.25, 0.75]
    assert list(sent.tensor.shape) == [1, 2]


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.npy", b"nothing"), ("x.json", b"{"), ("x.json", b'["a"]'), ("missing.npy", None)],
    ids=["no npy", "no json", "no numbers", "missing"],
)
def test_a_file_that_holds_no_numbers_is_a_fault_of_the_command(
    run: Run, shots: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (shots / name).write_bytes(content)
    code, _, errors = run("diagnose", shots / "a.png", "--scores", shots / name)
    assert code == 2
    assert "--scores: " in errors


def test_what_is_of_one_picture_is_refused_for_several(run: Run, shots: Path) -> None:
    code, _, errors = run("diagnose", shots, "--html", shots / "why.html")
    assert code == 2
    assert "--html is of one picture, and there are 3" in errors
