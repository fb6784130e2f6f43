"""The declaration of the stage that trains a field of each hand by itself."""

from typing import Any

from methods.base import StageSpec


def _settings(config: Any) -> dict[str, Any]:
    """All but what is read at prediction alone."""
    settings: dict[str, Any] = config.model_dump(mode="json", exclude={"extraction"})
    settings["field"].pop("threshold")
    return settings


OCCUPANCY = StageSpec("occupancy", _settings)
