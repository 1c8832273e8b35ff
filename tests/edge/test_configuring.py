"""A setting that cannot be used is called what it is called in the environment."""

from __future__ import annotations

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from palio.edge.configuring import configured
from palio.errors import InvalidInput


class Shop(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")

    seats: int = 2
    doors: int = Field(default=1, validation_alias="HOUSE_DOORS")


def test_what_is_set_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SEATS", "7")
    assert configured(Shop).seats == 7
    assert configured(Shop, seats=3).seats == 3


@pytest.mark.parametrize("name", ["SHOP_SEATS", "HOUSE_DOORS"])
def test_what_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "many")
    with pytest.raises(InvalidInput, match=f"setting {name}: .*integer.*, got 'many'") as refused:
        configured(Shop)
    assert refused.value.details["field"] == name
