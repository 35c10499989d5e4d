"""``certify`` and ``--allow-unproven`` in a process of their own."""

import json
import shutil
from pathlib import Path

import pytest

from support.keys import write_keys
from system.bundles import EMBEDDED, write_affine, write_image_model
from system.process import PROVES_ANEW, own_lines, run, started


@pytest.mark.parametrize("command", ["certify", "repair"])
def test_help_says_what_the_exit_codes_mean_and_wrong_usage_exits_2(command: str) -> None:
    assert "BUNDLE" in run(command, "--help").stdout
    assert run(command).returncode == 2
    assert run(command, ".", "--engine", "steam").returncode == 2


def test_a_pipeline_gets_0_and_the_certificate_or_1_and_the_findings(tmp_path: Path) -> None:
    good = write_image_model(tmp_path / "pictures" / "1")
    ended = run("certify", good, "--json")
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["verdict"] == "proven"
    assert ended.stderr == ""
    bad = write_affine(tmp_path / "bad" / "1", manifest="format = 99\n")
    ended = run("certify", bad, "--json")
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["verdict"] == "refused"


def test_two_versions_are_wrong_usage(tmp_path: Path) -> None:
    write_affine(tmp_path / "exact" / "1")
    write_affine(tmp_path / "exact" / "2")
    ended = run("certify", tmp_path / "exact")
    assert ended.returncode == 2
    (line,) = own_lines(ended)
    assert "exact/1, exact/2" in line


def test_the_same_bundle_has_the_same_certificate_in_another_process(tmp_path: Path) -> None:
    version = tmp_path / "fashion-mnist" / "1"
    shutil.copytree(EMBEDDED / "fashion-mnist" / "1", version)
    first, second = (run("certify", version, "--json") for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0)
    one, other = json.loads(first.stdout), json.loads(second.stdout)
    assert one["digest"] == other["digest"]
    assert one["verdict"] == "proven"
    assert 32 in one["measured"]["served_buckets_rows"]


def test_a_fleet_proves_once_and_serves_what_its_key_signed(tmp_path: Path) -> None:
    version = write_image_model(tmp_path / "models" / "pictures" / "1")
    private, public = write_keys(tmp_path)
    ended = run("certify", version, "--sign", private)
    assert ended.returncode == 0
    assert "signed by" in ended.stdout
    settings = tmp_path / "server.toml"
    for trusted, steps in (
        ([str(public)], ["certificate reused"]),
        ([], ["certificate ignored", "probing", "comparing roundings"]),
    ):
        settings.write_text(f"[proof]\ntrusted_keys = {json.dumps(trusted)}\n")
        flags = ("--config", str(settings))
        with started(tmp_path / "models", *flags, variables=PROVES_ANEW) as server:
            server.wait_serving()
            told = [each["step"] for each in server.records("proof")]
        assert list(dict.fromkeys(told)) == steps


def test_a_file_that_is_no_key_is_wrong_usage(tmp_path: Path) -> None:
    version = write_affine(tmp_path / "exact" / "1")
    (tmp_path / "no.key").write_text("no key")
    ended = run("certify", version, "--sign", tmp_path / "no.key")
    assert ended.returncode == 2
    (line,) = own_lines(ended)
    assert "no private key in PEM" in line
    settings = tmp_path / "server.toml"
    settings.write_text('[proof]\ntrusted_keys = ["no.key"]\n')
    ended = run("certify", version, "--config", settings)
    assert ended.returncode == 2
    (line,) = own_lines(ended)
    assert "proof.trusted_keys: no.key: cannot be read" in line


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_model_that_makes_no_progress_has_failed_and_nobody_waits_for_its_thread(
    tmp_path: Path, options: list[str]
) -> None:
    version = write_affine(tmp_path / "exact" / "1")
    settings = tmp_path / "settings.toml"
    settings.write_text("[execution]\nmax_load_step_s = 0.000001\n")
    ended = run("certify", version, "--config", settings, *options)
    assert ended.returncode == 1
    says = json.loads(ended.stdout)["findings"][0] if options else ended.stdout
    assert "no progress within 1e-06 s" in says
    assert "failed" in ended.stdout.lower()
