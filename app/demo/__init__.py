"""A made-up but lifelike data set, to try the service on: thirteen months up to the running one."""

from app.demo.loading import DemoSummary, load

__all__ = ["DemoSummary", "load"]
