"""The functions of `app/` that a request runs, and the requests that are traced."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

import httpx

from app.billing.enums import InvoiceState
from tests.support.factories import Factories

APP = Path(__file__).parents[2] / "app"
_is_traced: ContextVar[bool] = ContextVar("is_traced", default=False)
_PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\nproof of payment"


@dataclass
class Trace:
    """The code objects of `app/` that ran.

    A function is a `def` or `async def`, nested ones included, however often it ran. Lambdas,
    comprehensions and generated methods of dataclasses are no functions; the module of a lambda or
    comprehension counts. A function that a cache answers for did not run.
    """

    code: set[CodeType] = field(default_factory=set)

    @property
    def modules(self) -> set[str]:
        """The paths of the modules whose code ran, relative to the checkout."""
        return {_module(code) for code in self.code}

    @property
    def functions(self) -> set[tuple[str, str]]:
        """The module and the qualified name of each function that ran."""
        return {
            (_module(code), code.co_qualname)
            for code in self.code
            if not code.co_name.startswith("<")
        }


def _module(code: CodeType) -> str:
    return str(Path(code.co_filename).relative_to(APP.parent))


@contextmanager
def traced() -> Iterator[Trace]:
    """Trace what begins to run in the context, and in tasks and threads that copy it.

    Tasks that began before, such as the exchange of rate limits, are not traced. Needs Python 3.12
    or later.
    """
    if sys.version_info < (3, 12):
        raise RuntimeError("tracing needs Python 3.12 or later")
    trace = Trace()
    root = f"{APP}/"
    monitoring = sys.monitoring
    tool = monitoring.PROFILER_ID

    def note(code: CodeType, _offset: int) -> object:
        if not code.co_filename.startswith(root):
            return monitoring.DISABLE
        if not _is_traced.get():
            return None
        trace.code.add(code)
        return monitoring.DISABLE

    monitoring.use_tool_id(tool, "trace-request")
    monitoring.register_callback(tool, monitoring.events.PY_START, note)
    monitoring.restart_events()
    monitoring.set_events(tool, monitoring.events.PY_START)
    token = _is_traced.set(True)
    try:
        yield trace
    finally:
        _is_traced.reset(token)
        monitoring.set_events(tool, monitoring.events.NO_EVENTS)
        monitoring.free_tool_id(tool)


async def trace_list(client: httpx.AsyncClient, make: Factories) -> Trace:
    """Trace the first page of the list, all of it from the response cache."""
    staff = await make.staff()
    customer = await make.customer()
    for month in range(1, 13):
        await make.item(await make.invoice(customer, month=month), "100.19")

    async def request() -> httpx.Response:
        return await client.get("/api/invoices/?page_size=10", headers=staff.headers)

    await _send(request)
    with traced() as trace:
        await _send(request)
    return trace


async def trace_paid(client: httpx.AsyncClient, make: Factories) -> Trace:
    """Trace the payment of an invoice, with a date and a proof, after another was paid."""
    staff = await make.staff()
    customer = await make.customer()
    await make.profile(customer)
    paths = []
    for month in (1, 2):
        invoice = await make.invoice(customer, month=month, state=InvoiceState.CREATED)
        await make.item(invoice, "100.19")
        paths.append(f"/api/invoices/{invoice.uuid}/paid/")

    async def request() -> httpx.Response:
        return await client.post(
            paths.pop(),
            headers=staff.headers,
            data={"date": "2026-11-20"},
            files={"proof": ("proof.pdf", _PDF, "application/pdf")},
        )

    await _send(request)
    with traced() as trace:
        await _send(request)
    return trace


async def _send(request: Callable[[], Awaitable[httpx.Response]]) -> None:
    response = await request()
    response.raise_for_status()


CASES = {"list": trace_list, "paid": trace_paid}
