"""How a place for backups in a bucket is said: `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`.

Nothing is asked of the bucket here, and what speaks S3 is not loaded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from roost.errors import PackageMissing
from roost.extras import command_for
from roost.member.errors import BadPlace

MISSING = f"backups in a bucket are written by obstore: {command_for('s3')}"
SCHEME = "s3://"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9 ._=+@,:()!'-]+")
_ENDPOINT = re.compile(r"https?://[^/?#@\s]+/?")
# Of the environment, where some stores want a path, too.
_TOLD_ENDPOINT = re.compile(r"https?://[^/?#@\s]+(/[^?#@\s]*)?")
# Where it may say one; the first that does counts.
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
# What an address may have that nobody is to read: who asks, and what stands behind a question mark.
_LOGIN, _QUERY = re.compile(r"(?<=://)[^\s]*@"), re.compile(r"(\w+://[^\s?#]*)[?#][^\s)'\"]*")
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """Where backups are; empty: the environment says it."""

    bucket: str
    prefix: str
    endpoint: str
    region: str


def is_in_bucket(place: str) -> bool:
    """Whether that names a bucket, or something in one, and no path."""
    return "://" in place


def without_secrets(text: str) -> str:
    """The same, without what addresses in it may have that is nobody's business."""
    return _QUERY.sub(r"\1", _LOGIN.sub("...@", text))


def told_endpoint(environment: Mapping[str, str]) -> str:
    """Where the environment says that the bucket is; empty = it does not say.

    Raises:
        BadPlace: that is no address, or one with a password in it, which is not shown.

    """
    told = ""
    for name in ENDPOINT_VARIABLES:
        said = environment.get(name, "")
        if said and not _TOLD_ENDPOINT.fullmatch(said):
            raise BadPlace(
                f"{name} is not like https://s3.example.com:9000: it says where the bucket is, and "
                "credentials are given by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        told = told or said
    return told


def parse_place(place: str) -> BucketPlace:
    """What `s3://BUCKET/PREFIX?endpoint=URL&region=NAME` says.

    Raises:
        BadPlace: it is not that; the text says what is wrong.

    """
    shown = without_secrets(place)
    try:
        parts = urlsplit(place)
        given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
    except ValueError as error:
        if "?" in place or "[" in place:
            raise BadPlace(f"{shown!r} is no place for backups: behind its '?' stand"
                           " endpoint=URL and region=NAME") from error  # fmt: skip
        given = {}
    if parts.scheme != "s3":
        raise BadPlace(f"{shown!r} is no place for backups: a directory, or s3://BUCKET/PREFIX")
    if "@" in parts.netloc or not given.keys() <= {"endpoint", "region"}:
        raise BadPlace(
            "a place says endpoint and region, and nothing else: credentials are given by"
            " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, so that nobody sees them here"
        )
    segments = [it for it in parts.path.split("/") if it]
    if not _BUCKET.fullmatch(parts.netloc) or not all(map(_SEGMENT.fullmatch, segments)):
        raise BadPlace(f"{shown!r} names no bucket, or has characters that not all stores take")
    if parts.fragment:
        raise BadPlace(f"{shown!r} has a '#' behind it, which names nothing in a bucket")
    endpoint, region = given.get("endpoint", ""), given.get("region", "")
    if endpoint and not _ENDPOINT.fullmatch(endpoint):
        raise BadPlace(
            f"endpoint {without_secrets(endpoint)!r} is not like https://s3.example.com:9000"
        )
    if region and not _REGION.fullmatch(region):
        raise BadPlace(f"region {region!r} is not like eu-central-1")
    return BucketPlace(parts.netloc, "/".join(segments), endpoint.rstrip("/"), region)


def check_place(place: str) -> None:
    """Say before anything else what would fail at the first backup.

    Raises:
        BadPlace: it is neither a directory nor `s3://BUCKET/PREFIX`.
        PackageMissing: what speaks S3 is not installed.

    """
    if not is_in_bucket(place):
        return
    parse_place(place)
    if find_spec("obstore") is None:
        raise PackageMissing(MISSING)


def location_of(place: str, name: str) -> str:
    """Where something of that name lies at a place, as commands take it."""
    if not is_in_bucket(place):
        return str(Path(place, name))
    path, mark, query = place.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{query}"


def split_object(url: str) -> tuple[str, str]:
    """The place of an object in a bucket, and its name there.

    Raises:
        BadPlace: it names no object.

    """
    parse_place(url)
    path, mark, query = url.partition("?")
    place, _, name = path.rpartition("/")
    if not name or len(place) <= len(SCHEME):
        raise BadPlace(
            f"{without_secrets(url)!r} names no file in a bucket: s3://BUCKET/PREFIX/FILE"
        )
    return place + mark + query, name
