"""``certify`` in this process, on exact arithmetic: exit codes and what is printed."""

import io
import json
from pathlib import Path

import pytest

from batchproof_server.__main__ import main
from batchproof_server.commands.report import report
from batchproof_server.commands.terminal import ProgressLine
from batchproof_server.proof.certificate.certificate import RepairRecord
from batchproof_server.proof.examination import Examined
from batchproof_server.proof.settings import Progress
from support.bundles_on_disk import LOGITS, PICTURES, write_bundle
from support.proof_backends import Bench, Good, Mixing, OddOne, UnevenTwo, candidate

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "digits" / "3", LOGITS)


def test_a_proven_bundle_exits_0_with_a_short_report(bundle: Path, capsys: Captured) -> None:
    assert main(["certify", str(bundle)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("digits version 3: PROVEN, strict\n")
    assert "  repairs       none\n" in said.out
    assert "2, 4: the same bits, served" in said.out
    assert said.err == ""
    assert not (bundle / "certificate.json").exists()


def test_json_is_the_certificate_and_write_keeps_it(bundle: Path, capsys: Captured) -> None:
    assert main(["certify", str(bundle), "--json", "--write", "--consistency", "tolerant"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["subject"]["consistency"] == "tolerant"
    assert json.loads((bundle / "certificate.json").read_text()) == document


def test_a_bundle_that_cannot_be_loaded_exits_1_with_its_findings(
    bundle: Path, capsys: Captured
) -> None:
    (bundle / "affine.json").write_text("{}")
    assert main(["certify", str(bundle)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("digits version 3: REFUSED")
    assert all(line.startswith("  affine.json: ") for line in said[1:])
    assert main(["certify", str(bundle), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "refused"
    assert len(document["findings"]) == len(said) - 1


def test_several_versions_no_bundle_and_wrong_settings_exit_2(
    tmp_path: Path, bundle: Path, capsys: Captured
) -> None:
    write_bundle(bundle.parent / "4")
    settings = tmp_path / "settings.toml"
    settings.write_text("[proof]\nconsistency = 'loose'\n")
    for arguments, said in (
        ([str(tmp_path / "digits")], "digits/3, digits/4"),
        ([str(tmp_path / "absent")], "no such directory"),
        ([str(bundle), "--config", str(settings)], 'unknown "loose"'),
        ([str(bundle), "--engine", "tensorflow"], "expected numpy"),
    ):
        assert main(["certify", *arguments]) == 2
        captured = capsys.readouterr()
        assert said in captured.err
        assert captured.out == ""


def test_the_engine_of_the_artefact_may_be_named(bundle: Path, capsys: Captured) -> None:
    assert main(["certify", str(bundle), "--engine", "numpy"]) == 0
    assert "numpy" in capsys.readouterr().out


def test_a_bundle_that_cannot_be_written_exits_2(bundle: Path, capsys: Captured) -> None:
    (bundle / "certificate.json").mkdir()
    assert main(["certify", str(bundle), "--write"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_an_artefact_without_modes_has_nothing_to_repair(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "out"
    assert main(["repair", str(bundle), "-o", str(out)]) == 1
    assert "nothing to repair" in capsys.readouterr().err
    assert not out.exists()


def test_repair_of_nothing_exits_2(tmp_path: Path, capsys: Captured) -> None:
    assert main(["repair", str(tmp_path / "absent"), "-o", str(tmp_path / "out")]) == 2
    assert "no such directory" in capsys.readouterr().err


def test_the_bundles_own_certificate_and_the_directory_are_not_believed(
    bundle: Path, tmp_path: Path, capsys: Captured
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(f"[proof]\ncertificate_directory = '{tmp_path / 'kept'}'\n")
    (bundle / "certificate.json").write_text("{}")
    assert main(["certify", str(bundle), "--config", str(settings)]) == 0
    assert "PROVEN" in capsys.readouterr().out
    assert not (tmp_path / "kept").exists()


def test_the_report_shows_classes_repairs_and_findings() -> None:
    repaired = Examined(OddOne(), (), (RepairRecord("BP101", "norm", "mended"),))
    lone = report(Bench().prove(candidate(OddOne(), buckets_rows=(1, 2, 4), examined=repaired)))
    assert "1: the same bits, not served" in lone
    assert "2, 4: the same bits, served" in lone
    assert "greatest difference between classes: " in lone
    assert "norm: mended" in lone
    assert "note  BP508 buckets" in lone
    uneven = report(Bench().prove(candidate(UnevenTwo())))
    assert "4, 8: the same bits, served" in uneven
    assert "2: left out, see the findings" in uneven
    assert "fail  BP501 bucket 2" in report(Bench().prove(candidate(Mixing())))
    assert "recipe        cd" in report(Bench().prove(candidate(Good())))


def test_progress_is_one_line_on_a_terminal_and_nothing_elsewhere() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, said in ((Terminal(), "digits version 3: probing 1/2"), (io.StringIO(), "")):
        line = ProgressLine(stream)
        line(Progress("digits", 3, "probing", 1, 2))
        line(Progress("digits", 3, "probing", 2, 2))
        assert said in stream.getvalue()
        assert "\n" not in stream.getvalue()


def test_a_recipe_is_part_of_the_certificate(tmp_path: Path, capsys: Captured) -> None:
    pictures = write_bundle(tmp_path / "pictures" / "1", PICTURES, shape=(2, 2, 3))
    assert main(["certify", str(pictures), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["subject"]["recipe_digest"]) == 64
