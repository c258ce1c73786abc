"""Whom a peer's certificate may stand for."""

import pytest

from roost.peer.certificate import ShownCertificate


def certificate(common_name: str, *hosts: tuple[str, str]) -> ShownCertificate:
    subject = ((("commonName", common_name),),) if common_name else ()
    made = {"subject": subject, "subjectAltName": hosts}
    return ShownCertificate(made, is_allowed=False)


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        (certificate("m2"), "m2"),
        (certificate("", ("DNS", "m2.example.org")), "m2.example.org"),
        (certificate("", ("DNS", "M2.Example.org")), "m2.example.org."),
        (certificate("", ("DNS", "*.example.org")), "m2.example.org"),
        (certificate("", ("IP Address", "10.0.0.2")), "10.0.0.2"),
        (certificate("", ("IP Address", "0:0:0:0:0:0:0:1")), "::1"),
        (certificate("x", ("DNS", "a"), ("DNS", "b")), "b"),
    ],
)
def test_it_belongs_to_who_is_named(shown: ShownCertificate, name: str) -> None:
    assert shown.foreign_to(["another", name]) == ""


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        (certificate("alice"), "m2"),
        (certificate(""), ""),
        (certificate("", ("DNS", "*.example.org")), "example.org"),
        (certificate("", ("DNS", "*.example.org")), "a.b.example.org"),
        (certificate("", ("DNS", "*")), "m2"),
        (certificate("", ("DNS", "10.0.0.2")), "10.0.0.20"),
        (certificate("", ("IP Address", "10.0.0.2")), "10.0.0.3"),
        (certificate("", ("URI", "m2"), ("email", "m2")), "m2"),
        (certificate("*.example.org"), "m2.example.org"),
    ],
)
def test_it_belongs_to_nobody_else(shown: ShownCertificate, name: str) -> None:
    assert "not of" in shown.foreign_to([name])
