"""The `format` parameter of Django REST framework. JSON is the only format."""

from fastapi import Request

from app.api.errors import NotFound


def require_json(request: Request) -> None:
    """Raise NotFound for another `format` than json, as Django REST framework does."""
    if request.query_params.get("format", "") not in ("", "json"):
        raise NotFound
