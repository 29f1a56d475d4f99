"""Assembles the application."""

import ctypes
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Final

from fastapi import FastAPI

from app import __version__
from app.api import errors, health, literal_paths, openapi, trailing_slash
from app.api.caching.response_cache import ResponseCache
from app.api.middleware import cors
from app.api.middleware.compression import CompressionMiddleware
from app.api.middleware.limits import DeadlineMiddleware, LimitsMiddleware, body_max_bytes
from app.api.middleware.rate_limit import RateLimitMiddleware, RateLimits
from app.api.middleware.read_positions import ReadPositionsMiddleware
from app.api.middleware.request_log import Operations, RequestLogMiddleware
from app.credit_notes.api.credit import router as invoice_credit
from app.credit_notes.api.credit_notes import router as credit_notes
from app.credit_notes.api.documents import router as credit_note_documents
from app.credit_notes.api.notification import router as credit_note_notification
from app.credits.api.affiliates import router as customer_affiliates
from app.credits.api.customer_credit_changes import router as customer_credit_changes
from app.credits.api.customer_credits import router as customer_credits
from app.credits.api.project_credit_changes import router as project_credit_changes
from app.credits.api.project_credits import router as project_credits
from app.credits.api.transactions import router as credit_transactions
from app.database.engine import Database
from app.database.replicas.routing import ReadRouter
from app.documents.pdf.maker import PdfMaker
from app.health import Readiness
from app.identity.failed_logins import FailedLogins
from app.identity.tokens import new_token_cache
from app.invoices.api.action_router import router as invoice_actions
from app.invoices.api.credit_actions import router as credit_actions
from app.invoices.api.documents import router as invoice_documents
from app.invoices.api.history_router import router as invoice_history
from app.invoices.api.item_actions import router as invoice_item_actions
from app.invoices.api.item_actions import usage_router as usage
from app.invoices.api.item_costs import router as invoice_item_costs
from app.invoices.api.items import router as invoice_items
from app.invoices.api.payment_links import router as payment_links
from app.invoices.api.provider_items import router as provider_invoice_items
from app.invoices.api.router import router as invoices
from app.logging import configure_logging
from app.metrics.process import CONNECTIONS_MAX, set_build_info
from app.outbox.notifier import Notifier
from app.payments.api.payment_changes import router as payment_changes
from app.payments.api.payments import router as payments
from app.payments.api.profile_changes import router as profile_changes
from app.payments.api.profiles import router as payment_profiles
from app.payments.api.proofs import router as payment_proofs
from app.payments.proof_store.folder import FolderStore
from app.payments.proof_store.opening import open_store
from app.reports.api.financial_reports import router as financial_reports
from app.reports.api.report_mail import router as report_mail
from app.reports.api.total_cost import router as billing_total_cost
from app.settings import Settings
from app.storage import StorageUnavailable

_GC_THRESHOLDS = (20_000, 20, 20)
"""Thresholds of the three generations of the cyclic garbage collector."""
_MIB = 1024 * 1024
_MALLOC_OPTIONS = {-1: 16 * _MIB, -3: 4 * _MIB}
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc: the free memory that a process keeps at the end
of its heap, and the size from which a block is mapped by itself."""

_ROUTERS: Final = (
    invoices,
    invoice_actions,
    invoice_credit,
    credit_notes,
    invoice_history,
    invoice_documents,
    credit_note_documents,
    credit_note_notification,
    usage,
    invoice_item_costs,
    invoice_items,
    invoice_item_actions,
    provider_invoice_items,
    payments,
    payment_changes,
    payment_links,
    payment_proofs,
    payment_profiles,
    profile_changes,
    customer_affiliates,
    customer_credits,
    customer_credit_changes,
    credit_actions,
    project_credits,
    project_credit_changes,
    credit_transactions,
    financial_reports,
    billing_total_cost,
    report_mail,
    health.router,
)
_ROUTES: Final = tuple(route for router in _ROUTERS for route in router.routes)
"""The routes of every application. They depend on no setting. `include_router` would analyse each
one again, which takes a quarter of a second."""


def create_app(settings: Settings) -> FastAPI:
    """Create the API. It opens its connections at startup, not here."""
    rate_limits = RateLimits(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        set_build_info()
        app.state.proof_store = proof_store = open_store(settings, creates=False)
        if isinstance(proof_store, FolderStore):
            # It is created only here: a disk that is unmounted later must not go unnoticed.
            with suppress(StorageUnavailable):
                proof_store.create()
        database = Database(settings)
        CONNECTIONS_MAX.set(settings.database_pool_size)
        router = ReadRouter(settings, database) if settings.database_read_url else None
        notifier = Notifier(settings)
        app.state.database = database
        app.state.read_router = router
        app.state.notifier = notifier
        app.state.token_cache = new_token_cache()
        app.state.response_cache = ResponseCache(settings)
        app.state.readiness = readiness = Readiness(settings, database)
        app.state.failed_logins = FailedLogins()
        app.state.pdf_maker = PdfMaker(default_locale=settings.locale)
        try:
            async with rate_limits.shared(), router.running() if router else nullcontext():
                yield
        finally:
            await readiness.aclose()
            app.state.failed_logins.flush()
            await notifier.aclose()
            await database.close()

    app = openapi.create_application(__version__, _ROUTES, lifespan)
    app.state.settings = settings
    errors.install(app)
    literal_paths.install(app)
    trailing_slash.install(app)
    # The middleware that is added last runs first.
    if settings.database_read_url:
        app.add_middleware(ReadPositionsMiddleware)
    app.add_middleware(DeadlineMiddleware, seconds=settings.database_request_timeout)
    app.add_middleware(CompressionMiddleware)
    app.add_middleware(RateLimitMiddleware, limits=rate_limits)
    app.add_middleware(
        LimitsMiddleware,
        client_timeout=settings.client_timeout,
        body_max_bytes=body_max_bytes(settings.proof_max_bytes),
    )
    app.add_middleware(RequestLogMiddleware, trusted_proxies=settings.trusted_proxies)
    cors.install(app, settings)
    app.state.operations = Operations(app.routes)
    return app


def create_app_from_environment() -> FastAPI:
    """Create the API of a serving process, with settings and logging from the environment."""
    settings = Settings()
    configure_logging(settings)
    app = create_app(settings)
    tune_memory()
    return app


def tune_memory() -> None:
    """Make garbage collections rarer and smaller, and keep freed memory for the next response.

    Call it once the long-lived objects exist. A request leaves few cycles, and a collection delays
    all other requests. If each body of some hundred kilobytes is mapped anew, the kernel clears its
    pages, which takes more time than to decompress the body.
    """
    # A full collection first would free some forty objects, and take a tenth of a second.
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    # Other C libraries have no such function.
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        for option, value in _MALLOC_OPTIONS.items():
            mallopt(option, value)
