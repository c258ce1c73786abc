"""A small store that speaks S3, in a thread: it checks what arrives, and fails when it is told to.

Signatures are version 4's, checked with the secret; every body must be what its SHA-256 in the
signature says, and a part and an object what their checksums say.  An upload of parts is seen when
it is completed, and not before.
"""

import base64
import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

ACCESS_KEY, SECRET_KEY = "roost-tests", "a secret of nobody"
REGION = "eu-test-1"
# As the smallest part is but the last; S3 says five.
PART_BYTES_MIN = 5 << 20
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass(slots=True)
class Object:
    """What lies under a key."""

    data: bytes
    at_s: float
    metadata: dict[str, str]

    @property
    def e_tag(self) -> str:
        return f'"{hashlib.sha256(self.data).hexdigest()[:32]}"'


@dataclass(slots=True)
class Upload:
    """Parts of an object that is not there yet."""

    key: str
    metadata: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as whoever decides about failures sees it; they are counted from one."""

    number: int
    method: str
    key: str
    query: dict[str, str]


# "": it is served; "slow down": refused for now; "cut": the connection breaks in the middle of the
# answer; "lost": it is served, and nobody hears of it; "another region": the bucket is elsewhere.
Fate = Callable[[Asked], str]


class Refused(Exception):
    """What the store says instead of doing it."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class S3:
    """One bucket."""

    def __init__(self, port: int, bucket: str) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.bucket = bucket
        self.objects: dict[str, Object] = {}
        self.uploads: dict[str, Upload] = {}
        self.asked: list[Asked] = []
        self.fate: Fate = lambda _asked: ""
        self.clock: Callable[[], float] = time.time
        self.page_count = 1000
        self.body_bytes_max = 0
        self.lock = threading.Lock()
        self._numbers = count(1)

    def place(self, prefix: str = "") -> str:
        """Where backups may be kept in it."""
        return f"s3://{self.bucket}/{prefix}?endpoint={self.endpoint}&region={REGION}"

    def environment(self) -> dict[str, str]:
        """What a process needs to be let in."""
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    # What is asked for; the lock is taken.

    def list(self, query: dict[str, str]) -> bytes:
        prefix = query.get("prefix", "")
        after = query.get("continuation-token", query.get("start-after", ""))
        keys = sorted(it for it in self.objects if it.startswith(prefix) and it > after)
        page, rest = keys[: self.page_count], keys[self.page_count :]
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(held.data)}</Size>"
            f"<LastModified>{_iso(held.at_s)}</LastModified><ETag>{escape(held.e_tag)}</ETag></Contents>"
            for key, held in ((it, self.objects[it]) for it in page)
        )
        if rest:
            rows += f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>"
        is_cut = str(bool(rest)).lower()
        return _xml("ListBucketResult", f"<IsTruncated>{is_cut}</IsTruncated>{rows}")

    def begin(self, key: str, metadata: dict[str, str]) -> bytes:
        name = f"upload-{next(self._numbers)}"
        self.uploads[name] = Upload(key, metadata)
        text = f"<Bucket>{self.bucket}</Bucket><Key>{escape(key)}</Key><UploadId>{name}</UploadId>"
        return _xml("InitiateMultipartUploadResult", text)

    def upload(self, query: dict[str, str]) -> Upload:
        try:
            return self.uploads[query["uploadId"]]
        except KeyError as error:
            raise Refused(404, "NoSuchUpload") from error

    def delete(self, body: bytes) -> bytes:
        keys = [it.text or "" for it in ET.fromstring(body).iter() if it.tag.endswith("Key")]
        for it in keys:
            self.objects.pop(it, None)
        told = "".join(f"<Deleted><Key>{escape(it)}</Key></Deleted>" for it in keys)
        return _xml("DeleteResult", told)

    def complete(self, query: dict[str, str], body: bytes) -> bytes:
        upload = self.upload(query)
        told = [
            (int(_text(it, "PartNumber")), _text(it, "ChecksumSHA256"))
            for it in ET.fromstring(body)
        ]
        if [number for number, _ in told] != sorted(upload.parts):
            raise Refused(400, "InvalidPart")
        for number, checksum in told:
            if checksum and checksum != _checksum(upload.parts[number]):
                raise Refused(400, "InvalidPart")
        parts = [upload.parts[number] for number in sorted(upload.parts)]
        if any(len(it) < PART_BYTES_MIN for it in parts[:-1]):
            raise Refused(400, "EntityTooSmall")
        self.objects[upload.key] = Object(b"".join(parts), self.clock(), upload.metadata)
        del self.uploads[query["uploadId"]]
        e_tag = escape(self.objects[upload.key].e_tag)
        text = f"<Key>{escape(upload.key)}</Key><ETag>{e_tag}</ETag>"
        return _xml("CompleteMultipartUploadResult", text)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    s3: S3

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        s3 = self.s3
        with s3.lock:
            asked = Asked(len(s3.asked) + 1, self.command, key, query)
            s3.asked.append(asked)
            s3.body_bytes_max = max(s3.body_bytes_max, len(body))
            fate = s3.fate(asked)
            try:
                if fate == "slow down":
                    raise Refused(503, "SlowDown")
                if fate == "another region":
                    raise Refused(400, "AuthorizationHeaderMalformed")
                self._check(parts.path, parts.query, body)
                if bucket != s3.bucket:
                    raise Refused(404, "NoSuchBucket")
                status, headers, answer = self._do(key, query, body)
            except Refused as refused:
                status, headers = refused.status, {}
                answer = _xml("Error", f"<Code>{refused.code}</Code><Message>no</Message>")
        self._answer(status, headers, answer, fate)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the library's names

    def _do(
        self, key: str, query: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        s3 = self.s3
        metadata = {it: self.headers[it] for it in self.headers if it.startswith("x-amz-meta-")}
        match self.command, key:
            case "GET", "":
                return 200, {}, s3.list(query)
            case "GET" | "HEAD", _:
                return self._get(key)
            case "PUT", _ if "partNumber" in query:
                s3.upload(query).parts[int(query["partNumber"])] = body
                return 200, {"etag": '"part"', "x-amz-checksum-sha256": _checksum(body)}, b""
            case "PUT", _:
                s3.objects[key] = Object(body, s3.clock(), metadata)
                return 200, {"etag": s3.objects[key].e_tag}, b""
            case "POST", _ if "uploads" in query:
                return 200, {}, s3.begin(key, metadata)
            case "POST", "" if "delete" in query:
                return 200, {}, s3.delete(body)
            case "POST", _:
                return 200, {}, s3.complete(query, body)
            case "DELETE", _ if "uploadId" in query:
                s3.uploads.pop(query["uploadId"], None)
                return 204, {}, b""
            case "DELETE", _:
                s3.objects.pop(key, None)
                return 204, {}, b""
        raise Refused(501, "NotImplemented")

    def _get(self, key: str) -> tuple[int, dict[str, str], bytes]:
        held = self.s3.objects.get(key)
        if held is None:
            raise Refused(404, "NoSuchKey")
        if self.headers.get("if-match", held.e_tag) != held.e_tag:
            raise Refused(412, "PreconditionFailed")
        headers = {
            "etag": held.e_tag,
            "last-modified": formatdate(held.at_s, usegmt=True),
            **held.metadata,
        }
        wanted = self.headers.get("range")
        if wanted is None:
            return 200, headers, held.data
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        data = held.data[int(first) : int(last) + 1]
        end = int(first) + len(data) - 1
        headers["content-range"] = f"bytes {first}-{end}/{len(held.data)}"
        return 206, headers, data

    def _answer(self, status: int, headers: dict[str, str], answer: bytes, fate: str) -> None:
        if fate == "lost":
            self._cut()
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fate == "cut":
            self.wfile.write(answer[: len(answer) // 2])
            self._cut()
            return
        self.wfile.write(answer)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _check(self, path: str, query: str, body: bytes) -> None:
        """Refuse what is not signed by who may, or has changed on its way."""
        told = self.headers.get("authorization", "")
        if not told.startswith("AWS4-HMAC-SHA256 "):
            raise Refused(403, "AccessDenied")
        fields = dict(it.strip().split("=", 1) for it in told.split(" ", 1)[1].split(","))
        access, day, region, service, _ = fields["Credential"].split("/")
        if access != ACCESS_KEY:
            raise Refused(403, "InvalidAccessKeyId")
        digest = self.headers["x-amz-content-sha256"]
        canonical = "\n".join(
            [
                self.command,
                path,
                "&".join(sorted(it if "=" in it else it + "=" for it in query.split("&") if it)),
                *(f"{it}:{self.headers[it].strip()}" for it in fields["SignedHeaders"].split(";")),
                "",
                fields["SignedHeaders"],
                digest,
            ]
        )
        scope = f"{day}/{region}/{service}/aws4_request"
        signed = f"AWS4-HMAC-SHA256\n{self.headers['x-amz-date']}\n{scope}\n{_sha256(canonical)}"
        secret = f"AWS4{SECRET_KEY}".encode()
        for part in (day, region, service, "aws4_request"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        if hmac.new(secret, signed.encode(), "sha256").hexdigest() != fields["Signature"]:
            raise Refused(403, "SignatureDoesNotMatch")
        if digest != hashlib.sha256(body).hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch")
        if self.headers.get("x-amz-checksum-sha256", _checksum(body)) != _checksum(body):
            raise Refused(400, "BadDigest")
        if self.command == "PUT" and "x-amz-checksum-sha256" not in self.headers:
            raise Refused(400, "MissingChecksum")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _iso(at_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at_s))


def _xml(name: str, content: str) -> bytes:
    return f'<?xml version="1.0"?><{name}>{content}</{name}>'.encode()


def _text(element: ET.Element, name: str) -> str:
    return element.findtext(name) or element.findtext(_NAMESPACE + name) or ""


@contextmanager
def s3_server(bucket: str = "kept") -> Iterator[S3]:
    """Serve one, until the block ends."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    s3 = handler.s3 = S3(server.server_port, bucket)  # type: ignore[attr-defined]  # as declared
    serving = threading.Thread(target=server.serve_forever, args=(0.02,), name="s3", daemon=True)
    serving.start()
    try:
        yield s3
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
