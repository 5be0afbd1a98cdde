"""The containers, as far as that goes without building them; the entrypoint really runs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
BIN = Path(sys.executable).parent
OURS = ("mlflow", "ray-head", "ray-worker", "worker", "board")
RAY = ("ray-head", "ray-worker", "worker")


def tool(name):
    found = shutil.which(name, path=f"{BIN}:{BIN.parent}") or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: pip install 'fuseboard[dev]'")
    return found


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def manifests():
    return [
        pytest.param(told, id=f"{told['kind']}-{told['metadata']['name']}")
        for name in ("cluster.yaml", "jobs.yaml")
        for told in yaml.safe_load_all((DOCKER / "kuberay" / name).read_text())
    ]


def pinned(name):
    return re.search(rf"^{re.escape(name)}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)[1]


def test_hadolint_has_nothing_to_say():
    done = subprocess.run([tool("hadolint"), str(DOCKER / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", ["compose.yaml", "compose.cuda.yaml"])
def test_compose_keeps_to_its_specification(name):
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(DOCKER / name)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_service_has_a_health_check_and_no_root(compose):
    assert set(compose["services"]) == {"postgres", *OURS}
    for name, service in compose["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["user"].split(":")[0] not in ("root", "0", ""), name
        assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"], name
        for other in service.get("depends_on", {}):
            assert service["depends_on"][other] == {"condition": "service_healthy"} and other in compose["services"]


def test_secrets_are_files_and_nothing_else_holds_one(compose):
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
    for service in compose["services"].values():
        told = service["environment"]
        assert not [name for name in told if "PASSWORD" in name and not name.endswith("_FILE")]
        places = [value for name, value in told.items() if name.endswith("_FILE")]
        assert places and {Path(place).name for place in places} <= set(service["secrets"])


def test_every_ray_process_has_mode_and_token(compose):
    for name in RAY:
        told = compose["services"][name]["environment"]
        assert (told["RAY_AUTH_MODE"], told["RAY_AUTH_TOKEN_FILE"]) == ("token", "/run/secrets/ray_token")


def test_what_lasts_is_in_named_volumes_and_ports_are_of_this_host(compose):
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0] if not volume.startswith("${") else None
            assert source is None or source.startswith("./") or source in compose["volumes"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_commands_are_those_of_the_program(compose):
    from typer.main import get_command

    from runners.cli import app

    text = (DOCKER / "compose.yaml").read_text() + (DOCKER / "kuberay" / "jobs.yaml").read_text()
    named = set(re.findall(r"fuseboard (\w+) ", text)) | {compose["services"]["board"]["command"][1]}
    assert {"run", "worker", "serve"} <= named <= set(get_command(app).commands)


def test_versions_are_those_of_the_constraints():
    torch = re.findall(r"torch==(\S+)", (DOCKER / "Dockerfile").read_text())
    assert len(torch) == 2 and set(torch) == {pinned("torch")}
    cluster = (DOCKER / "kuberay" / "cluster.yaml").read_text()
    assert re.findall(r'rayVersion: "(\S+)"', cluster) == [pinned("ray")]


@pytest.mark.parametrize("told", manifests())
def test_manifests_are_of_kinds_and_versions_that_are_served(told):
    served = {"RayCluster": "ray.io/v1", "RayJob": "ray.io/v1", "CronJob": "batch/v1", "PersistentVolumeClaim": "v1"}
    assert told["apiVersion"] == served[told["kind"]]
    if told["kind"] == "RayJob":
        assert told["spec"]["clusterSelector"] == {"ray.io/cluster": "fuseboard"}


def pods(told):
    """Every pod template below a manifest."""
    if isinstance(told, dict):
        if "containers" in told:
            yield told
        for value in told.values():
            yield from pods(value)
    elif isinstance(told, list):
        for value in told:
            yield from pods(value)


@pytest.mark.parametrize("told", manifests())
def test_pods_have_limits_and_no_root(told):
    found = list(pods(told))
    assert bool(found) == (told["kind"] in ("RayCluster", "CronJob"))
    for pod in found:
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert container["image"] in ("fuseboard:cpu", "fuseboard:cuda")
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys() & container["resources"][
                "requests"
            ].keys()
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            variables = {entry["name"]: entry for entry in container["env"]}
            secret = variables["FUSEBOARD_DATABASE_URL"]["valueFrom"]["secretKeyRef"]
            assert secret == {"name": "fuseboard", "key": "database-url"}
            if told["kind"] == "RayCluster":
                assert variables["RAY_AUTH_MODE"]["value"] == "token"
                assert variables["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]["key"] == "ray-token"


def test_a_group_that_begins_empty_has_an_autoscaler():
    _, told = yaml.safe_load_all((DOCKER / "kuberay" / "cluster.yaml").read_text())
    spec = told["spec"]
    gpu = next(group for group in spec["workerGroupSpecs"] if group["groupName"] == "gpu")
    assert gpu["replicas"] == gpu["minReplicas"] == 0 < gpu["maxReplicas"] and spec["enableInTreeAutoscaling"] is True
    named = {entry["name"] for entry in spec["autoscalerOptions"]["env"]}
    assert named == {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}
    assert spec["autoscalerOptions"]["securityContext"]["allowPrivilegeEscalation"] is False
    asks = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    assert [pod["template"]["spec"]["automountServiceAccountToken"] for pod in asks] == [True, False, False]


def enter(*command, **variables):
    path = f"{BIN}:/usr/local/bin:/usr/bin:/bin"
    told = ["sh", str(DOCKER / "entrypoint.sh"), *command]
    return subprocess.run(told, capture_output=True, text=True, env={"PATH": path, **variables})


def test_the_entrypoint_makes_addresses_of_secret_files(tmp_path):
    (tmp_path / "password").write_text("p@ss/w:rd %\n")
    (tmp_path / "token").write_text("a-token\n")
    done = enter("env", DATABASE_PASSWORD_FILE=str(tmp_path / "password"), RAY_AUTH_TOKEN_FILE=str(tmp_path / "token"))
    told = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert told["FUSEBOARD_DATABASE_URL"] == "postgresql://fuseboard:p%40ss%2Fw%3Ard%20%25@postgres:5432/fuseboard"
    assert told["MLFLOW_BACKEND_STORE_URI"].startswith("postgresql+psycopg://fuseboard:p%40ss")
    assert (told["RAY_AUTH_MODE"], told["RAY_AUTH_TOKEN"]) == ("token", "a-token")


def test_the_entrypoint_names_a_secret_that_it_cannot_read(tmp_path):
    done = enter("true", RAY_AUTH_TOKEN_FILE=str(tmp_path / "absent"))
    assert done.returncode == 1 and f"{tmp_path}/absent cannot be read by user" in done.stderr


def test_the_entrypoint_hands_over_the_command_and_its_exit_code():
    assert enter("sh", "-c", "exit 7").returncode == 7
