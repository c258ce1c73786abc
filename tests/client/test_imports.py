"""A program that only talks to a cluster does not carry the server."""

import subprocess
import sys

import pytest

ASK = """
import sys
import roost.client
print("\\n".join(sorted(sys.modules)))
"""


@pytest.mark.slow
def test_the_client_loads_nothing_of_the_server() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    ours = {it for it in loaded if it.split(".")[0] == "roost"}
    rooms = {it.split(".")[1] for it in ours if "." in it}
    assert rooms == {"client", "errors", "proto"}
    assert not {"lmdb", "bcrypt", "msgspec", "click", "uvicorn", "starlette"} & set(loaded)
