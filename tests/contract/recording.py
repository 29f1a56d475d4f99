"""The exchanges recorded from a running Waldur, as comparable values."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

HEADERS = ("Content-Type", "Allow", "X-Result-Count", "Link", "WWW-Authenticate", "Location")
"""The compared headers. Other headers belong to the server, not to the API."""


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    """Parsed JSON, another text, or None for an empty body."""

    @classmethod
    def parse(cls, status: int, headers: Mapping[str, str], content: bytes) -> "Answer":
        """Parse `Link` as a mapping, `Allow` as a set, and the media type without parameters."""
        lower = {name.lower(): value for name, value in headers.items()}
        compared: dict[str, Any] = {
            name: lower[name.lower()] for name in HEADERS if name.lower() in lower
        }
        if "Link" in compared:
            compared["Link"] = links(compared["Link"])
        if "Allow" in compared:
            compared["Allow"] = {word.strip() for word in compared["Allow"].split(",")}
        if "Content-Type" in compared:
            compared["Content-Type"] = compared["Content-Type"].partition(";")[0]
        body: Any = None
        if content:
            is_json = compared.get("Content-Type") == "application/json"
            body = json.loads(content) if is_json else content.decode()
        return cls(status, compared, body)


@dataclass(frozen=True)
class Exchange:
    """A recorded request and its response."""

    scenario: str
    step: int
    role: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    content: bytes
    setup_sql: str
    answer: Answer

    @property
    def operation(self) -> str:
        """The last segment of the path: `paid`, `stats`, `growth`, …, or a UUID."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def __str__(self) -> str:
        return f"{self.scenario} step {self.step}: {self.role} {self.method} {self.target}"


def links(header: str) -> dict[str, tuple[str, tuple[tuple[str, str], ...]]]:
    """Return the address and the sorted parameters of each relation of a Link header."""
    found = {}
    for part in header.split(", <"):
        address, _, relation = part.strip().lstrip("<").partition(">; rel=")
        url = urlsplit(address)
        parameters = tuple(sorted(parse_qsl(url.query, keep_blank_values=True)))
        found[relation.strip('"')] = (url._replace(query="").geturl(), parameters)
    return found


@cache
def scenarios(file: Path) -> dict[str, tuple[Exchange, ...]]:
    """Return the recorded scenarios by name, their steps in order."""
    found: dict[str, list[Exchange]] = {}
    for line in file.read_text().splitlines():
        raw = json.loads(line)
        body = raw["response_body"] or ""
        found.setdefault(raw["scenario"], []).append(
            Exchange(
                scenario=raw["scenario"],
                step=raw["step"],
                role=raw["role"],
                method=raw["method"],
                path=raw["path"],
                query=raw["query"] or "",
                headers={
                    name: value
                    for name, value in raw["request_headers"].items()
                    if name != "Content-Length"
                },
                content=base64.b64decode(raw["request_body_b64"] or ""),
                setup_sql=raw["setup_sql"] or "",
                answer=Answer.parse(raw["status"], dict(raw["response_headers"]), body.encode()),
            )
        )
    return {name: tuple(sorted(steps, key=lambda each: each.step)) for name, steps in found.items()}
