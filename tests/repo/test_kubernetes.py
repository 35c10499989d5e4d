"""The manifests of deploy/kubernetes fit the schemas, the server and each other."""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchproof_server.application.config import Config, read_config
from repo.checkout import ROOT, project_table, run
from repo.manifests import KUBERNETES, NEWEST, OLDEST, Manifest, faults, read, rendered, the

OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
SERVING = [name for name in OVERLAYS if name != "trial"]
RUNTIME = read("kserve/serving-runtime.yaml")
# Server.drain waits this long for answers on their way, after the grace.
LAST_ANSWERS_S = 5.0

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
every_large_overlay = pytest.mark.parametrize("overlay", SERVING)


@cache
def _rendered(overlay: str) -> list[Manifest]:
    return rendered(overlay)


def _pod(overlay: str) -> Manifest:
    pod: Manifest = the(_rendered(overlay), "Deployment")["spec"]["template"]["spec"]
    return pod


def _container(pod: Manifest) -> Manifest:
    (container,) = pod["containers"]
    return dict(container)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@every_overlay
def test_every_manifest_fits_the_schema_of_its_kind(overlay: str, version: str) -> None:
    assert [fault for each in _rendered(overlay) for fault in faults(each, version)] == []


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_serving_runtime_fits_the_schema_of_a_pod(version: str) -> None:
    assert list(faults(RUNTIME, version)) == []


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("spec", "replica"), 3),
        ("Deployment", ("spec", "template", "spec", "terminationGracePeriodSeconds"), "60s"),
        ("Deployment", ("spec", "template", "spec", "containers", 0, "readynessProbe"), {}),
        ("Deployment", ("spec", "template", "spec", "containers", 0, "resources", "cpu"), "2"),
        ("PodDisruptionBudget", ("spec", "maxUnavailible"), 1),
        ("HorizontalPodAutoscaler", ("spec", "maxReplicas"), None),
        ("NetworkPolicy", ("spec", "ingres"), []),
        ("Service", ("spec", "ports"), {"port": 8500}),
        ("ServiceMonitor", ("spec", "endpoint"), []),
        ("ServiceMonitor", ("spec", "endpoints", 0, "interval"), "15 s"),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "expression"), "up"),
        ("PrometheusRule", ("spec", "groups", 0, "name"), 5),
    ],
)
def test_a_planted_mistake_is_refused(kind: str, path: tuple[str | int, ...], value: Any) -> None:
    name = "batchproof-serving" if kind == "PrometheusRule" else "batchproof"
    broken = _with(the(_rendered("production"), kind, name), path, value)

    assert list(faults(broken))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "modelFormats"), []),
        (("spec", "supportedModelFormats"), []),
        (("spec", "containers", 0, "livenesProbe"), {}),
        (("spec", "containers", 0, "ports", 0, "containerPort"), "grpc"),
    ],
)
def test_a_mistake_in_the_serving_runtime_is_refused(
    path: tuple[str | int, ...], value: Any
) -> None:
    assert list(faults(_with(RUNTIME, path, value)))


@every_large_overlay
def test_what_is_for_production_has_every_part(overlay: str) -> None:
    kinds = {each["kind"] for each in _rendered(overlay)}

    assert kinds >= {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PrometheusRule",
        "Service",
        "ServiceMonitor",
    }


def test_a_trial_needs_nothing_that_a_bare_cluster_does_not_have() -> None:
    versions = {each["apiVersion"] for each in _rendered("trial")}

    assert versions == {"v1", "apps/v1", "policy/v1", "networking.k8s.io/v1"}


def test_every_component_is_in_an_overlay() -> None:
    used = {
        Path(component).name
        for overlay in OVERLAYS
        for component in read(f"overlays/{overlay}/kustomization.yaml")["components"]
    }

    assert used == {path.name for path in (KUBERNETES / "components").iterdir()}


@every_overlay
def test_the_server_takes_the_settings_of_the_pod(overlay: str, tmp_path: Path) -> None:
    config = _config(overlay, tmp_path)
    ports = {port["name"]: port["containerPort"] for port in _container(_pod(overlay))["ports"]}

    assert config.server.host == "0.0.0.0"  # noqa: S104 - a container's own network
    assert ports == {"grpc": config.server.grpc_port, "operations": config.server.http_port}
    assert (config.rpc.tls is not None) == (overlay in SERVING)


@every_overlay
def test_a_pod_has_the_time_to_answer_all_that_it_accepted(overlay: str, tmp_path: Path) -> None:
    config, pod = _config(overlay, tmp_path), _pod(overlay)
    readiness = _container(pod)["readinessProbe"]
    unready_s = readiness["periodSeconds"] * readiness["failureThreshold"]
    server = config.server
    longest_s = server.lame_duck_s + server.leaving_s + server.grace_s + LAST_ANSWERS_S

    assert server.leaving_s
    assert config.server.lame_duck_s > unready_s + readiness["timeoutSeconds"]
    assert longest_s < pod["terminationGracePeriodSeconds"]


def test_a_pod_of_kserve_has_the_time_that_kubernetes_gives_by_default() -> None:
    values = {each["name"]: each["value"] for each in RUNTIME["spec"]["containers"][0]["env"]}
    lame_duck_s, grace_s = (
        float(values[f"BATCHPROOF_SERVER__{name}_S"]) for name in ("LAME_DUCK", "GRACE")
    )

    assert lame_duck_s + grace_s + LAST_ANSWERS_S < 30


@every_overlay
def test_an_engine_starts_as_many_threads_as_the_pod_has_cores(
    overlay: str, tmp_path: Path
) -> None:
    requests = _container(_pod(overlay))["resources"]["requests"]

    assert str(_config(overlay, tmp_path).engine.intra_op_threads) == requests["cpu"]


def test_the_probes_tell_alive_from_ready() -> None:
    for container in (_container(_pod("production")), RUNTIME["spec"]["containers"][0]):
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("source", [*OVERLAYS, "kserve"])
def test_the_container_is_locked_down(source: str) -> None:
    spec = RUNTIME["spec"] if source == "kserve" else _pod(source)
    container = _container(spec)
    lock = {**spec.get("securityContext", {}), **container["securityContext"]}
    user, _ = re.findall(r"^USER (\d+):(\d+)$", _dockerfile(), re.MULTILINE)[0]

    assert lock["readOnlyRootFilesystem"]
    assert lock["runAsNonRoot"]
    assert lock["runAsUser"] == int(user)
    assert not lock["allowPrivilegeEscalation"]
    assert lock["capabilities"] == {"drop": ["ALL"]}
    assert (
        container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    )
    assert [
        each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")
    ] == [
        "/tmp"  # noqa: S108 - HOME of the image
    ]


@every_overlay
def test_a_pod_has_neither_a_token_nor_the_variables_of_services(overlay: str) -> None:
    assert not _pod(overlay)["automountServiceAccountToken"]
    assert not _pod(overlay)["enableServiceLinks"]


@every_overlay
def test_every_mount_has_its_volume(overlay: str) -> None:
    pod = _pod(overlay)
    mounts = {each["name"]: each["mountPath"] for each in _container(pod)["volumeMounts"]}
    paths = [each["value"] for each in _container(pod).get("env", []) if "/" in each["value"]]

    assert mounts.keys() == {each["name"] for each in pod["volumes"]}
    assert [path for path in paths if str(Path(path).parent) not in mounts.values()] == []


@every_overlay
def test_services_budget_and_policy_are_about_the_pods(overlay: str) -> None:
    manifests = _rendered(overlay)
    labels = the(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        the(manifests, "Deployment")["spec"]["selector"]["matchLabels"],
        the(manifests, "Service")["spec"]["selector"],
        the(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the(manifests, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]

    assert all(selector and selector.items() <= labels.items() for selector in selectors)
    assert the(manifests, "Service")["spec"]["clusterIP"] == "None"


@every_overlay
def test_the_policy_asks_one_label_of_clients(overlay: str) -> None:
    policy = the(_rendered(overlay), "NetworkPolicy")["spec"]
    clients, prometheus = policy["ingress"]

    assert clients["from"] == [{"podSelector": {"matchLabels": {"batchproof/client": "true"}}}]
    assert [clients["ports"], prometheus["ports"]] == [[{"port": "grpc"}], [{"port": "operations"}]]
    assert policy["egress"] == []


@every_overlay
def test_the_image_is_that_of_this_version(overlay: str) -> None:
    version = project_table()["project"]["version"]

    assert _container(_pod(overlay))["image"] == f"registry.example.com/batchproof:{version}"
    assert RUNTIME["spec"]["containers"][0]["image"].endswith(f":{version}")


@every_large_overlay
def test_the_autoscaler_alone_says_how_many_pods_there_are(overlay: str) -> None:
    manifests = _rendered(overlay)
    scaler = the(manifests, "HorizontalPodAutoscaler")["spec"]
    budget = the(manifests, "PodDisruptionBudget")["spec"]

    assert "replicas" not in the(manifests, "Deployment")["spec"]
    assert 0 < budget["maxUnavailable"] < scaler["minReplicas"] < scaler["maxReplicas"]


def test_the_metrics_of_the_autoscaler_are_those_that_the_adapter_gives() -> None:
    scaler = the(_rendered("production"), "HorizontalPodAutoscaler")["spec"]
    asked = {each["pods"]["metric"]["name"] for each in scaler["metrics"]}

    assert asked == {rule["name"]["as"] for rule in _adapter_rules()}


def test_the_adapter_makes_its_metrics_of_what_the_server_exports(tmp_path: Path) -> None:
    """Two pods: one executes half of the time and lets requests wait for 0.2 s, one is idle."""
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(_as_recording_rules()))
    (tmp_path / "test.yml").write_text(yaml.safe_dump(_two_pods()))

    assert "SUCCESS" in run(["promtool", "test", "rules", tmp_path / "test.yml"]).stdout


def test_the_adapter_asks_for_metrics_that_exist() -> None:
    exported = re.findall(r"^\| `(\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    queries = "".join(rule["seriesQuery"] + rule["metricsQuery"] for rule in _adapter_rules())
    families = {name.rpartition("_")[0] for name in re.findall(r"batchproof_\w+", queries)}

    assert len(families) == 2
    assert families <= set(exported)


@every_large_overlay
def test_prometheus_finds_the_metrics_of_every_pod(overlay: str) -> None:
    manifests = _rendered(overlay)
    monitor, service = the(manifests, "ServiceMonitor"), the(manifests, "Service")
    (endpoint,) = monitor["spec"]["endpoints"]
    wanted = monitor["spec"]["selector"]["matchLabels"]

    # The job has the name of the service, by which the alert ServerDown knows the servers.
    assert service["metadata"]["name"].startswith("batchproof")
    assert wanted
    assert wanted.items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


@every_large_overlay
def test_the_operator_gets_the_rules_that_prometheus_gets(overlay: str) -> None:
    resources = [each for each in _rendered(overlay) if each["kind"] == "PrometheusRule"]
    prometheus = ROOT / "deploy" / "prometheus"
    configured = yaml.safe_load((prometheus / "prometheus.yml").read_text())["rule_files"]
    files = [prometheus / name for name in configured if name != "drift-demo.yml"]

    assert sorted(_groups(each["spec"] for each in resources)) == sorted(
        _groups(yaml.safe_load(file.read_text()) for file in files)
    )


@every_large_overlay
def test_grafana_gets_the_dashboards_of_the_repository(overlay: str) -> None:
    dashboards = {
        name: text
        for each in _rendered(overlay)
        if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
        for name, text in each["data"].items()
    }
    files = (ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")

    assert dashboards == {file.name: file.read_text() for file in files}


def test_the_example_of_an_inference_service_is_for_the_runtime() -> None:
    model = read("kserve/inference-service.yaml")["spec"]["predictor"]["model"]
    formats = [each["name"] for each in RUNTIME["spec"]["supportedModelFormats"]]

    assert model["runtime"] == RUNTIME["metadata"]["name"]
    assert model["modelFormat"]["name"] in formats
    assert model["protocolVersion"] in RUNTIME["spec"]["protocolVersions"]


def _with(manifest: Manifest, path: tuple[str | int, ...], value: Any) -> Manifest:
    """A copy with another value at ``path``; None takes away what is there."""
    changed = copy.deepcopy(manifest)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


def _config(overlay: str, folder: Path) -> Config:
    """What the server reads in the pod."""
    settings = the(_rendered(overlay), "ConfigMap", "batchproof-settings")["data"]
    file = folder / "batchproof.toml"
    file.write_text(settings["batchproof.toml"])
    variables = {each["name"]: each["value"] for each in _container(_pod(overlay)).get("env", [])}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        return read_config(file, {})


def _dockerfile() -> str:
    return (ROOT / "server" / "Dockerfile").read_text()


def _groups(files: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    """As text, whatever the lengths of white space: kustomize breaks folded lines once more."""
    texts = (json.dumps(group, sort_keys=True) for file in files for group in file["groups"])
    return (re.sub(r"(\\n|\s)+", " ", text) for text in texts)


def _adapter_rules() -> list[Manifest]:
    rules: list[Manifest] = read("components/autoscaling/prometheus-adapter.yaml")["rules"]
    return rules


def _as_recording_rules() -> Manifest:
    """As the adapter asks Prometheus, for the pods of a namespace."""
    filled = {"<<.GroupBy>>": "pod", "<<.LabelMatchers>>": 'namespace="batchproof"'}
    rules = []
    for rule in _adapter_rules():
        query = rule["metricsQuery"]
        for placeholder, text in filled.items():
            query = query.replace(placeholder, text)
        rules.append({"record": rule["name"]["as"], "expr": query})
    return {"groups": [{"name": "adapter", "rules": rules}]}


def _two_pods() -> Manifest:
    series = {
        "batchproof_execution_seconds_sum": ("0+30x10", "0+0x10"),
        "batchproof_queue_delay_seconds_sum": ("0+120x10", "0+0x10"),
        "batchproof_queue_delay_seconds_count": ("0+600x10", "0+0x10"),
    }
    expected = {
        "batchproof_device_utilisation": (0.5, 0),
        "batchproof_queue_delay_mean_seconds": (0.2, 0),
    }
    return {
        "rule_files": ["rules.yml"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": f'{name}{{namespace="batchproof",pod="{pod}"}}', "values": values}
                    for name, both in series.items()
                    for pod, values in zip(("busy", "idle"), both, strict=True)
                ],
                "promql_expr_test": [
                    {
                        "expr": name,
                        "eval_time": "10m",
                        "exp_samples": [
                            {"labels": f'{name}{{pod="{pod}"}}', "value": value}
                            for pod, value in zip(("busy", "idle"), both, strict=True)
                        ],
                    }
                    for name, both in expected.items()
                ],
            }
        ],
    }
