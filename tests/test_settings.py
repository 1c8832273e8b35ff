"""Settings as people write them in an environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from palio.settings import Settings


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder without a file ``.env``."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("a.B", ("a.B",)),
        ("a.B,c.D", ("a.B", "c.D")),
        (" a.B , c.D, ", ("a.B", "c.D")),
        ("", ()),
    ],
)
def test_several_values_have_commas_between_them(
    given: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRUSTED_TYPES", "SOURCE_ROOTS", "SIGNING_KEYS"):
        monkeypatch.setenv(f"PALIO_{name}", given)
    settings = Settings()
    assert settings.trusted_types == found
    assert settings.source_roots == settings.signing_keys == tuple(map(Path, found))


def test_a_file_is_read_as_the_environment_is() -> None:
    Path(".env").write_text("PALIO_TRUSTED_TYPES=a.B,c.D\n", encoding="utf-8")
    assert Settings().trusted_types == ("a.B", "c.D")
