"""What someone who starts the service for the first time needs: tokens and first calls."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.database.engine import Database
from app.identity import tokens, users
from app.local.demo.loading import OWNER, STAFF, SUPPORT

_TOKEN_NAME = "run"  # noqa: S105 - what the tokens of a run are called in `token list`
_TOKEN_LIFETIME = timedelta(hours=12)
_ROLES = {"staff": STAFF, "support": SUPPORT, "owner": OWNER}
_PATHS = {
    "staff": "invoices/?state=created&page_size=1",
    "support": "invoices/growth/",
    "owner": "invoices/?field=number&field=state&field=total",
}


@dataclass(frozen=True)
class FreshToken:
    """A key that was made just now, and who may use it."""

    role: str
    username: str
    key: str


async def fresh_tokens(database: Database) -> list[FreshToken]:
    """Make a token for each of the demonstration's users who is there.

    Those of an earlier run are revoked.
    """
    fresh = []
    async with database.transaction() as connection:
        await tokens.revoke_named(connection, _TOKEN_NAME)
        for role, username in _ROLES.items():
            user = await users.find(connection, username)
            if user is not None:
                key = await tokens.create(
                    connection, user.id, name=_TOKEN_NAME, lifetime=_TOKEN_LIFETIME
                )
                fresh.append(FreshToken(role, username, key))
    return fresh


def greeting(
    address: str,
    fresh: list[FreshToken],
    environment: Mapping[str, str],
    metrics: Sequence[str],
) -> str:
    """Return the text that welcomes a newcomer to the service at `address`.

    With the settings in `environment`, other commands find what this run started. Prometheus finds
    metrics at the addresses in `metrics`.
    """
    hours = _TOKEN_LIFETIME.total_seconds() / 3600
    lines = ["", f"The service is ready at {address}; its documentation is at {address}/api/docs."]
    if fresh:
        lines += ["", f"Tokens, good for {hours:.0f} hours:"]
        lines += [f"  {token.role:8} {token.key}  ({token.username})" for token in fresh]
        lines += ["", "Try:", *(f"  {call}" for call in _calls(address, fresh))]
    else:
        lines += ["", "A key to the API: `python -m app token create --help`."]
    if environment:
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        lines += ["", "For other commands, such as import, in another terminal:"]
        lines += [f"  export {settings}", f"  {shlex.quote(sys.executable)} -m app --help"]
    if metrics:
        lines += ["", f"For Prometheus: {' and '.join(metrics)}"]
    lines += ["", "Ctrl-C ends it."]
    return "\n".join(lines)


def _calls(address: str, fresh: list[FreshToken]) -> list[str]:
    return [
        f"curl -s -H 'Authorization: Token {token.key}' '{address}/api/{_PATHS[token.role]}'"
        for token in fresh
    ]
