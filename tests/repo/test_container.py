"""The image and the compose file, as far as they can be checked without an engine."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from repo.checkout import BIN, ROOT, project_table, run
from repo.dockerfile import Replay, Step, stages

DOCKERFILE = ROOT / "server" / "Dockerfile"
DRAIN_GRACE_S = 30


@pytest.fixture(scope="module")
def build_and_final() -> tuple[list[Step], list[Step]]:
    build, final = stages(DOCKERFILE.read_text())
    return build, final


@pytest.mark.parametrize("extra", ["cpu", "openvino"])
def test_the_steps_of_the_dockerfile_install_a_server_that_starts(
    tmp_path: Path, build_and_final: tuple[list[Step], list[Step]], extra: str
) -> None:
    build, final = build_and_final
    image = Replay(tmp_path, {"EXTRA": extra})
    environment = {
        **_environment(image, final),
        "HOME": str(tmp_path),
        "KERAS_HOME": str(tmp_path / "keras"),
    }

    image.build(build)
    shown = image.run([*_only(final, "ENTRYPOINT").command, "--help"], environment, tmp_path)
    checked = image.run(["batchproof", "status", "--help"], environment, tmp_path)

    assert "serve" in shown
    assert "status" in checked
    installed = {path.name for path in tmp_path.glob("opt/batchproof/lib/*/site-packages/*")}
    assert "openvino" in installed
    assert ("tensorflow" in installed) == (extra == "cpu")


def test_the_final_stage_runs_nothing_and_takes_only_the_environment(
    build_and_final: tuple[list[Step], list[Step]],
) -> None:
    _, final = build_and_final

    assert [step.rest for step in final if step.word in ("RUN", "COPY", "ADD")] == [
        "--from=build /opt/batchproof /opt/batchproof"
    ]


def test_the_image_does_not_run_as_root(build_and_final: tuple[list[Step], list[Step]]) -> None:
    user, group = _only(build_and_final[1], "USER").rest.split(":")

    assert int(user) > 0
    assert int(group) > 0


def test_the_base_is_pinned_and_the_same_in_both_stages(
    build_and_final: tuple[list[Step], list[Step]],
) -> None:
    bases = {_only(stage, "FROM").rest.split()[0] for stage in build_and_final}

    (base,) = bases
    assert re.fullmatch(r"python:3\.1[123]\.\d+-slim-bookworm(@sha256:[0-9a-f]{64})?", base)


def test_every_package_of_the_image_is_installed_by_hash(
    build_and_final: tuple[list[Step], list[Step]],
) -> None:
    installs = [
        command
        for step in build_and_final[0]
        if step.word == "RUN"
        for command in step.rest.split("&&")
        if "pip install" in command
    ]

    assert len(installs) == 3
    assert [c for c in installs if "--require-hashes" not in c and "--no-deps" not in c] == []


def test_the_image_names_its_ports_its_health_and_its_command(
    build_and_final: tuple[list[Step], list[Step]],
) -> None:
    _, final = build_and_final

    assert _only(final, "EXPOSE").rest == "8500 8080 8501"
    program, code = _only(final, "HEALTHCHECK").command[1:]
    assert (program, "http://127.0.0.1:8080/readyz" in code) == ("-c", True)
    assert _only(final, "ENTRYPOINT").command == ["batchproof-server"]
    assert _only(final, "CMD").command == ["serve", "/models", "--host", "0.0.0.0"]  # noqa: S104 - a container's own network


def test_hadolint_finds_nothing() -> None:
    assert run([BIN / "hadolint", DOCKERFILE]).stdout == ""


def test_the_build_context_holds_every_file_that_is_copied(
    build_and_final: tuple[list[Step], list[Step]],
) -> None:
    kept = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for step in build_and_final[0]
        if step.word == "COPY"
        for source in step.rest.split()[:-1]
    }

    assert kept == copied


def test_compose_accepts_the_file_and_locks_the_server_down() -> None:
    run([*_compose(), "config", "--quiet"])
    text = (ROOT / "docker-compose.yml").read_text()

    assert "read_only: true" in text
    assert "no-new-privileges:true" in text
    assert re.search(r"cap_drop:\n\s+- ALL\n", text)
    assert re.search(r"tmpfs:\n\s+- /tmp\n", text)
    assert "./examples/fashion_mnist/models:/models:ro" in text


def test_compose_refuses_a_key_that_does_not_exist(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text("services:\n  server:\n    image: batchproof\n    reed_only: true\n")

    refused = run([*_compose(), "--file", broken, "config"], expected=None)

    assert refused.returncode != 0
    assert "reed_only" in refused.stderr


def test_every_service_of_compose_has_limits_and_no_capabilities() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

    for service in services.values():
        assert {"cpus", "mem_limit", "pids_limit"} <= service.keys()
        assert service["cap_drop"] == ["ALL"]
    threads = services["server"]["environment"]["BATCHPROOF_ENGINE__INTRA_OP_THREADS"]
    assert float(threads) == services["server"]["cpus"]


def test_the_image_and_compose_ask_for_health_in_the_same_way(
    build_and_final: tuple[list[Step], list[Step]],
) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

    assert services["server"]["healthcheck"]["test"] == [
        "CMD",
        *_only(build_and_final[1], "HEALTHCHECK").command,
    ]


def test_compose_waits_longer_than_the_server_drains() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    (grace_s,) = re.findall(r"stop_grace_period: (\d+)s", text)

    assert int(grace_s) > DRAIN_GRACE_S


def test_every_image_of_others_is_pinned_to_a_version() -> None:
    images = re.findall(r"image: (\S+)", (ROOT / "docker-compose.yml").read_text())
    others = [image for image in images if image != "batchproof"]

    assert len(others) == 3
    assert all(re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", image) for image in others)


def test_every_folder_and_file_that_compose_mounts_is_in_the_repository() -> None:
    mounts = re.findall(r"- (\./\S+?):(\S+):ro", (ROOT / "docker-compose.yml").read_text())

    assert len(mounts) == 7
    assert [source for source, _ in mounts if not (ROOT / source).exists()] == []


def test_grafana_finds_its_dashboards_and_its_data_source() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (path,) = re.findall(r"path: (\S+)", (provisioning / "dashboards/batchproof.yml").read_text())
    (url,) = re.findall(r"url: (\S+)", (provisioning / "datasources/prometheus.yml").read_text())
    (home,) = re.findall(r"HOME_DASHBOARD_PATH: (\S+)", compose)

    assert f"./deploy/grafana/dashboards:{path}:ro" in compose
    assert (ROOT / "deploy/grafana/dashboards" / Path(home).relative_to(path)).exists()
    assert url == "http://prometheus:9090"
    assert "\n  prometheus:\n" in compose


def test_grafana_takes_rates_over_the_interval_of_the_scrapes() -> None:
    scraped = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
    source = (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text()

    assert re.findall(r"scrape_interval: (\S+)", scraped) == re.findall(
        r"timeInterval: (\S+)", source
    )


def test_the_model_that_compose_mounts_is_in_the_repository() -> None:
    assert list((ROOT / "examples" / "fashion_mnist" / "models").glob("*/*/batchproof.toml"))


def test_the_image_runs_a_python_that_the_project_supports(
    build_and_final: tuple[list[Step], list[Step]],
) -> None:
    base = _only(build_and_final[1], "FROM").rest
    (version,) = re.findall(r"python:(3\.\d+)\.", base)
    supported = json.dumps(project_table()["project"]["classifiers"])

    assert f"Python :: {version}" in supported


def _only(steps: list[Step], word: str) -> Step:
    (step,) = (step for step in steps if step.word == word)
    return step


def _environment(image: Replay, steps: list[Step]) -> dict[str, str]:
    return image.variables(_only(steps, "ENV"))


def _compose() -> list[str]:
    return ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
