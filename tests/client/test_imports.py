"""A program that only talks to a cluster does not carry the server."""

import subprocess
import sys

import pytest

import roost
import roost.aio
import roost.client
import roost.client.aio

ASK = """
import sys
{line}
print("\\n".join(sorted(sys.modules)))
"""
OF_THE_SERVER = {"lmdb", "bcrypt", "msgspec", "click", "uvicorn", "starlette", "cryptography"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    ["import roost.client", "from roost import Client", "import roost.aio; roost.aio.Client"],
)
def test_the_client_loads_nothing_of_the_server(line: str) -> None:
    asked = [sys.executable, "-c", ASK.format(line=line)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    ours = {it for it in loaded if it.split(".")[0] == "roost"}
    rooms = {it.split(".")[1] for it in ours if "." in it}
    assert rooms - {"aio"} == {"client", "errors", "faces", "lazy", "proto", "tasks"}
    assert not OF_THE_SERVER & set(loaded)


def test_the_first_names_are_those_of_the_rooms() -> None:
    assert roost.Client is roost.client.Client
    assert roost.aio.Client is roost.client.aio.Client
    with pytest.raises(AttributeError, match="module 'roost' has no attribute 'Klient'"):
        roost.Klient  # type: ignore[attr-defined]  # noqa: B018 - it is not there
