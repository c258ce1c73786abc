"""What a certificate says: whom it is for, and until when."""

import datetime as dt
from pathlib import Path

import pytest

from roost.certified import read_certificates, read_chain
from roost.tls import BadCertificate
from tests.integration.certificates import Authority

DAY = dt.timedelta(days=1)


def test_a_chain_is_good_as_long_as_its_shortest_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    own = authority.sign("m1", host="m1.example.org", until=now + 90 * DAY)
    between = authority.sign("between", until=now + 10 * DAY)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(own.certificate.read_bytes() + between.certificate.read_bytes())
    held = read_chain(str(chain))
    assert (held.name, held.hosts, held.ends) == ("m1", ("m1.example.org",), now + 10 * DAY)
    assert [it.ends for it in read_certificates(str(chain))] == [now + 90 * DAY, now + 10 * DAY]
    assert read_chain(str(between.certificate)).hosts == ("localhost", "127.0.0.1")


def test_what_holds_no_certificate_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match=f"{tmp_path}/none: No such file"):
        read_certificates(str(tmp_path / "none"))
    (tmp_path / "text").write_text("nonsense")
    with pytest.raises(BadCertificate, match="holds no certificate"):
        read_chain(str(tmp_path / "text"))
