"""A small object store with the part of the API of Amazon S3 that the service uses.

It checks signatures, digests of bodies and sizes of parts. Objects are kept in memory. The tests of
`tests/payments/test_ceph.py` compare it with a real object store.
"""

import hmac
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5, sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree.ElementTree import fromstring
from xml.sax.saxutils import escape

from pydantic import AnyHttpUrl, SecretStr

from app.urls import BucketUrl

ACCESS_KEY = "access-key"
SECRET_KEY = "secret-key-of-a-test"
REGION = "us-east-1"
BUCKET = "bucket"
_LEAST_PART = 5 * 1024 * 1024
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request,"
    r" ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True)
class StoredObject:
    content: bytes
    modified: datetime


@dataclass
class _Upload:
    bucket: str
    key: str
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class ObjectStore:
    """The buckets, and the faults that tests set."""

    url: str = ""
    buckets: dict[str, dict[str, StoredObject]] = field(default_factory=lambda: {BUCKET: {}})
    uploads: dict[str, _Upload] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    """The method and path of each request."""
    answers: threading.Event = field(default_factory=threading.Event)
    """While this is cleared, the store takes requests and does not answer."""
    cuts_bodies: bool = False
    """Whether a connection is closed in the middle of the body of a request."""
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.answers.set()

    @property
    def objects(self) -> dict[str, StoredObject]:
        """The objects of the bucket of the settings."""
        return self.buckets[BUCKET]

    def contents(self) -> dict[str, bytes]:
        """Return the content of each of these objects."""
        return {key: each.content for key, each in self.objects.items()}

    def environment(self) -> dict[str, str]:
        """Return the environment of a service that stores proofs here."""
        return {
            "PROOF_STORE": f"s3://{BUCKET}",
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def settings(self, prefix: str = "") -> dict[str, Any]:
        """Return the settings of a service that stores proofs here."""
        return {
            "proof_store": BucketUrl(BUCKET, prefix),
            "aws_endpoint_url_s3": AnyHttpUrl(self.url),
            "aws_region": REGION,
            "aws_access_key_id": ACCESS_KEY,
            "aws_secret_access_key": SecretStr(SECRET_KEY),
        }


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, code: str) -> None:
        self.status = status
        self.code = code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: ObjectStore

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base
        return

    def handle_request(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if self.store.cuts_bodies and length:
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        body = self.rfile.read(length)
        self.store.requests.append(f"{self.command} {self.path}")
        self.store.answers.wait()
        try:
            self._check_signature(body)
            self._serve(body)
        except _Refused as refusal:
            text = f"<Error><Code>{refusal.code}</Code></Error>"
            self._send(refusal.status, text.encode(), {"Content-Type": "application/xml"})

    def _send(
        self, status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        given = {"Content-Length": str(len(body))} | (headers or {})
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _check_signature(self, body: bytes) -> None:
        """Check signature version 4 of a request, and the digest of its body."""
        found = _AUTHORIZATION.fullmatch(self.headers.get("Authorization") or "")
        if not found:
            raise _Refused(HTTPStatus.FORBIDDEN, "AccessDenied")
        key, day, region, signed_names, signature = found.groups()
        if key != ACCESS_KEY:
            raise _Refused(HTTPStatus.FORBIDDEN, "InvalidAccessKeyId")
        digest = self.headers["x-amz-content-sha256"]
        if digest != sha256(body).hexdigest():
            raise _Refused(HTTPStatus.BAD_REQUEST, "XAmzContentSHA256Mismatch")
        parts = urlsplit(self.path)
        query = sorted(
            (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
            for name, values in parse_qs(parts.query, keep_blank_values=True).items()
            for value in values
        )
        names = signed_names.split(";")
        request = "\n".join(
            [
                self.command,
                parts.path,
                "&".join(f"{name}={value}" for name, value in query),
                *(f"{name}:{' '.join((self.headers[name] or '').split())}" for name in names),
                "",
                signed_names,
                digest,
            ]
        )
        scope = f"{day}/{region}/s3/aws4_request"
        text = "\n".join(
            [
                "AWS4-HMAC-SHA256",
                self.headers["x-amz-date"],
                scope,
                sha256(request.encode()).hexdigest(),
            ]
        )
        secret = f"AWS4{SECRET_KEY}".encode()
        for part in (day, region, "s3", "aws4_request"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        if not hmac.compare_digest(hmac.digest(secret, text.encode(), "sha256").hex(), signature):
            raise _Refused(HTTPStatus.FORBIDDEN, "SignatureDoesNotMatch")

    def _serve(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        query = {
            name: values[0]
            for name, values in parse_qs(parts.query, keep_blank_values=True).items()
        }
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        objects = self.store.buckets.get(bucket)
        if objects is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "NoSuchBucket")
        if not key:
            self._list(objects, query)
        elif "uploads" in query:
            upload = f"upload-{next(self.store.numbers)}"
            self.store.uploads[upload] = _Upload(bucket, key)
            self._send_xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")
        elif "uploadId" in query:
            self._serve_upload(objects, query, body)
        elif self.command == "PUT":
            self._put(objects, key, body)
            self._send(HTTPStatus.OK, headers={"ETag": _etag(body)})
        elif self.command == "DELETE":
            objects.pop(key, None)
            self._send(HTTPStatus.NO_CONTENT)
        else:
            self._get(objects, key)

    def _put(self, objects: dict[str, StoredObject], key: str, content: bytes) -> None:
        objects[key] = StoredObject(content, datetime.now(UTC))

    def _serve_upload(
        self, objects: dict[str, StoredObject], query: dict[str, str], body: bytes
    ) -> None:
        upload = self.store.uploads.get(query["uploadId"])
        if upload is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "NoSuchUpload")
        if self.command == "PUT":
            upload.parts[int(query["partNumber"])] = body
            self._send(HTTPStatus.OK, headers={"ETag": _etag(body)})
        elif self.command == "DELETE":
            del self.store.uploads[query["uploadId"]]
            self._send(HTTPStatus.NO_CONTENT)
        else:
            numbers = [
                int(each.text or 0)
                for each in fromstring(body).iter()
                if each.tag.endswith("PartNumber")
            ]
            if any(len(upload.parts[number]) < _LEAST_PART for number in numbers[:-1]):
                raise _Refused(HTTPStatus.BAD_REQUEST, "EntityTooSmall")
            content = b"".join(upload.parts[number] for number in numbers)
            self._put(objects, upload.key, content)
            del self.store.uploads[query["uploadId"]]
            self._send_xml("CompleteMultipartUploadResult", f"<ETag>{_etag(content)}</ETag>")

    def _get(self, objects: dict[str, StoredObject], key: str) -> None:
        found = objects.get(key)
        if found is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "NoSuchKey")
        content = found.content
        headers = {
            "ETag": _etag(content),
            "Last-Modified": format_datetime(found.modified, usegmt=True),
        }
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start = int(wanted[1])
            if start >= len(content):
                raise _Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "InvalidRange")
            end = min(int(wanted[2] or len(content)) + 1, len(content))
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
            self._send(HTTPStatus.PARTIAL_CONTENT, content[start:end], headers)
        elif self.command == "HEAD":
            self._send(HTTPStatus.OK, headers=headers | {"Content-Length": str(len(content))})
        else:
            self._send(HTTPStatus.OK, content, headers)

    def _list(self, objects: dict[str, StoredObject], query: dict[str, str]) -> None:
        """Answer with a page of two objects, so that tests see several."""
        after = query.get("continuation-token", "")
        prefix = query.get("prefix", "")
        keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
        entries = [
            f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[key].content)}</Size>"
            f"<LastModified>{objects[key].modified:%Y-%m-%dT%H:%M:%S.%fZ}</LastModified></Contents>"
            for key in keys[:2]
        ]
        if len(keys) > 2:
            entries += [f"<NextContinuationToken>{escape(keys[1])}</NextContinuationToken>"]
        entries += [f"<IsTruncated>{str(len(keys) > 2).lower()}</IsTruncated>"]
        self._send_xml("ListBucketResult", "".join(entries))

    def _send_xml(self, name: str, content: str) -> None:
        text = f"<?xml version='1.0'?><{name}>{content}</{name}>"
        self._send(HTTPStatus.OK, text.encode(), {"Content-Type": "application/xml"})


def _etag(content: bytes) -> str:
    return f'"{md5(content, usedforsecurity=False).hexdigest()}"'


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def run_object_store() -> Iterator[ObjectStore]:
    """Serve an object store with one empty bucket on a free port."""
    store = ObjectStore()
    methods = dict.fromkeys(
        ("do_GET", "do_HEAD", "do_PUT", "do_POST", "do_DELETE"), _Handler.handle_request
    )
    handler = type("Handler", (_Handler,), {"store": store, **methods})
    with _Server(("127.0.0.1", 0), handler) as server:
        store.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield store
        finally:
            store.answers.set()
            server.shutdown()
            thread.join()
