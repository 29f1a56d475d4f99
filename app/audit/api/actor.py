"""The actor of a request."""

from starlette.requests import Request

from app.api.middleware.request_log import request_id_of
from app.audit.actor import Actor
from app.identity.caller import Caller


def actor_of_request(request: Request, caller: Caller) -> Actor:
    """Return the actor behind a request; its operation is the operation id of the route."""
    impersonator = caller.impersonator
    return Actor(
        operation=request.scope["route"].operation_id,
        user_uuid=caller.user_uuid,
        username=caller.username,
        token=caller.token,
        request_id=request_id_of(request),
        impersonator_uuid=impersonator.uuid if impersonator else None,
        impersonator_username=impersonator.username if impersonator else "",
    )
