"""What dialects are given beside the verbs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.e2e import servers

import palio
from palio.edge.dialects import restored
from palio.errors import UntrustedArtifact


def test_what_a_version_holds_is_an_object_again_here_and_behind_a_server(
    sqlite_url: str,
) -> None:
    with palio.connect(sqlite_url) as opened, servers.serving(sqlite_url) as address:
        servers.credit(opened)
        with palio.connect(address) as remote:
            for verbs in (opened.verbs, remote.verbs):
                found: Any = restored(verbs, "credit:v2")
                assert found.coef_.tolist() == servers.model(0.001).coef_.tolist()


def test_what_runs_code_is_no_object_unless_allowed(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = servers.SAMPLE
    with palio.connect(sqlite_url) as opened:
        opened.register("credit", servers.model(), version="p", sample=sample, flavor="pickled")
        with pytest.raises(UntrustedArtifact, match="PALIO_ALLOW_PICKLE"):
            restored(opened.verbs, "credit:p")
        monkeypatch.setenv("PALIO_ALLOW_PICKLE", "true")
        found: Any = restored(opened.verbs, "credit:p")
        assert found.coef_.tolist() == servers.model().coef_.tolist()
