"""compose.yaml is three members of one cluster, whom Prometheus and Grafana find."""

import json
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from roost.member.cluster.roster import cluster_id_of, member_id_of
from roost.member.settings import member_config, peer_secrets
from roost.settings import Settings
from tests.deploy.configured import DEPLOY, configured, port_of
from tests.deploy.containerfile import stages, texts, variables

PATH = DEPLOY / "compose.yaml"
CONTENT: dict[str, Any] = yaml.safe_load(PATH.read_text())
SERVICES: dict[str, dict[str, Any]] = CONTENT["services"]
MEMBERS = [name for name, it in SERVICES.items() if "ROOST_NAME" in it.get("environment", {})]
FINAL = stages(DEPLOY / "Containerfile")[-1]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """What the service `secret` makes, by its own command."""
    made = SERVICES["secret"]
    for _ in range(2):  # as when all is started again
        subprocess.run([*made["entrypoint"], *made["command"]], cwd=tmp_path, check=True)
    return tmp_path / "peer.secret"


def settings_of_member(name: str, secret: Path) -> Settings:
    image = {key: it for key, it in variables(FINAL).items() if key.startswith("ROOST_")}
    return configured({**image, **SERVICES[name]["environment"]}, secret)


def test_its_members_are_those_of_one_cluster(secret: Path) -> None:
    every = {name: settings_of_member(name, secret) for name in MEMBERS}
    assert len(every) == 3
    ids, clusters = set(), set()
    for name, settings in every.items():
        config = member_config(settings)
        assert set(config.initial_cluster) == set(MEMBERS)
        assert (
            config.initial_cluster[name] == config.advertise_peer_urls == (f"http://{name}:2380",)
        )
        assert config.advertise_client_urls == (f"http://{name}:2379",)
        assert port_of(config.advertise_peer_urls[0]) == port_of(config.listen_peer_urls[0])
        token = config.initial_cluster_token
        ids.add(member_id_of(config.advertise_peer_urls, token))
        others = [member_id_of(it, token) for it in config.initial_cluster.values()]
        clusters.add(cluster_id_of(others))
    assert (len(ids), len(clusters)) == (3, 1)


def test_the_secret_is_made_once_and_is_one(secret: Path, tmp_path: Path) -> None:
    before = secret.read_bytes()
    assert len(before) > 40
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    made = SERVICES["secret"]
    subprocess.run([*made["entrypoint"], *made["command"]], cwd=tmp_path, check=True)
    assert secret.read_bytes() == before
    assert peer_secrets(Settings(peer_secret_file=str(secret))) != peer_secrets(Settings())


def mounts(name: str) -> dict[str, str]:
    """Where volumes and folders are mounted, and which."""
    pairs = [it.split(":") for it in SERVICES[name]["volumes"]]
    return {it[1]: it[0] for it in pairs}


@pytest.mark.parametrize("name", MEMBERS)
def test_what_a_member_keeps_and_reads_is_on_volumes(name: str, secret: Path) -> None:
    settings, held = settings_of_member(name, secret), mounts(name)
    [volume] = texts(FINAL, "VOLUME")
    assert held[volume] == name, "no two members share one"
    assert settings.directory.parent == Path(volume)
    folder = Path(settings.peer_secret_file).parent
    assert held[str(folder)] == mounts("secret")[volume]
    assert SERVICES[name]["depends_on"]["secret"]["condition"] == "service_completed_successfully"
    assert SERVICES[name]["read_only"]


def test_volumes_and_files_that_are_named_are_there() -> None:
    for name, service in SERVICES.items():
        for source in mounts(name).values() if "volumes" in service else ():
            if source.startswith("."):
                assert (DEPLOY / source).is_dir(), source
            else:
                assert source in CONTENT["volumes"]
        if "build" in service:
            assert (DEPLOY / service["build"]["context"] / "deploy/Containerfile").exists()


def test_ports_of_the_machine_are_loopback_only_and_lead_to_what_is_listened_on(
    secret: Path,
) -> None:
    seen = set()
    for name, service in SERVICES.items():
        for text in service.get("ports", ()):
            host, outside, inside = text.split(":")
            assert host == "127.0.0.1"
            assert outside not in seen
            seen.add(outside)
            if name in MEMBERS:
                [url] = settings_of_member(name, secret).listen_client_urls
                assert port_of(url) == int(inside)


def test_prometheus_asks_each_member_where_its_metrics_are(secret: Path) -> None:
    held = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    [job] = held["scrape_configs"]
    targets = [it for group in job["static_configs"] for it in group["targets"]]
    listens = {it: settings_of_member(it, secret).listen_metrics_urls for it in MEMBERS}
    assert sorted(targets) == [f"{it}:{port_of(urls[0])}" for it, urls in sorted(listens.items())]
    for name in held["rule_files"]:
        assert (DEPLOY / "prometheus" / name).exists()


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    places = mounts("grafana")
    folder = DEPLOY / places["/etc/grafana/provisioning"]
    [source] = yaml.safe_load((folder / "datasources" / "roost.yaml").read_text())["datasources"]
    host, port = source["url"].removeprefix("http://").split(":")
    assert host in SERVICES
    assert any(it.endswith(f":{port}") for it in SERVICES[host]["ports"])
    [provider] = yaml.safe_load((folder / "dashboards" / "roost.yaml").read_text())["providers"]
    boards = DEPLOY / places[provider["options"]["path"]]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    board = json.loads((boards / Path(home).name).read_text())
    assert {it["datasource"]["uid"] for it in board["panels"] if "datasource" in it} == {
        source["uid"]
    }


def test_docker_compose_reads_it() -> None:
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run(
            [docker, "compose", "version"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("docker compose is not installed")
    done = subprocess.run(
        [docker, "compose", "-f", PATH, "config", "--quiet"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
