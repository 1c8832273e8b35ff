"""Settings as people write them in an environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

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


@pytest.mark.parametrize("given", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_a_device_is_one_that_networks_can_be_on(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings().torch_device == "auto"
    monkeypatch.setenv("PALIO_TORCH_DEVICE", given)
    assert Settings().torch_device == given


@pytest.mark.parametrize("given", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:a", "meta"])
def test_another_device_is_told(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALIO_TORCH_DEVICE", given)
    with pytest.raises(ValidationError, match="must be auto, cpu, cuda or cuda:N"):
        Settings()


def test_a_file_is_read_as_the_environment_is() -> None:
    Path(".env").write_text("PALIO_TRUSTED_TYPES=a.B,c.D\n", encoding="utf-8")
    assert Settings().trusted_types == ("a.B", "c.D")
