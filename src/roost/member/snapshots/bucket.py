"""Backups in a bucket of a store that speaks S3, by obstore (extra `s3`, record 0043).

A place is `s3://BUCKET/PREFIX`, behind it `?endpoint=URL&region=NAME` where the store is not
Amazon's or the environment does not say so: AWS_ENDPOINT_URL, AWS_REGION.  Credentials are never in
it: they come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, from a web
identity's token, or from the machine that we run on.

An upload goes in parts and appears as a whole when its last request is answered; parts of one that
is cut are no backup, and go when the bucket's own rule for incomplete uploads says so.  Each part
travels with its SHA-256 in its signature and as its checksum, which the store compares; what is
read comes in ranges of one version.  What a backup ends at stands in its metadata.

All of this waits for a network: it runs in a process of its own (`shelf_work`) or in a command.

Full?  PARTS_AT_ONCE parts are in memory, and a request that is not answered within REQUEST_S is
tried again for RETRY_S, then an error.  So PARTS_AT_ONCE parts have to get through in REQUEST_S.
"""

import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from roost.errors import PackageMissing
from roost.member.errors import (
    BackupFailed,
    BadPlace,
    BucketRefused,
    BucketUnreachable,
    NoBucket,
)
from roost.member.snapshots.backup import DIGEST_BYTES, Backup
from roost.member.snapshots.bucket_place import (
    MISSING,
    SCHEME,
    parse_place,
    told_endpoint,
    without_secrets,
)
from roost.member.snapshots.saving import with_digest
from roost.member.snapshots.shelf import (
    Hear,
    Kept,
    Opened,
    gone,
    name_of,
    name_of_increment,
)
from roost.store import GUID_KEY, StoreError, read_applied_file, read_metadata

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import S3Config, S3Store

PART_BYTES = 8 << 20
PARTS_AT_ONCE = 2
# S3: an object has so many parts, and is so large.
_PARTS_MAX = 10_000
_PAGE_COUNT = 1000
_READ_BYTES = 1 << 20
OBJECT_BYTES_MAX = 5 << 40
CONNECT_S = 10.0
REQUEST_S = 60.0
RETRY_S = 90.0
RETRIES_MAX = 6
BACKOFF_S, BACKOFF_S_MAX = 0.2, 15.0
_AMAZON = "Amazon S3"
_TOLD_CHARACTERS = 400
_CODE = re.compile(r"<Code>(\w+)</Code>")
_FORBIDDEN = re.compile(r"status code: 40[13]\b")
# What a machine of a cloud is asked for when nobody has said any credentials.
_METADATA = "/latest/api/token", "/latest/meta-data"
# What is known about a backup without reading it.
_INDEX, _TERM, _BASE, _DIGEST = "roost-index", "roost-term", "roost-base-index", "roost-sha256"
_CLUSTER = "roost-cluster"
# Which upload made it.
_UPLOAD = "roost-upload"


class Bucket:
    """As `Shelf`; beside that, files of any name."""

    def __init__(self, place: str) -> None:
        """Nothing is asked yet.

        Raises:
            BadPlace: it names no bucket.
            PackageMissing: obstore is not installed.

        """
        self._place = parse_place(place)
        # Looked at in any case: what speaks S3 reads it as well, and panics where it is no address.
        told = told_endpoint(os.environ)
        self._endpoint = self._place.endpoint or told
        self._store = self._opened()

    def _opened(self) -> "S3Store":
        try:
            from obstore.store import S3Store
        except ImportError as error:
            raise PackageMissing(MISSING) from error
        place = self._place
        config: S3Config = {"checksum_algorithm": "SHA256"}
        if place.endpoint:
            config["endpoint"] = place.endpoint
        if place.region:
            config["region"] = place.region
        with self._faults():
            return S3Store(
                place.bucket,
                prefix=place.prefix or None,
                config=config,
                client_options={
                    # Whoever names such an endpoint wants that.
                    "allow_http": self._endpoint.startswith("http://"),
                    "connect_timeout": timedelta(seconds=CONNECT_S),
                    "timeout": timedelta(seconds=REQUEST_S),
                },
                retry_config={
                    "max_retries": RETRIES_MAX,
                    "retry_timeout": timedelta(seconds=RETRY_S),
                    "backoff": {
                        "init_backoff": timedelta(seconds=BACKOFF_S),
                        "max_backoff": timedelta(seconds=BACKOFF_S_MAX),
                        "base": 2,
                    },
                },
            )

    @property
    def place(self) -> str:
        """As people read it."""
        return f"{SCHEME}{self._place.bucket}/{self._place.prefix}".rstrip("/")

    def found(self) -> Iterator[Kept]:
        """As `Shelf`, page by page; what lies in deeper folders is none of it."""
        import obstore

        after: str | None = None
        heard_s = time.monotonic()
        for left in range(RETRIES_MAX, -1, -1):
            try:
                with self._faults():
                    for page in obstore.list(self._store, offset=after, chunk_size=_PAGE_COUNT):
                        heard_s = time.monotonic()
                        for it in page:
                            after = it["path"]
                            if "/" not in after:
                                yield Kept(after, it["size"], it["last_modified"].timestamp())
            except BucketUnreachable:
                # A page that was cut is not asked for again by obstore; they come in order.
                if not left or time.monotonic() - heard_s >= RETRY_S:
                    raise
            else:
                return

    def put(self, member: str, copy: Path, hear: Hear) -> Kept:
        """As `Shelf`: whole, or not there."""
        try:
            index, term = read_applied_file(copy)
            cluster_id = int.from_bytes(read_metadata(copy, GUID_KEY) or b"", "big")
        except StoreError as error:
            raise BackupFailed(f"the copy of the store cannot be read: {error}") from error
        size = copy.stat().st_size + DIGEST_BYTES
        return self._send(
            name_of(member, index),
            with_digest(copy),
            size,
            {_INDEX: str(index), _TERM: str(term), _BASE: "0", _CLUSTER: f"{cluster_id:x}"},
            hear,
        )

    def put_increment(self, member: str, made: Backup, hear: Hear) -> Kept:
        """As `Shelf`: as `put`."""
        return self.save(name_of_increment(member, made.base_index, made.index), made, hear)

    def save(self, name: str, saved: Backup, hear: Hear) -> Kept:
        """Save a file that was checked, under any name; one of that name is replaced."""

        def pieces() -> Iterator[bytes]:
            with saved.path.open("rb") as file:
                while piece := file.read(_READ_BYTES):
                    yield piece

        told = {_INDEX: str(saved.index), _TERM: str(saved.term), _DIGEST: saved.digest}
        told |= {_BASE: str(saved.base_index), _CLUSTER: f"{saved.cluster_id:x}"}
        return self._send(name, pieces(), saved.size_bytes, told, hear)

    def _send(
        self, name: str, pieces: Iterable[bytes], size: int, told: dict[str, str], hear: Hear
    ) -> Kept:
        import obstore

        if size > OBJECT_BYTES_MAX:
            raise BackupFailed(
                f"a backup of {size} bytes: a bucket takes {OBJECT_BYTES_MAX} in one object;"
                " save it into a directory"
            )
        count = 0

        def counted() -> Iterator[bytes]:
            nonlocal count
            for piece in pieces:
                yield piece
                count += len(piece)
                hear("sending", count)

        upload = secrets.token_hex(8)
        try:
            with self._faults():
                obstore.put(
                    self._store,
                    name,
                    counted(),
                    attributes={**told, _UPLOAD: upload},
                    use_multipart=True,
                    chunk_size=max(PART_BYTES, -(-size // (_PARTS_MAX - 1))),
                    max_concurrency=PARTS_AT_ONCE,
                )
        except BucketUnreachable:
            # The last answer may be what was lost: then all of it is there, and nothing of others'.
            if not self._has_come(name, upload):
                raise
        meta = self._get(name, 0, 1).meta
        if meta["size"] != size or count != size:
            self.remove(name)
            text = f"{size} bytes were to be sent, {count} were, the bucket has {meta['size']}"
            raise BackupFailed(f"{name}: {text}: it was removed again")
        return Kept(name, size, meta["last_modified"].timestamp())

    def _has_come(self, name: str, upload: str) -> bool:
        try:
            return self._get(name, 0, 1).attributes.get(_UPLOAD) == upload
        except (BackupFailed, BucketUnreachable):
            return False

    @contextmanager
    def open(self, name: str) -> Iterator[Opened]:
        """As `Shelf`: in ranges of the version that is there now."""
        first = self._get(name, 0, PART_BYTES)
        meta = first.meta
        size = meta["size"]

        def pieces() -> Iterator[bytes]:
            with self._faults(name):
                held = bytes(first.bytes())
            yield held
            offset = len(held)
            while offset < size:
                ranged = self._get(name, offset, offset + PART_BYTES, meta["e_tag"])
                with self._faults(name):
                    held = bytes(ranged.bytes())
                if not held:
                    raise BackupFailed(f"{name}: the bucket gave {offset} of {size} bytes")
                yield held
                offset += len(held)

        yield Opened(size, pieces())

    def position(self, name: str) -> Backup | None:
        """What a backup ends at, without reading it; None where its metadata does not say."""
        found = self._get(name, 0, 1)
        told = {str(key): str(value) for key, value in found.attributes.items()}
        try:
            index, term, base = (int(told[it]) for it in (_INDEX, _TERM, _BASE))
            cluster_id = int(told[_CLUSTER], 16)
        except (KeyError, ValueError):
            return None
        size = found.meta["size"]
        digest = told.get(_DIGEST, "")
        return Backup(Path(name), base == 0, index, term, base, size, digest, cluster_id)

    def digest_of(self, kept: Kept) -> str:
        """As `Shelf`."""
        if kept.size_bytes < DIGEST_BYTES:
            return ""
        found = self._get(kept.name, kept.size_bytes - DIGEST_BYTES, kept.size_bytes)
        with self._faults(kept.name):
            return bytes(found.bytes()).hex()

    def remove(self, name: str) -> None:
        """As `Shelf`."""
        import obstore

        began_s = time.monotonic()
        for left in range(RETRIES_MAX, -1, -1):
            try:
                with self._faults(name):
                    obstore.delete(self._store, name)
            except BucketUnreachable:
                # To remove what is gone is no error, so it can be asked for again; obstore, which
                # does not know that of every request of this kind, does not when an answer is cut.
                if not left or time.monotonic() - began_s >= RETRY_S:
                    raise
            else:
                return

    def set_right(self, member: str, now_ns: int) -> None:
        """Do nothing: the bucket's own clock says when, the same for all, and nobody can set it."""

    def _get(self, name: str, start: int, stop: int, e_tag: str | None = None) -> "GetResult":
        import obstore

        with self._faults(name):
            if e_tag is None:
                return obstore.get(self._store, name, options={"range": (start, stop)})
            options: obstore.GetOptions = {"range": (start, stop), "if_match": e_tag}
            return obstore.get(self._store, name, options=options)

    @contextmanager
    def _faults(self, name: str = "") -> Iterator[None]:
        """Say in our words what went wrong."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise self._fault(name, error) from error

    def _fault(self, name: str, error: Exception) -> Exception:
        """What the store, or the way to it, said, and what to do."""
        if isinstance(error, OSError) and error.errno is not None:
            return error  # of the disk that we read from
        # All of it is looked at: a long prefix stands before what the store says.
        whole = " ".join(str(error).partition("Debug source")[0].split())
        code = _CODE.search(whole)
        told = without_secrets(whole)
        told = f"{told[:_TOLD_CHARACTERS]}..." if len(told) > _TOLD_CHARACTERS else told
        where = f"bucket {self._place.bucket} at {self._endpoint or _AMAZON}"
        match code[1] if code else "", error:
            case "NoSuchBucket", _:
                return NoBucket(f"there is no {where}: create it, or name another one")
            case (("PermanentRedirect" | "AuthorizationHeaderMalformed"), _):
                text = f"the {where} is of another region: say it, by ?region= or AWS_REGION"
                return BucketRefused(f"{text} ({told})")
            case _ if any(it in whole for it in _METADATA):
                return BucketRefused(
                    f"there are no credentials for the {where}: set AWS_ACCESS_KEY_ID and"
                    f" AWS_SECRET_ACCESS_KEY where this is started ({told})"
                )
            case _ if _FORBIDDEN.search(whole) or isinstance(error, PermissionError):
                return BucketRefused(
                    f"the {where} refuses us: are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    f" right, and may they list, read, write and delete there? ({told})"
                )
            case (("NoSuchKey" | ""), FileNotFoundError()):
                return gone(name)
            case "PreconditionFailed", _:
                return BackupFailed(f"{name} was replaced while it was read: begin again")
            case _, ValueError():
                return BadPlace(f"{name!r} is no name in a bucket ({told})")
        return BucketUnreachable(
            f"the {where} did not answer to the end: is the endpoint right, and reached from here?"
            f" Try again when it is; what was sent by half is no backup ({told})"
        )
