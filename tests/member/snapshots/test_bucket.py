"""A bucket as a place for backups: what is refused, what is cut, and what is checked."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from roost.errors import PackageMissing
from roost.member import (
    BackupDamaged,
    BackupFailed,
    BadPlace,
    Bucket,
    BucketRefused,
    BucketUnreachable,
    NoBucket,
    check_place,
    split_object,
)
from roost.member.snapshots import bucket, bucket_place
from roost.member.snapshots.backup import Backup
from roost.member.snapshots.bucket import PART_BYTES, PARTS_AT_ONCE
from roost.member.snapshots.bucket_place import (
    ENDPOINT_VARIABLES,
    parse_place,
    told_endpoint,
    without_secrets,
)
from roost.member.snapshots.shelf import list_all, verify
from tests.s3 import S3, Asked, s3_server

pytest.importorskip("obstore", reason="the extra s3 is not installed")
SIZE = 2 * PART_BYTES + 12_345


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A store that lets us in, and a client that soon gives up."""
    monkeypatch.setattr(bucket, "RETRIES_MAX", 2)
    monkeypatch.setattr(bucket, "BACKOFF_S", 0.001)
    with s3_server() as served:
        for name, value in served.environment().items():
            monkeypatch.setenv(name, value)
        yield served


def nobody(_phase: str, _count: int) -> None:
    """Nobody wants to know how far it is."""


def file_of(tmp_path: Path) -> Backup:
    """A file of a few parts, as if it had been saved."""
    path = tmp_path / "saved.db"
    path.write_bytes(os.urandom(SIZE))
    return Backup(path, True, 7, 3, 0, SIZE, "of it")


def content(kept: Bucket, name: str) -> bytes:
    with kept.open(name) as opened:
        return b"".join(opened.pieces)


def every(number: int, fate: str) -> Callable[[Asked], str]:
    return lambda asked: fate if asked.number % number == 0 else ""


def since(number: int, fate: str) -> Callable[[Asked], str]:
    return lambda asked: fate if asked.number >= number else ""


@pytest.mark.parametrize(
    ("place", "parsed"),
    [
        ("s3://b-1", ("b-1", "", "", "")),
        ("s3://b-1/", ("b-1", "", "", "")),
        ("s3://b-1/of/m 0/", ("b-1", "of/m 0", "", "")),
        (
            "s3://b-1/of?endpoint=https://s3.example.com:9000/&region=eu-central-1",
            ("b-1", "of", "https://s3.example.com:9000", "eu-central-1"),
        ),
    ],
)
def test_a_place_names_bucket_prefix_endpoint_and_region(
    place: str, parsed: tuple[str, str, str, str]
) -> None:
    found = parse_place(place)
    assert (found.bucket, found.prefix, found.endpoint, found.region) == parsed


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("gs://bucket/x", "a directory, or s3://"),
        ("s3:///x", "names no bucket"),
        ("s3://b/x", "names no bucket"),
        ("s3://key:secret@bucket/x", "AWS_SECRET_ACCESS_KEY"),
        ("s3://bucket/x?secret_access_key=y", "AWS_SECRET_ACCESS_KEY"),
        ("s3://bucket/x?endpoint", "no place for backups"),
        ("s3://bucket/x?endpoint=minio:9000", "is not like https"),
        ("s3://bucket/x?endpoint=https://minio/deep/er", "is not like https"),
        ("s3://bucket/x?region=a/b", "is not like eu-central-1"),
        ("s3://bucket/../x", "not all stores take"),
        ("s3://bucket/x\0", "not all stores take"),
        ("s3://bucket/x#y", "names nothing"),
        ("s3://[bucket/x", "no place for backups"),
    ],
)
def test_what_is_no_place_is_refused_before_anything_else(place: str, words: str) -> None:
    with pytest.raises(BadPlace, match=words):
        check_place(place)


@pytest.mark.parametrize(
    "place",
    [
        "s3://ID:hunter2@bucket/x?y",
        "s4://ID:hunter2@bucket/x",
        "s3://bucket/x?endpoint=http://u:hunter2@minio",
        "s3://bucket/x?hunter2",
        "s3://bucket/x?hunter2=y",
        "s3://bucket/x#hunter2",
        "s3://b/x?endpoint=http://u:hunter2@minio",
        "s3://[bucket/x?endpoint=http://u:hunter2@minio",
        "https://ID:hunter2@bucket/x",
    ],
)
def test_what_may_be_a_password_is_not_said(place: str) -> None:
    """Texts of errors stand in the log of a member, and on its dashboard."""
    for check in (check_place, split_object):
        with pytest.raises(BadPlace) as refused:
            check(place)
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ENDPOINT_VARIABLES)
@pytest.mark.parametrize(
    "said",
    ["http://root:hunter2@127.0.0.1:1", "http://127.0.0.1:1/?key=hunter2", "http:/hunter2", "x"],
)
def test_an_endpoint_of_the_environment_that_is_none_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    """Its password stood in each error; without a host, a panic of the package's ended us."""
    monkeypatch.setenv(name, said)
    with pytest.raises(BadPlace, match=f"^{name} is not like https") as refused:
        Bucket("s3://bucket/x")
    assert "hunter2" not in str(refused.value)


def test_what_an_error_shows_of_addresses_has_no_secrets() -> None:
    told = "GET http://u:p@sts.example.com/a?Token=hunter2&b in 3 ms (http://x/y?p) <?xml?><Code>"
    assert without_secrets(told) == (
        "GET http://...@sts.example.com/a in 3 ms (http://x/y) <?xml?><Code>"
    )
    assert told_endpoint({"AWS_ENDPOINT": "http://a:1", "AWS_ENDPOINT_URL": "http://b/v1"}) == (
        "http://b/v1"
    )


def test_directories_are_places_and_a_missing_package_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_place("/var/backups")
    check_place("s3://bucket/x")
    monkeypatch.setattr(bucket_place, "find_spec", lambda _name: None)
    check_place("/var/backups")
    with pytest.raises(PackageMissing, match=r"pip install 'roost\[s3\]'"):
        check_place("s3://bucket/x")


def test_an_object_is_a_place_and_a_name() -> None:
    assert split_object("s3://kept/a/b.db?region=x") == ("s3://kept/a?region=x", "b.db")
    assert split_object("s3://kept/b.db") == ("s3://kept", "b.db")
    for url in ("s3://kept", "s3://kept/a/"):
        with pytest.raises(BadPlace, match="names no file"):
            split_object(url)


def test_a_file_goes_in_parts_and_comes_back_as_it_was(s3: S3, tmp_path: Path) -> None:
    saved, kept = file_of(tmp_path), Bucket(s3.place("of"))
    heard: list[int] = []
    made = kept.save("saved.db", saved, lambda _phase, done: heard.append(done))
    assert (made.name, made.size_bytes, heard[-1]) == ("saved.db", SIZE, SIZE)
    assert content(kept, "saved.db") == saved.path.read_bytes()
    # The store saw parts, of which few are in memory at a time, and ranges.
    assert s3.body_bytes_max == PART_BYTES
    assert PARTS_AT_ONCE == 2
    assert kept.position("saved.db") == replace(saved, path=Path("saved.db"))
    s3.objects["of/copied.db"] = replace(s3.objects["of/saved.db"], metadata={})
    assert kept.position("copied.db") is None


@pytest.mark.parametrize("fate", ["slow down", "cut"])
@pytest.mark.parametrize("number", [3, 4])
def test_what_fails_now_and_then_is_tried_again(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: str, number: int
) -> None:
    monkeypatch.setattr(bucket, "RETRIES_MAX", 6)
    saved, kept = file_of(tmp_path), Bucket(s3.place())
    s3.fate = every(number, fate)
    kept.save("saved.db", saved, nobody)
    assert content(kept, "saved.db") == saved.path.read_bytes()
    assert {it.name for it in list_all(kept, of_members=False).backups} == {"saved.db"}
    kept.remove("saved.db")
    assert not s3.objects


@pytest.mark.parametrize(("fate", "least"), [("slow down", 6), ("lost", 6), ("cut", 2)])
def test_an_upload_that_is_cut_anywhere_is_no_backup(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: str, least: int
) -> None:
    """From each of its requests on, until one needs fewer; it may be whole, and is never half.

    Of answers whose bodies break only the first and the last have bodies.
    """
    monkeypatch.setattr(bucket, "RETRIES_MAX", 1)
    saved, kept = file_of(tmp_path), Bucket(s3.place())
    for first in count(1):
        s3.objects.clear()
        began = len(s3.asked)
        s3.fate = since(began + first, fate)
        try:
            kept.save("saved.db", saved, nobody)
        except BucketUnreachable:
            s3.fate = every(1, "")
        else:
            break
        listed = list_all(kept, of_members=False).backups
        assert [it.size_bytes for it in listed] in ([], [SIZE])
    s3.fate = every(1, "")
    assert first >= least
    assert content(kept, "saved.db") == saved.path.read_bytes()


def test_an_upload_whose_last_answer_is_lost_has_come(s3: S3, tmp_path: Path) -> None:
    """Nobody would know it else: it is there, and the command said that it is not."""
    saved, kept = file_of(tmp_path), Bucket(s3.place())
    for fate in ("cut", "lost"):
        completed: list[Asked] = []

        def once(asked: Asked, fate: str = fate, completed: list[Asked] = completed) -> str:
            if asked.method != "POST" or "uploadId" not in asked.query or completed:
                return ""
            completed.append(asked)
            return fate

        s3.fate = once
        kept.save("saved.db", saved, nobody)
        assert completed
        assert content(kept, "saved.db") == saved.path.read_bytes()


def test_what_is_cut_while_it_is_read_says_so(s3: S3, tmp_path: Path) -> None:
    kept = Bucket(s3.place())
    kept.save("saved.db", file_of(tmp_path), nobody)
    with kept.open("saved.db") as opened:
        next(opened.pieces)
        s3.fate = lambda _asked: "cut"
        with pytest.raises(BucketUnreachable, match="did not answer to the end"):
            next(opened.pieces)


def test_what_is_replaced_while_it_is_read_is_not_mixed(s3: S3, tmp_path: Path) -> None:
    kept = Bucket(s3.place())
    kept.save("saved.db", file_of(tmp_path), nobody)
    with kept.open("saved.db") as opened:
        next(opened.pieces)
        kept.save("saved.db", file_of(tmp_path), nobody)
        with pytest.raises(BackupFailed, match="replaced while it was read"):
            next(opened.pieces)


def test_a_list_goes_over_pages_and_leaves_out_what_lies_deeper(s3: S3, tmp_path: Path) -> None:
    saved = replace(file_of(tmp_path), size_bytes=3)
    saved.path.write_bytes(b"abc")
    for name in ("of/deep/x.db", "of/1.db", "of/2.db", "of/3.db", "offer/4.db", "5.db"):
        place, file = split_object(f"s3://{s3.bucket}/{name}{s3.place()[len('s3://kept/') :]}")
        Bucket(place).save(file, saved, nobody)
    s3.page_count = 2
    for fate in ("", "cut"):
        began = len(s3.asked)
        s3.fate = every(3, fate)
        assert [it.name for it in Bucket(s3.place("of")).found()] == ["1.db", "2.db", "3.db"]
        assert len(s3.asked) - began > 1


def test_who_may_not_is_told_what_to_set(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(BucketRefused, match=r"AWS_SECRET_ACCESS_KEY right.*SignatureDoesNotMatch"):
        list_all(Bucket(s3.place()))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(BucketRefused, match="InvalidAccessKeyId"), Bucket(s3.place()).open("x"):
        raise AssertionError("it is open")


def test_without_credentials_that_is_said(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine of a cloud would be asked for them: here, one that gives none."""
    for name in s3.environment():
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", s3.endpoint)
    with pytest.raises(BucketRefused, match="there are no credentials"):
        list_all(Bucket(s3.place()))


def test_a_bucket_that_does_not_exist_is_named(s3: S3, tmp_path: Path) -> None:
    other = Bucket(s3.place().replace("s3://kept", "s3://other"))
    for ask in (
        lambda: list_all(other),
        lambda: other.position("x.db"),
        lambda: other.save("x.db", file_of(tmp_path), nobody),
    ):
        with pytest.raises(NoBucket, match="no bucket other at http"):
            ask()


def test_nothing_is_tried_again_when_the_time_for_that_is_over(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of seven tries of ours had all of obstore's time, so a list took ten minutes to fail."""
    monkeypatch.setattr(bucket, "RETRY_S", 0)
    kept = Bucket(s3.place("of"))
    s3.fate = lambda _asked: "cut"
    for ask in (lambda: list_all(kept), lambda: kept.remove("x.db")):
        s3.asked.clear()
        with pytest.raises(BucketUnreachable):
            ask()
        assert len(s3.asked) == 1


def test_what_a_store_says_is_read_however_long_the_prefix_is(s3: S3) -> None:
    """It stood behind the address, of which so much was looked at as is told."""
    prefix = "/".join(["of-a-very-long-name"] * 30)
    other = Bucket(s3.place(prefix).replace("s3://kept", "s3://other"))
    with pytest.raises(NoBucket):
        list_all(other)
    with pytest.raises(NoBucket):
        other.position("x.db")


def test_nobody_there_is_said_with_the_endpoint(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "RETRIES_MAX", 0)
    place = s3.place().replace(s3.endpoint, "http://127.0.0.1:1")
    with pytest.raises(BucketUnreachable, match=r"http://127\.0\.0\.1:1 did not answer"):
        list_all(Bucket(place))


def test_another_region_is_said(s3: S3) -> None:
    s3.fate = lambda _asked: "another region"
    with pytest.raises(BucketRefused, match=r"\?region="):
        list_all(Bucket(s3.place()))


def test_a_disk_that_fails_meanwhile_is_no_fault_of_the_bucket(s3: S3, tmp_path: Path) -> None:
    saved = file_of(tmp_path)
    gone = replace(saved, path=tmp_path / "not there")
    with pytest.raises(FileNotFoundError, match="No such file"):
        Bucket(s3.place()).save("x.db", gone, nobody)
    assert (s3.objects, s3.uploads) == ({}, {})


def test_a_file_that_is_another_size_than_it_was_is_not_kept(s3: S3, tmp_path: Path) -> None:
    saved = replace(file_of(tmp_path), size_bytes=SIZE + 1)
    with pytest.raises(BackupFailed, match="were to be sent"):
        Bucket(s3.place()).save("x.db", saved, nobody)
    assert not s3.objects


def test_more_than_an_object_can_have_is_refused_at_once(s3: S3, tmp_path: Path) -> None:
    saved = replace(file_of(tmp_path), size_bytes=bucket.OBJECT_BYTES_MAX + 1)
    with pytest.raises(BackupFailed, match="into a directory"):
        Bucket(s3.place()).save("x.db", saved, nobody)
    assert not s3.asked


def test_what_has_changed_in_a_bucket_is_damaged(s3: S3, tmp_path: Path) -> None:
    name = "m-0000000000000007.db"
    kept = Bucket(s3.place())
    kept.save(name, file_of(tmp_path), nobody)
    with pytest.raises(BackupDamaged, match="digest at its end"):
        verify(kept, name, lambda _done, _total: None)
