"""Keys: hashed, shown once, and useless when expired or revoked."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from palio.access.domain import Identity, Role, digest_of
from palio.errors import InvalidInput, NotFound, Unauthenticated
from palio.testing.wired import Wired

DAY = 86_400.0


def test_a_key_opens(wired: Wired) -> None:
    new = wired.keys.create("ci", Role.OPERATOR)
    assert wired.keys.authenticate(new.secret) == Identity("ci", Role.OPERATOR)


def test_the_secret_is_shown_once_and_kept_nowhere(wired: Wired) -> None:
    new = wired.keys.create("ci")
    with wired.store.read() as unit:
        [kept] = unit.keys.find()
        log = unit.audit.entries()
    assert kept.digest == digest_of(new.secret)
    shown = [new.key, *wired.keys.list(), wired.keys.revoke(new.key.id)]
    for text in (str(asdict(kept)), str(log), *map(str, shown)):
        assert new.secret not in text
    for key in shown:
        assert key.digest == ""
    assert new.secret.startswith("palio_")


def test_digest_is_sha_256() -> None:
    # NIST FIPS 180-4 example: SHA-256 of "abc"
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_of("abc") == known


@pytest.mark.parametrize("secret", ["", "palio_", "wrong", "pälio_🦉"])
def test_an_unknown_secret_is_refused(wired: Wired, secret: str) -> None:
    wired.keys.create("ci")
    with pytest.raises(Unauthenticated, match="unknown, revoked or expired"):
        wired.keys.authenticate(secret)


def test_a_key_expires(wired: Wired) -> None:
    new = wired.keys.create("ci", expires_in_days=1)
    wired.clock.advance(DAY - 1)
    assert wired.keys.authenticate(new.secret).name == "ci"
    assert wired.keys.configured()
    wired.clock.advance(1)
    with pytest.raises(Unauthenticated):
        wired.keys.authenticate(new.secret)
    assert wired.keys.configured()  # time alone does not open a server


def test_a_key_is_revoked(wired: Wired) -> None:
    new, other = wired.keys.create("ci"), wired.keys.create("cd")
    wired.clock.advance(5)
    revoked = wired.keys.revoke(new.key.id)
    assert revoked.revoked_at == wired.clock.now
    with pytest.raises(Unauthenticated):
        wired.keys.authenticate(new.secret)
    assert wired.keys.authenticate(other.secret).name == "cd"


def test_revoking_twice_changes_nothing(wired: Wired) -> None:
    new = wired.keys.create("ci")
    first = wired.keys.revoke(new.key.id)
    wired.clock.advance(5)
    assert wired.keys.revoke(new.key.id) == first
    assert [entry.action for entry in wired.audit.list()] == ["key.create", "key.revoke"]


def test_an_unknown_key_cannot_be_revoked(wired: Wired) -> None:
    with pytest.raises(NotFound, match="palio keys list"):
        wired.keys.revoke("key_9")


def test_no_key_is_configured_at_first(wired: Wired) -> None:
    assert not wired.keys.configured()
    new = wired.keys.create("ci")
    assert wired.keys.configured()
    wired.keys.revoke(new.key.id)
    assert not wired.keys.configured()


@pytest.mark.parametrize("days", [0, -1, 36_501, float("nan"), float("inf")])
def test_days_out_of_range(wired: Wired, days: float) -> None:
    with pytest.raises(InvalidInput, match="above 0 and at most 36500"):
        wired.keys.create("ci", expires_in_days=days)
    assert list(wired.keys.list()) == []


@pytest.mark.parametrize("name", ["", "  "])
def test_a_key_without_a_name(wired: Wired, name: str) -> None:
    with pytest.raises(InvalidInput, match="say who will use the key"):
        wired.keys.create(name)


def test_keys_are_listed_in_order(wired: Wired) -> None:
    made = [wired.keys.create(name).key for name in ("b", "a", "c")]
    assert list(wired.keys.list()) == made
