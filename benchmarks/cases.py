"""The cases: each is a request to the service, or several in turn."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import asyncpg  # type: ignore[import-untyped]  # it has no types
import httpx

from app.billing.periods import Period
from benchmarks.console import Unusable
from benchmarks.shape import CANCELED_MONTH, DEAR_SUM, OWNER_KEY, STAFF_KEY, Shape

LIST: Final = "/api/invoices/"
PAYMENTS: Final = "/api/payments/"
ITEMS: Final = "/api/invoice-items/"
REPORTS: Final = "/api/financial-reports/"
_MANY_INVOICES = 2_500
_MANY_PAGES = 300
_PAGE_SIZE = 10
_WRITTEN_INVOICES = 500
RENAMED_CASE: Final = "cold-pages-renames"
"""The case that is measured while other resources are renamed."""
RENAMES_A_SECOND: Final = 50
_OF_THE_ANSWER = frozenset({"content-type", "x-result-count", "link", "etag", "cache-control"})
"""Headers that the service sets itself; the server and the middleware add others."""


@dataclass(frozen=True)
class Request:
    """A request as the load generator sends it."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=lambda: authorization(STAFF_KEY))
    body: str = ""


@dataclass(frozen=True)
class Answer:
    """A recorded response of the service, which the references serve."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        """Return the parts of a response that the service sets itself."""
        headers = {k: v for k, v in response.headers.items() if k.lower() in _OF_THE_ANSWER}
        return cls(response.status_code, headers, response.content)

    def as_json(self) -> dict[str, Any]:
        """Return the response as a JSON object."""
        return {
            "status": self.status,
            "headers": dict(self.headers),
            "body": base64.b64encode(self.body).decode(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the response from a result of `as_json`."""
        return cls(value["status"], value["headers"], base64.b64decode(value["body"]))


@dataclass(frozen=True)
class Case:
    """One thing to measure."""

    name: str
    title: str
    requests: Sequence[Request]
    status: int = 200
    plain: str = ""
    """The path of the same response in the reference `plain`; empty without one."""
    referred: bool = True
    """Whether the references `ceiling` and `one-query` are measured beside it."""
    missing: str = ""
    """The reason why it cannot be measured; empty if it can."""


def authorization(key: str) -> dict[str, str]:
    """Return the authorization header for a key."""
    return {"Authorization": f"Token {key}"}


@dataclass(frozen=True)
class Subjects:
    """The UUIDs in one database that the cases request."""

    customer: str
    project: str
    """The project of the customer."""
    profile: str
    """The payment profile of the customer."""
    twenty: str
    large: str
    huge: str
    twenties: Sequence[str]
    """The issued invoices of 20 items, newest first."""
    larges: Sequence[str]
    first_page: int
    """The first page of the list with issued invoices alone, which have 20 items each."""
    fives: Sequence[str]
    credited: Sequence[tuple[str, str]]
    """Issued invoices of 5 items, each with its dearest item."""


_DEAREST_ITEMS: Final = """
SELECT DISTINCT ON (i.id) i.uuid AS invoice, item.uuid AS item
FROM invoices AS i JOIN invoice_items AS item ON item.invoice_id = i.id
WHERE i.id IN (
    SELECT id FROM invoices
    WHERE customer_id BETWEEN $1 AND $2 AND state IN ('created', 'paid')
    ORDER BY id DESC LIMIT $3
)
ORDER BY i.id DESC, item.price DESC
"""


async def find_subjects(url: str, shape: Shape) -> Subjects:
    """Find the subjects in a generated database."""
    connection = await asyncpg.connect(url)
    try:

        async def uuids(condition: str, *values: object) -> list[str]:
            rows = await connection.fetch(
                f"SELECT uuid FROM invoices WHERE {condition} ORDER BY id DESC", *values
            )
            return [str(row["uuid"]) for row in rows]

        # Of a customer whose invoices of 20 items are ordinary ones.
        ordinary = shape.twenties
        customer = await connection.fetchval("SELECT uuid FROM customers WHERE id = $1", ordinary)
        project = await connection.fetchval(
            "SELECT uuid FROM projects WHERE customer_id = $1", ordinary
        )
        profile = await connection.fetchval(
            "SELECT uuid FROM payment_profiles WHERE customer_id = $1", ordinary
        )
        larges = await uuids("customer_id = ANY($1)", list(shape.large_customers))
        return Subjects(
            customer=str(customer),
            project=str(project),
            profile=str(profile),
            twenty=(await uuids("customer_id = $1", ordinary))[0],
            large=larges[0],
            huge=(await uuids("customer_id = $1", shape.huge_customer))[0],
            twenties=(await uuids("customer_id <= $1 AND state <> 'pending'", shape.twenties))[
                :_MANY_INVOICES
            ],
            larges=larges,
            first_page=-(-len(shape.invoiced(0)) // _PAGE_SIZE) + 1,
            fives=(await uuids("customer_id BETWEEN $1 AND $2", shape.twenties + 1, shape.regular))[
                :_WRITTEN_INVOICES
            ],
            credited=[
                (str(row["invoice"]), str(row["item"]))
                for row in await connection.fetch(
                    _DEAREST_ITEMS, shape.twenties + 1, shape.regular, _WRITTEN_INVOICES
                )
            ],
        )
    finally:
        await connection.close()


def reading_cases(subjects: Subjects, running: Period) -> list[Case]:
    """Return the cases that read."""
    fields = "&".join(f"field={name}" for name in ("uuid", "number", "state", "total"))
    canceled = running.shifted(-CANCELED_MONTH)
    twenty, large = f"{LIST}{subjects.twenty}/", f"{LIST}{subjects.large}/"
    of_profile = f"{PAYMENTS}?profile_uuid={subjects.profile}"
    return [
        _get("list", "list, 10 invoices of 20 items", LIST, plain="/bench/plain/invoices/"),
        _get("list-fields", "list, four fields", f"{LIST}?{fields}"),
        _get("list-customer", "list of a customer", f"{LIST}?customer_uuid={subjects.customer}"),
        _get(
            "list-state",
            "list of a state and month",
            f"{LIST}?state=canceled&year={canceled.year}&month={canceled.month}",
        ),
        _get("list-min-sum", "list above a sum", f"{LIST}?min_sum={DEAR_SUM}"),
        _get("list-page-100", "list, page 100", f"{LIST}?page=100"),
        _get("list-last", "list, last page", f"{LIST}?page=last"),
        _get("retrieve-20", "invoice of 20 items", twenty, plain=_plain(subjects.twenty)),
        _get("retrieve-500", "invoice of 500 items", large, plain=_plain(subjects.large)),
        _get("items-20", "20 items", f"{twenty}items/"),
        _get("items-500", "500 items", f"{large}items/"),
        _get("stats-20", "stats of 20 items", f"{twenty}stats/"),
        _get("stats-500", "stats of 500 items", f"{large}stats/"),
        _get("growth", "growth", f"{LIST}growth/"),
        _get("payments", "payments", PAYMENTS),
        _get("payments-profile", "payments of a profile", of_profile),
        _get("payments-last", "payments, last page", f"{PAYMENTS}?page=last"),
        _get("invoice-items", "items of all invoices", ITEMS),
        _get(
            "invoice-items-customer",
            "items of a customer",
            f"{ITEMS}?customer_uuid={subjects.customer}",
        ),
        _get(
            "project-costs",
            "costs of a project over 12 months",
            f"{ITEMS}project_costs_for_period/?project_uuid={subjects.project}&period=4",
        ),
        _get("financial-reports", "financial reports", REPORTS),
        Case("head-staff", "count, for staff", [Request(LIST, "HEAD")]),
        Case(
            "head-owner",
            "count, for an owner",
            [Request(LIST, "HEAD", authorization(OWNER_KEY))],
        ),
    ]


async def conditional_cases(base: str, subjects: Subjects) -> list[Case]:
    """Return the cases of unchanged responses, with their current entity tags."""
    paths = {
        "list": LIST,
        "retrieve-20": f"{LIST}{subjects.twenty}/",
        "items-20": f"{LIST}{subjects.twenty}/items/",
        "stats-500": f"{LIST}{subjects.large}/stats/",
    }
    cases = []
    async with httpx.AsyncClient(base_url=base, headers=authorization(STAFF_KEY)) as client:
        for name, path in paths.items():
            # As wrk asks: the validator of an answer that is compressed is another one.
            plain = {"Accept-Encoding": "identity"}
            tag = (await client.get(path, headers=plain)).headers.get("ETag", "")
            headers = authorization(STAFF_KEY) | {"If-None-Match": tag}
            cases.append(
                Case(
                    f"304-{name}",
                    f"unchanged: {name}",
                    [Request(path, headers=headers)],
                    status=304,
                    missing="" if tag else "no ETag",
                )
            )
    return cases


def cold_cases(subjects: Subjects) -> list[Case]:
    """Return the reads of issued invoices that are measured with nothing kept in memory."""
    first = subjects.first_page
    pages = [Request(f"{LIST}?page={first + number}") for number in range(_MANY_PAGES)]
    twenties, larges = (
        [Request(f"{LIST}{uuid}/") for uuid in uuids]
        for uuids in (subjects.twenties, subjects.larges)
    )
    return [
        Case("cold-page", "page of 10 issued invoices of 20 items", pages[:1]),
        Case("cold-pages", f"{len(pages)} pages in turn", pages),
        Case("cold-retrieve-20", f"{len(twenties):,} invoices of 20 items in turn", twenties),
        Case("cold-retrieve-500", f"{len(larges)} invoices of 500 items in turn", larges),
        Case(
            RENAMED_CASE,
            f"{len(pages)} pages in turn, while {RENAMES_A_SECOND} resources a second are renamed",
            pages,
        ),
    ]


def writing_case(subjects: Subjects) -> Case:
    """Return the case that writes, with another value each time, to many invoices in turn."""
    headers = authorization(STAFF_KEY) | {"Content-Type": "application/json"}
    return Case(
        "set-backend-id",
        "set backend id",
        [
            Request(
                f"{LIST}{uuid}/set_backend_id/", "POST", headers, '{"backend_id": "ERP-COUNTER"}'
            )
            for uuid in subjects.fives
        ],
    )


def crediting_case(subjects: Subjects) -> Case:
    """Return the case that credits a cent of many invoices in turn. It has no references."""
    headers = authorization(STAFF_KEY) | {"Content-Type": "application/json"}
    requests = []
    for invoice, item in subjects.credited:
        body = {"reason": "A cent too much", "items": [{"uuid": item, "price": "0.01"}]}
        path = f"{LIST}{invoice}/credit/"
        requests.append(Request(path, "POST", headers, json.dumps(body)))
    return Case("credit", "credit a cent of an item", requests, status=201, referred=False)


async def record(base: str, cases: Sequence[Case]) -> dict[str, Answer]:
    """Return the response to the first request of each case.

    Raises Unusable if one has an unexpected status.
    """
    answers = {}
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        for case in cases:
            request = case.requests[0]
            response = await client.request(
                request.method,
                request.path,
                headers={**request.headers, "Accept-Encoding": "identity"},
                content=request.body or None,
            )
            if response.status_code != case.status:
                raise Unusable(
                    f"{case.name}: {request.method} {request.path} is answered with"
                    f" {response.status_code} instead of {case.status}: {response.text[:500]}"
                )
            answers[case.name] = Answer.of(response)
    return answers


def _get(name: str, title: str, path: str, *, plain: str = "") -> Case:
    return Case(name, title, [Request(path)], plain=plain)


def _plain(uuid: str) -> str:
    return f"/bench/plain/invoices/{uuid}/"
