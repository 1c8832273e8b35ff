"""Settings from the environment and ``.env``: what cannot be used is named as it was set."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from palio.errors import InvalidInput

__all__ = ["configured"]

_S = TypeVar("_S", bound=BaseSettings)


def configured(kind: type[_S], **given: Any) -> _S:
    """Read the settings of a class.

    Parameters
    ----------
    kind
        Which settings.
    **given
        What stands instead of what is set.

    Raises
    ------
    InvalidInput
        Naming the first one that cannot be used, as it is called in the environment.
    """
    try:
        return kind(**given)
    except ValidationError as unfit:
        first = unfit.errors()[0]
        field = str(first["loc"][0])
        prefix = str(kind.model_config.get("env_prefix", ""))
        name = f"{prefix}{field}".upper() if field in kind.model_fields else field  # or an alias
        raise InvalidInput(
            f"setting {name}: {first['msg']}, got {first['input']!r}", field=name
        ) from unfit
