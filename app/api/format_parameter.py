"""The `format` parameter of Django REST framework: the only format here is JSON."""

from fastapi import Request

from app.api.errors import NotFound


def require_json(request: Request) -> None:
    """Refuse a `format` other than json.

    Raises NotFound, as Django REST framework does.
    """
    if request.query_params.get("format", "") not in ("", "json"):
        raise NotFound
