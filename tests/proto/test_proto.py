"""The schemas live beside any other package's of the same names, and are what was generated."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import roost
from roost.proto.generate import SCHEMAS, generate

SOURCE = Path(roost.__file__).parent / "proto"
# What `etcd3`, `aetcd` and their like bring: the same names in the pool of the process, with
# files of the same names, and messages that differ from ours.
OTHERS = """
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

def others():
    pool = descriptor_pool.Default()
    for name, package, message, field in (
        ("kv.proto", "mvccpb", "KeyValue", "key"),
        ("roost/proto/kv.proto", "mvccpb.again", "KeyValue", "key"),
        ("auth.proto", "authpb", "Permission", "key"),
        ("rpc.proto", "etcdserverpb", "PutRequest", "another"),
    ):
        file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
        file.message_type.add(name=message).field.add(name=field, number=9, type=12, label=1)
        pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("etcdserverpb.PutRequest"))
"""
BOTH = {
    "theirs first": "theirs = others()\nfrom roost.proto import rpc_pb2",
    "ours first": "from roost.proto import rpc_pb2\ntheirs = others()",
}
CHECK = """
import roost.client
from roost.proto import election_pb2, lock_pb2
assert theirs(another=b"1").SerializeToString() == b"J\\x011"
assert rpc_pb2.PutRequest(key=b"1").SerializeToString() == b"\\n\\x011"
assert theirs.DESCRIPTOR.file.pool is not rpc_pb2.DESCRIPTOR.pool
"""


def run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["upb", "python"])
@pytest.mark.parametrize("order", BOTH)
def test_another_packages_messages_of_the_same_names_live_beside_ours(
    order: str, engine: str
) -> None:
    run(OTHERS + BOTH[order] + CHECK, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=engine)


@pytest.mark.slow
def test_the_generated_code_is_what_the_schemas_say(tmp_path: Path) -> None:
    generate(tmp_path)
    for name in SCHEMAS:
        for file in (f"{name}_pb2.py", f"{name}_pb2.pyi"):
            made = (tmp_path / "roost/proto" / file).read_text()
            assert made == (SOURCE / file).read_text(), file
