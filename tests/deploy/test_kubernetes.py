"""The manifest is three members of one cluster, with probes that say what they should.

No Kubernetes is asked: its own variables are put in as a kubelet does, and members are started.
"""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from roost.member.cluster.roster import member_id_of
from roost.member.settings import member_config
from roost.settings import Settings
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports
from tests.deploy.configured import DEPLOY, configured, port_of
from tests.deploy.containerfile import stages, texts, variables

PATH = DEPLOY / "kubernetes" / "roost.yaml"
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(PATH.read_text()))
FINAL = stages(DEPLOY / "Containerfile")[-1]


def one(kind: str, name: str = "roost") -> dict[str, Any]:
    [found] = [it for it in OBJECTS if (it["kind"], it["metadata"]["name"]) == (kind, name)]
    return found


SET = one("StatefulSet")["spec"]
POD = SET["template"]["spec"]
[CONTAINER] = POD["containers"]
# Loopback is nobody's proxy's.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def environment(ordinal: int) -> dict[str, str]:
    """What a kubelet gives to a pod's container: names of fields, and $(NAME) of earlier ones."""
    found: dict[str, str] = {}
    for it in CONTAINER["env"]:
        if "valueFrom" in it:
            assert it["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
            found[it["name"]] = f"roost-{ordinal}"
        else:
            value = re.sub(r"\$\((\w+)\)", lambda named: found[named[1]], it["value"])
            found[it["name"]] = value
    return found


def settings_of_pod(ordinal: int, secret: Path) -> Settings:
    image = {key: it for key, it in variables(FINAL).items() if key.startswith("ROOST_")}
    return configured({**image, **environment(ordinal)}, secret)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "peer.secret"
    path.write_text("a secret of more than thirty-two characters\n")
    path.chmod(0o440)  # as `defaultMode` and the pod's group make it
    return path


def test_its_members_are_those_of_one_cluster_by_stable_names(secret: Path) -> None:
    service = one("Service", SET["serviceName"])
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"], "they find each other before they serve"
    ids = set()
    for ordinal in range(SET["replicas"]):
        config = member_config(settings_of_pod(ordinal, secret))
        assert config.name == f"roost-{ordinal}"
        host = f"{config.name}.{SET['serviceName']}"
        assert config.advertise_peer_urls == (f"http://{host}:2380",)
        assert config.advertise_client_urls == (f"http://{host}:2379",)
        assert config.initial_cluster[config.name] == config.advertise_peer_urls
        assert len(config.initial_cluster) == SET["replicas"]
        ids.add(member_id_of(config.advertise_peer_urls, config.initial_cluster_token))
    assert len(ids) == SET["replicas"]


def test_what_begins_like_a_setting_comes_from_the_manifest_alone() -> None:
    """The service named roost would come as ROOST_PORT, of which each start would warn."""
    assert POD["enableServiceLinks"] is False


def test_ports_have_the_names_by_which_they_are_asked_for(secret: Path) -> None:
    named = {it["name"]: it["containerPort"] for it in CONTAINER["ports"]}
    settings = settings_of_pod(0, secret)
    assert named == {
        "client": port_of(settings.listen_client_urls[0]),
        "peer": port_of(settings.listen_peer_urls[0]),
        "metrics": port_of(settings.listen_metrics_urls[0]),
    }
    assert {CONTAINER[it]["httpGet"]["port"] for it in PROBES} <= named.keys()
    for it in OBJECTS:
        if it["kind"] == "Service":
            assert all(named[port["targetPort"]] == port["port"] for port in it["spec"]["ports"])
    rules = one("NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for rule in rules for port in rule["ports"]} == named.keys()
    for rule in rules:
        if {"port": "peer"} in rule["ports"]:
            assert rule["from"] == [{"podSelector": one("NetworkPolicy")["spec"]["podSelector"]}]
    assert SET["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(named["metrics"])


def test_whoever_selects_pods_selects_these() -> None:
    labels = SET["template"]["metadata"]["labels"]
    selectors = [
        SET["selector"]["matchLabels"],
        one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(it["spec"]["selector"] for it in OBJECTS if it["kind"] == "Service"),
    ]
    affinity = POD["affinity"]["podAntiAffinity"]
    for it in affinity["requiredDuringSchedulingIgnoredDuringExecution"]:
        assert it["topologyKey"] == "kubernetes.io/hostname"
        selectors.append(it["labelSelector"]["matchLabels"])
    assert len(selectors) == 6
    assert all(it.items() <= labels.items() for it in selectors)


def test_a_majority_stays_when_pods_are_moved_and_all_start_together() -> None:
    away = one("PodDisruptionBudget")["spec"]["maxUnavailable"]
    assert SET["replicas"] - away > SET["replicas"] / 2
    assert SET["podManagementPolicy"] == "Parallel", "the first is ready when a majority runs"


def test_it_runs_as_the_image_does_and_without_rights(secret: Path) -> None:
    [user] = texts(FINAL, "USER")
    context = POD["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
    assert context["runAsNonRoot"] and context["fsGroup"] == context["runAsGroup"]
    assert context["fsGroupChangePolicy"] == "OnRootMismatch", "else data are opened to the group"
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert CONTAINER["resources"]["limits"].keys() == {"memory"}
    settings = settings_of_pod(0, secret)
    mounts = {it["mountPath"]: it["name"] for it in CONTAINER["volumeMounts"]}
    [claim] = SET["volumeClaimTemplates"]
    # One below where the volume is: that folder is root's, and open to the group.
    assert mounts[str(settings.directory.parent)] == claim["metadata"]["name"]
    assert texts(FINAL, "VOLUME") == [str(settings.directory.parent)]
    file = Path(settings.peer_secret_file)
    [held] = [it["secret"] for it in POD["volumes"] if it["name"] == mounts[str(file.parent)]]
    assert (held["secretName"], held["defaultMode"]) == ("roost-peer", 0o440)
    how_to = f"kubectl create secret generic {held['secretName']} --from-literal={file.name}="
    assert how_to in PATH.read_text()


@dataclass(frozen=True, slots=True)
class Pod:
    """A member that runs as in a pod, with ports of its own."""

    ports: dict[str, int]

    def probe(self, name: str) -> int:
        """What a kubelet would be answered; 0 when nobody listens."""
        asked = CONTAINER[name]["httpGet"]
        url = f"http://127.0.0.1:{self.ports[asked['port']]}{asked['path']}"
        try:
            with DIRECTLY.open(url, timeout=PATIENCE_S) as said:
                return int(said.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0


@contextmanager
def pods(folder: Path, secret: Path, count: int) -> Iterator[list[Pod]]:
    """The first of the pods, on loopback: hosts, ports, the volume and the secret are put in."""
    ports = free_ports(9)
    every = [dict(zip(("client", "peer", "metrics"), ports[it::3], strict=True)) for it in range(3)]

    def placed(text: str, own: dict[str, int]) -> str:
        for ordinal, held in enumerate(every):
            host = f"roost-{ordinal}.{SET['serviceName']}"
            text = text.replace(f"{host}:2379", f"127.0.0.1:{held['client']}")
            text = text.replace(f"{host}:2380", f"127.0.0.1:{held['peer']}")
        for number, name in ((2379, "client"), (2380, "peer"), (2381, "metrics")):
            text = text.replace(f"0.0.0.0:{number}", f"127.0.0.1:{own[name]}")
        return text

    running: list[subprocess.Popen[bytes]] = []
    try:
        for ordinal, own in enumerate(every[:count]):
            given = {name: placed(it, own) for name, it in environment(ordinal).items()}
            given["ROOST_DATA_DIR"] = str(folder / f"volume-{ordinal}" / "data")
            given["ROOST_PEER_SECRET_FILE"] = str(secret)
            (folder / f"volume-{ordinal}").mkdir()
            command = [sys.executable, "-m", "roost", *CONTAINER["args"]]
            with (folder / f"log-{ordinal}").open("wb") as log:
                running.append(
                    subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **given})
                )
        yield [Pod(it) for it in every[:count]]
    finally:
        for process in running:
            process.terminate()
        assert {it.wait(PATIENCE_S) for it in running} == {0}


@pytest.mark.slow
@pytest.mark.cluster
def test_probes_call_a_member_alive_that_has_no_majority_and_ready_when_it_has(
    tmp_path: Path, secret: Path
) -> None:
    with pods(tmp_path, secret, 1) as [alone]:
        wait_until(lambda: alone.probe("startupProbe") == 200, 60)
        assert alone.probe("livenessProbe") == 200, "no restart would bring a majority"
        assert alone.probe("readinessProbe") == 503
    (tmp_path / "three").mkdir()
    with pods(tmp_path / "three", secret, 3) as every:
        wait_until(lambda: all(it.probe("readinessProbe") == 200 for it in every), 60)
        assert {it.probe("livenessProbe") for it in every} == {200}
    assert "no setting" not in (tmp_path / "three" / "log-0").read_text()
