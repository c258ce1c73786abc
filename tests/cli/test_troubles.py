"""What goes wrong between a command and a cluster is one line: what it means, and what to do."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from roost.cli.main import main
from roost.cli.troubles import trouble_of
from roost.client import ClientError
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S
from roost.testing.ports import free_ports
from tests.cli import commands
from tests.integration.certificates import Authority, Pair

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


class Secure(Cluster):
    """A member with a port in the clear and one by TLS that wants certificates."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, 1)
        self.authority = Authority(root)
        self.server = self.authority.sign("server")
        self.stranger = Authority(root, "stranger").sign("mallory")
        self.secure_port = free_ports(1)[0]

    def flags(self, position: int) -> list[str]:
        urls = f"http://{self.endpoints[0]},https://127.0.0.1:{self.secure_port}"
        return [
            *super().flags(position),
            f"--listen-client-urls={urls}",
            f"--cert-file={self.server.certificate}",
            f"--key-file={self.server.key}",
            f"--trusted-ca-file={self.authority.path}",
            "--client-cert-auth",
        ]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    with Secure(tmp_path_factory.mktemp("troubles")) as started:
        started.leader()
        yield started


def fail(code: int, *arguments: object) -> str:
    """The one line that a command ends with."""
    done = commands.run(*map(str, arguments))
    said = done.stderr.decode()
    assert done.returncode == code, (done.stdout, said)
    *usage, line = said.splitlines()
    assert all("Usage: " in it or "Try '" in it or not it for it in usage), said
    for words in ("UNAVAILABLE", "INVALID_ARGUMENT", "rpc error", "SSL_ERROR", "Traceback"):
        assert words not in line
    return line.removeprefix("Error: ")


def pair_of(pair: Pair) -> list[object]:
    return ["--cert", pair.certificate, "--key", pair.key]


def test_endpoints_that_are_none() -> None:
    for endpoint, words in (
        ("", "no endpoint is given"),
        ("127.0.0.1", "has no port"),
        ("127.0.0.1:x", "say host:port"),
        ("ftp://127.0.0.1:1", "another scheme"),
    ):
        assert words in fail(2, "get", "k", "--endpoints", endpoint)


def test_numbers_that_no_request_can_carry_are_refused() -> None:
    """They were a traceback of protobuf's; a test of the options keeps new ones out."""
    large = str(1 << 63)
    for words in (
        ("get", "k", "--rev", large), ("get", "k", "--limit", f"-{large}0"), ("compact", large),
        ("watch", "k", "--rev", large), ("hashkv", "--rev", large), ("lease", "grant", large),
        ("lock", "l", "--ttl", large), ("elect", "e", "v", "--ttl", large),
    ):  # fmt: skip
        assert "64 bits" in fail(2, *words)
    for words in (("lease", "revoke", "8" + "0" * 15), ("put", "k", "v", "--lease", "f" * 17)):
        assert "is no id" in fail(2, *words)
    assert "more than 64 bits" in fail(2, "member", "remove", "1" + "0" * 16)


def client_options_of(group: click.Group) -> Iterator[click.Parameter]:
    """All options and arguments of commands that ask a cluster."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from client_options_of(command)
        elif any(it.name == "endpoints" for it in command.params):
            yield from command.params


def test_every_number_of_a_client_has_a_bound() -> None:
    numbers = [
        it for it in client_options_of(main) if isinstance(it.type, click.types.IntParamType)
    ]
    assert len(numbers) > 5
    assert [it.name for it in numbers if it.type is click.INT] == []


def test_endpoints_that_do_not_answer() -> None:
    refused = f"127.0.0.1:{free_ports(1)[0]}"
    text = fail(4, "get", "k", "--endpoints", refused)
    assert text == f"nobody listens on {refused}: is the member running there?"
    text = fail(4, "get", "k", "--endpoints", "no-such-host.invalid:1")
    assert text == "there is no host of the name in no-such-host.invalid:1"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
        text = fail(4, "get", "k", "--endpoints", endpoint, "--timeout", "1")
        assert text.startswith("no answer in time")
    assert "unix" not in fail(4, "get", "k", "--endpoints", "unix:///no/such/socket")


def test_a_port_of_members_and_a_lock_that_is_taken_are_told_apart_from_silence(
    cluster: Secure,
) -> None:
    at = ["--endpoints", cluster.endpoints[0]]
    peers = cluster.peer_url(0).removeprefix("http://")
    assert "ask where clients are" in fail(4, "get", "k", "--endpoints", peers)
    with subprocess.Popen(
        [sys.executable, "-m", "roost.cli", "lock", "taken", *at], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().startswith(b"taken/")
        said = fail(4, "lock", "taken", "--wait=0.5", *at, "--", "true")
        holder.terminate()
    assert said == "it was somebody else's turn for 0.5 s"


def test_what_cannot_be_written_or_read_is_said_without_a_number(
    cluster: Secure, tmp_path: Path
) -> None:
    at = ["--endpoints", cluster.endpoints[0]]
    assert CliRunner().invoke(main, ["put", "k", "v", *at]).exit_code == 0
    for words in (["get", "k"], ["get", "k", "--prefix", "-w", "json"], ["status"]):
        done = subprocess.run(
            f"{sys.executable} -m roost.cli {' '.join([*words, *at])} >/dev/full",
            shell=True, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (74, "Error: No space left on device\n")
    missing = tmp_path / "missing"
    text = f"{missing}: No such file or directory"
    assert fail(2, "snapshot", "status", missing) == text
    assert fail(2, "snapshot", "restore", missing, "--data-dir", tmp_path / "d") == text
    text = f"the directory {missing} is not there: make it first, or name another"
    assert fail(2, "snapshot", "save", missing / "f", *at) == text
    assert fail(2, "lock", "l", *at, "--", "no-such") == (
        "COMMAND cannot be run: no-such: No such file or directory"
    )


def test_the_wrong_scheme(cluster: Secure) -> None:
    plain, secure = cluster.endpoints[0], f"127.0.0.1:{cluster.secure_port}"
    assert "if it speaks TLS, write https://" in fail(4, "get", "k", "--endpoints", secure)
    text = fail(4, "get", "k", "--endpoints", f"https://{plain}")
    words = "speaks no TLS: write http://, without --cacert and --cert (ROOST_CACERT, ROOST_CERT)"
    assert text == f"{plain} {words}"


def test_certificates_that_do_not_fit(cluster: Secure) -> None:
    endpoint = ["get", "k", "--endpoints", f"https://127.0.0.1:{cluster.secure_port}"]
    ca = ["--cacert", cluster.authority.path]
    own = pair_of(cluster.server)
    assert "name its file with --cacert" in fail(4, *endpoint)
    other = ["--cacert", cluster.root / "stranger.pem"]
    assert "name its file with --cacert" in fail(4, *endpoint, *other, *own)
    assert "--cert and --key" in fail(4, *endpoint, *ca)
    assert "--cert and --key" in fail(4, *endpoint, *ca, *pair_of(cluster.stranger))


def test_files_that_cannot_be_used(cluster: Secure, tmp_path: Path) -> None:
    nonsense, missing = tmp_path / "nonsense", tmp_path / "missing"
    nonsense.write_text("no certificate")
    endpoint = ["get", "k", "--endpoints", f"https://127.0.0.1:{cluster.secure_port}"]
    good = cluster.server
    for options, words in (
        (["--cert", good.certificate], f"{good.certificate}: .*where is its key"),
        (["--cert", good.certificate, "--key", cluster.stranger.key], "is not the key of"),
        (["--key", good.key], "a key without a certificate"),
        (["--cacert", missing], f"{missing}: "),
        (["--cacert", nonsense], f"{nonsense}: "),
    ):
        with pytest.raises(AssertionError, match=words):
            raise AssertionError(fail(2, *endpoint, *options))


def test_who_asks(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        at = ["--endpoints", cluster.endpoints[0]]
        runner = CliRunner()
        for words in (
            ["user", "add", "root", "--password=p"],
            ["role", "add", "root"],
            ["user", "grant-role", "root", "root"],
            ["user", "add", "al:q"],
            ["auth", "enable"],
        ):
            assert runner.invoke(main, [*words, *at]).exit_code == 0
        assert fail(3, "get", "k", *at) == "the cluster wants to know who asks: --user NAME"
        assert "--user NAME" in fail(3, "watch", "k", *at)
        said = fail(3, "migrate", cluster.endpoints[0], *at, "--user", "root:p")
        assert said.endswith("--source-user NAME")
        doctor = runner.invoke(main, ["doctor", *at])
        assert doctor.exit_code == 1
        assert "do: ask as a user with the role root: --user NAME" in doctor.output
        assert "password is wrong" in fail(3, "get", "k", *at, "--user", "root:x")
        assert "no role that may" in fail(3, "get", "k", *at, "--user", "al:q")
        assert "--user NAME:PASSWORD" in fail(2, "get", "k", *at, "--user", "root")
        assert "with --password, or" in fail(2, "user", "add", "bo", *at, "--user", "root:p")


def test_examples_in_help_pages_keep_their_lines() -> None:
    shown = CliRunner().invoke(main, ["member", "add", "--help"]).output
    assert "\n  Example:\n      roost member add m4 --peer-urls http://10.0.0.4:2380\n" in shown
    assert "\\b" not in shown
    page = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
    assert "\\b" not in page.read_text()


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", "no answer in time"),
        ("DEADLINE_EXCEEDED", "", "no answer in time"),
        ("UNAVAILABLE", "Stream removed (Deadline Exceeded)", "no answer in time"),
        ("DEADLINE_EXCEEDED", "it was somebody else's turn for 1 s", "somebody else's turn"),
    ],
)
def test_what_was_waited_for_is_said(code: str, text: str, words: str) -> None:
    trouble = trouble_of(ClientError(code, text), speaks_tls=False)
    assert words in trouble.text
    assert trouble.code == 4


def test_gRPC_keeps_its_words_to_itself() -> None:  # noqa: N802 - its name
    assert os.environ["GRPC_VERBOSITY"] == "NONE"


@pytest.mark.parametrize(
    ("text", "step"),
    [
        (
            "etcdserver: too many requests",
            "wait for answers: docs/how-to/alarms.md#too-many-requests",
        ),
        (
            "etcdserver: too little memory is left: cgroup memory.max",
            "a larger limit: docs/how-to/alarms.md#memory-is-short",
        ),
        ("etcdserver: the transaction looks at too many keys", "by pages"),
        ("etcdserver: too many watchers", "--max-watchers"),
        ("etcdserver: too many leases", "--max-leases"),
    ],
)
def test_what_a_member_has_no_room_for_comes_with_the_next_step(text: str, step: str) -> None:
    said = trouble_of(ClientError("RESOURCE_EXHAUSTED", text), speaks_tls=False)
    assert said.text.startswith(f"{text}: ")
    assert step in said.text


def test_refusals_of_etcd_come_with_the_next_step(cluster: Secure) -> None:
    at = ["--endpoints", cluster.endpoints[0]]
    for words, step in (
        (["member", "add", "x", "--peer-urls", "10.0.0.1:2380"], "write http://host:port"),
        (["member", "add", "x", "--peer-urls", cluster.peer_url(0)], "`roost member list`"),
        (["member", "remove", "1234"], "`roost member list`"),
        (["member", "lead", "1234"], "`roost member list`"),
        (["lease", "revoke", "1234"], "`roost lease list`"),
        (["user", "get", "nobody"], "`roost user list`"),
        (["role", "get", "none"], "`roost role list`"),
        (["auth", "enable"], "`roost user add root`"),
        (["get", "k", "--rev", "999999"], "`roost status`"),
    ):
        assert step in fail(3, *words, *at), words
