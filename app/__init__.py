"""An invoicing service for clouds and usage-billed services."""

__version__ = "0.1.0"
