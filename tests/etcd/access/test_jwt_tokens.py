"""JWT: somebody until users or roles change, and nobody who was not signed for."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from roost import etcd
from roost.errors import Refused
from roost.etcd.access.jwt_tokens import BadTokenOptions, jwt_options
from roost.outcome import Outcome
from roost.proto import rpc_pb2 as pb
from tests.etcd.guarded import BAD_TOKEN, DENIED, NOBODY, World


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("keys")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, public = root / "private.pem", root / "public.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


@pytest.fixture
def jwt_world(keys: tuple[Path, Path]) -> Iterator[World]:
    private, public = keys
    options = {"sign-method": "RS256", "priv-key": str(private), "pub-key": str(public)}
    made = World(etcd.AuthOptions(jwt=jwt_options(options, lambda _: 60.0)))
    yield made
    made.replica.close()


def _issued(world: World, user: str) -> str:
    """A token that a member made for a user."""
    said: list[Outcome] = []
    world.services._tokens.issue(user, b"", said.append)
    [token] = said
    assert isinstance(token, bytes), token
    return token.decode()


def test_a_jwt_is_somebody_until_users_or_roles_change(jwt_world: World) -> None:
    jwt_world.tokens["signed"] = _issued(jwt_world, "reader")
    read = pb.RangeRequest(key=b"r")
    assert isinstance(jwt_world.call("/etcdserverpb.KV/Range", read, "signed"), bytes)
    assert jwt_world.call("/etcdserverpb.KV/Range", pb.RangeRequest(key=b"q"), "signed") == DENIED
    jwt_world.run_as_root("etcd.role_add", pb.AuthRoleAddRequest(name="more"))
    old = (3, "etcdserver: revision of auth store is old")
    assert jwt_world.call("/etcdserverpb.KV/Range", read, "signed") == old


# JSON of any library but Go's holds these.
NO_NUMBERS: tuple[object, ...] = (
    float("nan"),
    float("inf"),
    -float("inf"),
    -1,
    1e30,
    [1],
    {},
    "1e3",
    False,
)


def test_a_jwt_that_is_not_ours_is_refused(jwt_world: World, keys: tuple[Path, Path]) -> None:
    """CVE-2025-30204 and older: other algorithms, other keys, other claims, other types."""
    private, public = (it.read_text() for it in keys)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = int(time.time())
    good = {"username": "root", "revision": 99, "exp": now + 60}
    header = {"alg": "HS256", "typ": "JWT"}
    encode = msgspec.json.encode
    import base64
    import hashlib
    import hmac

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    # The public key as the secret of an HS algorithm, by hand: the library refuses to make it.
    signed = f"{part(encode(header))}.{part(encode(good))}"
    confused = hmac.new(public.encode(), signed.encode(), hashlib.sha256).digest()
    bad = [
        f"{signed}.{part(confused)}",
        jwt.encode(good, "", algorithm="none"),
        jwt.encode(good, other, algorithm="RS256"),
        jwt.encode(good, private, algorithm="RS512"),
        jwt.encode({**good, "exp": now - 3600}, private, algorithm="RS256"),
        *(
            jwt.encode({k: v for k, v in good.items() if k != missing}, private, algorithm="RS256")
            for missing in good
        ),
        *(
            jwt.encode({**good, name: value}, private, algorithm="RS256")
            for name, value in (
                *(("username", 5), ("username", None), ("username", ""), ("username", ["root"])),
                *(("revision", "99"), ("revision", None), ("revision", True)),
                *((name, value) for name in ("revision", "exp") for value in NO_NUMBERS),
                ("username", "\ud800"),
            )
        ),
        "a.b.c",
        "",
        "\0",
        "." * 10_000,
    ]
    for number, token in enumerate(bad):
        jwt_world.tokens["bad"] = token
        said = jwt_world.call("/etcdserverpb.KV/Range", pb.RangeRequest(key=b"r"), "bad")
        assert said == (BAD_TOKEN if token else NOBODY), (number, token)


def test_token_options_that_do_not_fit_are_refused(keys: tuple[Path, Path]) -> None:
    private, public = map(str, keys)
    for options in (
        {},
        {"sign-method": "none", "pub-key": public},
        {"sign-method": "RS256"},
        {"sign-method": "RS256", "pub-key": "/nowhere"},
        {"sign-method": "HS256", "pub-key": public},
        {"sign-method": "ES256", "pub-key": public, "priv-key": private},
    ):
        with pytest.raises(BadTokenOptions):
            jwt_options(options, lambda _: 60.0)
    with pytest.raises(BadTokenOptions):
        jwt_options({"sign-method": "RS256", "pub-key": public}, lambda _: 0.0)


def _self_signed(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("form", ["certificate", "PKIX", "PKCS#1", "none"])
def test_a_public_key_may_be_of_any_form_that_etcd_takes(
    keys: tuple[Path, Path], tmp_path: Path, form: str
) -> None:
    """A certificate was taken, and the first token that was checked ended the member."""
    loaded = serialization.load_pem_private_key(keys[0].read_bytes(), None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    traditional = serialization.PrivateFormat.TraditionalOpenSSL
    private.write_bytes(loaded.private_bytes(encoding, traditional, plain))
    format_ = {
        "PKIX": serialization.PublicFormat.SubjectPublicKeyInfo,
        "PKCS#1": serialization.PublicFormat.PKCS1,
    }.get(form)
    options = {"sign-method": "PS256", "priv-key": str(private)}
    if form != "none":
        options["pub-key"] = str(public)
        public.write_bytes(
            loaded.public_key().public_bytes(encoding, format_) if format_ else _self_signed(loaded)
        )
    world = World(etcd.AuthOptions(jwt=jwt_options(options, lambda _: 60.0)))
    world.tokens["signed"] = _issued(world, "reader")
    read = pb.RangeRequest(key=b"r")
    assert isinstance(world.call("/etcdserverpb.KV/Range", read, "signed"), bytes)
    world.replica.close()


@pytest.mark.parametrize("content", [b"no key", b"\xff\xfe", b"", None])
def test_a_key_that_cannot_be_used_is_found_at_the_start(
    keys: tuple[Path, Path], tmp_path: Path, content: bytes | None
) -> None:
    other = tmp_path / "key.pem"
    if content is None:  # a good key, of somebody else
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        content = _self_signed(key)
    other.write_bytes(content)
    for options in (
        {"pub-key": str(other), "priv-key": str(keys[0])},
        {"pub-key": str(keys[1]), "priv-key": str(other)},
        *([{"pub-key": str(other)}] if b"BEGIN" not in content else []),
    ):
        with pytest.raises(BadTokenOptions):
            jwt_options({"sign-method": "RS256", **options}, lambda _: 60.0)


def test_a_member_with_the_public_key_only_checks_and_does_not_sign(
    keys: tuple[Path, Path],
) -> None:
    options = {"sign-method": "RS256", "pub-key": str(keys[1])}
    world = World(etcd.AuthOptions(jwt=jwt_options(options, lambda _: 60.0)))
    try:
        said: list[Outcome] = []
        world.services._tokens.issue("root", b"", said.append)
        assert isinstance(said[0], Refused)
    finally:
        world.replica.close()
