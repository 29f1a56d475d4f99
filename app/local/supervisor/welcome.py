"""The welcome banner: tokens of the demonstration's users, and first calls."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.database.engine import Database
from app.identity import tokens, users
from app.local.demo.loading import OWNER, STAFF, SUPPORT

_TOKEN_NAME = "run"  # noqa: S105 - the name in `token list`
_TOKEN_LIFETIME = timedelta(hours=12)
_ROLES = {"staff": STAFF, "support": SUPPORT, "owner": OWNER}
_PATHS = {
    "staff": "invoices/?state=created&page_size=1",
    "support": "invoices/growth/",
    "owner": "invoices/?field=number&field=state&field=total",
}


@dataclass(frozen=True)
class DemoToken:
    """A new key with its user."""

    role: str
    username: str
    key: str


async def create_demo_tokens(database: Database) -> list[DemoToken]:
    """Create a token for each existing user of the demonstration.

    Tokens of an earlier run are revoked.
    """
    created = []
    async with database.transaction() as connection:
        await tokens.revoke_named(connection, _TOKEN_NAME)
        for role, username in _ROLES.items():
            user = await users.find(connection, username)
            if user is not None:
                key = await tokens.create(
                    connection, user.id, name=_TOKEN_NAME, lifetime=_TOKEN_LIFETIME
                )
                created.append(DemoToken(role, username, key))
    return created


def welcome_banner(
    address: str,
    created: list[DemoToken],
    environment: Mapping[str, str],
    metrics: Sequence[str],
) -> str:
    """Return the text that a start prints: the URL of the service, tokens and first calls.

    `environment` has the settings that other commands need to use the same servers; `metrics` has
    the URLs for Prometheus.
    """
    hours = _TOKEN_LIFETIME.total_seconds() / 3600
    lines = ["", f"The service is ready at {address}; its documentation is at {address}/api/docs."]
    if created:
        lines += ["", f"Tokens, valid for {hours:.0f} hours:"]
        lines += [f"  {token.role:8} {token.key}  ({token.username})" for token in created]
        lines += ["", "Try:", *(f"  {call}" for call in _calls(address, created))]
    else:
        lines += ["", "To create an API token: `python -m app token create --help`."]
    if environment:
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        lines += ["", "For other commands, such as import, in another terminal:"]
        lines += [f"  export {settings}", f"  {shlex.quote(sys.executable)} -m app --help"]
    if metrics:
        lines += ["", f"For Prometheus: {' and '.join(metrics)}"]
    lines += ["", "Ctrl-C stops it."]
    return "\n".join(lines)


def _calls(address: str, created: list[DemoToken]) -> list[str]:
    return [
        f"curl -s -H 'Authorization: Token {token.key}' '{address}/api/{_PATHS[token.role]}'"
        for token in created
    ]
