"""Clients that call the API in the same process."""

import httpx
from fastapi import FastAPI

BASE = "http://invoicing.example"


def client_of(app: FastAPI, address: str = "127.0.0.1", **options: object) -> httpx.AsyncClient:
    """Return a client of a started application that calls from an address."""
    transport = httpx.ASGITransport(app=app, client=(address, 123))
    return httpx.AsyncClient(transport=transport, base_url=BASE, **options)  # type: ignore[arg-type]  # httpx's own
