"""The settings that a process of the service gets from an environment."""

from collections.abc import Mapping

from app.settings import Settings


def settings_of(environment: Mapping[str, str]) -> Settings:
    """Return the settings of a process with exactly this environment."""
    given = {name.lower(): value for name, value in environment.items()}
    return Settings.model_validate(
        {name: value for name, value in given.items() if name in Settings.model_fields}
    )
