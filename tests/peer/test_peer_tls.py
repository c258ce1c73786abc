"""Certificates between members: each belongs to the member it greets as, whoever signed it."""

import re
from pathlib import Path

import pytest

from roost.errors import PeerFault
from roost.peer import Join, OsNetwork, PeerTls, Secrets, UnprovenMember, dial, join
from roost.tls import TlsFiles
from tests.integration.certificates import Authority, Pair
from tests.peer.peers import Peer, on_loopback, run, until

pytestmark = pytest.mark.slow


def tls(authority: Authority, pair: Pair, **changes: str) -> PeerTls:
    return PeerTls(
        TlsFiles(
            cert_file=str(pair.certificate),
            key_file=str(pair.key),
            ca_file=str(authority.path),
            needs_certificate=True,
            **changes,  # type: ignore[arg-type]  # texts
        )
    )


def test_a_clients_certificate_greets_as_no_member(tmp_path: Path) -> None:
    """Issue 12, A2: one authority signed for both, and alice wrote as root."""
    authority = Authority(tmp_path)
    ours = authority.sign("any name")
    alice = tls(authority, authority.sign("alice", host="alice.example"))

    async def story(a: Peer, b: Peer) -> None:
        _, port = b.address
        await b.transport.close()
        # Even at the address of the member, which is down.
        stranger = Peer(2, **on_loopback(port, alice))
        await stranger.transport.start()
        stranger.transport.add_peer(1, [a.address])
        await until(lambda: bool(stranger.refusals))
        assert isinstance(stranger.refusals[0], UnprovenMember)
        assert "a certificate of alice" in str(stranger.refusals[0])
        assert not a.is_linked_to(b)
        assert a.frames == []
        await stranger.transport.close()

    run(
        story,
        *(Peer(it, **on_loopback(tls=tls(authority, ours))) for it in (1, 2)),
        on_loopback=True,
    )


def test_a_member_by_tls_and_one_in_the_clear_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    secured = Peer(1, **on_loopback(tls=tls(authority, authority.sign("any name"))))
    expected = (
        "member 2 cannot be reached at .*: are its peer URLs https, as here",
        "a peer at 127.0.0.1 was refused: it speaks no TLS: here peer URLs are https",
        "a peer at 127.0.0.1 was refused: these bytes are TLS: here peer URLs are http,",
    )

    async def story(_: Peer, __: Peer) -> None:
        await until(
            lambda: all(any(re.match(it, said) for said in caplog.messages) for it in expected)
        )

    run(story, secured, Peer(2, **on_loopback()), linked=False, on_loopback=True)


def test_with_an_allowed_name_all_members_show_that_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    member = tls(authority, authority.sign("member"), allowed_name="member")
    other = tls(authority, authority.sign("other"))

    async def story(a: Peer, b: Peer) -> None:
        assert a.is_linked_to(b)
        stranger = Peer(3, **on_loopback(tls=other))
        await stranger.transport.start()
        stranger.transport.add_peer(1, [a.address])
        await until(lambda: bool(stranger.refusals))
        assert "certificate of 'other'" in str(stranger.refusals[0])
        assert not stranger.is_linked_to(a)
        await stranger.transport.close()

    run(story, *(Peer(it, **on_loopback(tls=member)) for it in (1, 2)), on_loopback=True)


def test_who_shows_another_ones_certificate_does_not_join_either(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours = tls(authority, authority.sign("any name"))
    alice = tls(authority, authority.sign("alice", host="alice.example"))

    async def story(a: Peer) -> None:
        stream = await dial(OsNetwork(alice), a.address)
        asked = Join(
            peer_urls=("https://127.0.0.1:1",), protocol_version=1, storage_version=1,
            nonce=b"1" * 16,
        )  # fmt: skip
        with pytest.raises(PeerFault, match="nobody was added"):
            await join(stream, asked, Secrets())
        stream.close()

    run(story, Peer(1, **on_loopback(tls=ours)), on_loopback=True)


def test_links_are_dialled_while_certificates_are_renewed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Between the new certificate and its key no pair is good; a link that was dialled then ended.

    It was never dialled again.
    """
    authority = Authority(tmp_path)
    pair = authority.sign("any name")
    renewed = authority.sign("any name", file="renewed")

    async def story(a: Peer, b: Peer) -> None:
        for step in ("no certificate", "another ones", "both"):
            if step == "no certificate":
                pair.certificate.unlink()
            elif step == "another ones":
                pair.certificate.write_bytes(renewed.certificate.read_bytes())
            else:
                pair.key.write_bytes(renewed.key.read_bytes())
            was = len(a.unreachable)
            for link in a.transport.dialled._links[2]:
                link.close()
            await until(lambda was=was: len(a.unreachable) >= was + 2)  # type: ignore[misc]  # bound now
            await until(lambda: a.is_linked_to(b))
        assert "new certificates cannot be used" in caplog.text

    ours = {"on_loopback": True}
    run(story, *(Peer(it, **on_loopback(tls=tls(authority, pair))) for it in (1, 2)), **ours)
