"""A made-up but lifelike data set, to try the service on: thirteen months up to the running one."""

from app.local.demo.issuer import ISSUER, MAIL_FROM
from app.local.demo.loading import DemoSummary, load

__all__ = ["ISSUER", "MAIL_FROM", "DemoSummary", "load"]
