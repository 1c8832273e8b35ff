"""Signatures over files: what is taken, what is refused, and where one is demanded."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.experiments.test_service import serve
from tests.registry.guarded import GUARDED

from palio.access.domain import Role
from palio.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    PalioError,
    TooLarge,
    UntrustedArtifact,
)
from palio.experiments.domain import State
from palio.registry.domain import ArtifactFile, Manifest, Version
from palio.registry.lifecycle import STANDARD
from palio.registry.requirements import ATTESTED, wanted_by
from palio.registry.signing.attestation import Demand, Vouching, signer, verdicts
from palio.registry.signing.bundle import (
    BUNDLE_LIMIT_BYTES,
    Bundle,
    check_cover,
    content_signed,
    read_bundle,
    statement_of,
    written,
)
from palio.testing.attestations import FakeKey, signed_by
from palio.testing.memory import MemoryStore
from palio.testing.records import RECORDS, design
from palio.testing.wired import Wired

ANN, EVE = FakeKey("a" * 64), FakeKey("e" * 64)
TRUSTED = {ANN.id: ANN}
FILES = (
    ArtifactFile("model.skops", 3, "0a" * 32),
    ArtifactFile("plots/roc.png", 4, "0b" * 32),
)
VERSION: Version = replace(RECORDS["versions"][0], manifest=Manifest(FILES, "0c" * 32))


def statement(version: Version = VERSION) -> Any:
    return json.loads(statement_of(version))


def changed(**fields: Any) -> bytes:
    return json.dumps(statement() | fields).encode()


def predicate(**fields: Any) -> bytes:
    return changed(predicate=statement()["predicate"] | fields)


# -- the form


def test_the_bytes_that_are_signed_are_those_of_the_standard() -> None:
    # witness: github.com/secure-systems-lab/dsse, protocol.md, with the type of in-toto
    assert content_signed(b"hello") == b"DSSEv1 28 application/vnd.in-toto+json 5 hello"


def test_a_statement_names_every_file_and_the_list_of_them() -> None:
    resources = statement()["predicate"]["resources"]
    assert [one["name"] for one in resources] == ["manifest.json", "model.skops", "plots/roc.png"]
    assert [one["digest"] for one in resources[1:]] == [file.sha256 for file in FILES]
    assert statement()["subject"][0]["name"] == VERSION.reference


def test_a_bundle_comes_back_as_it_was() -> None:
    bundle = Bundle(payload=b"p\0", signature=b"s\xff", key_id="0f" * 32)
    assert read_bundle(written(bundle)) == bundle


Edit = Callable[[Any], Any]


def without_key(form: Any) -> None:
    form["verificationMaterial"] = {"x509CertificateChain": {"certificates": []}}


def with_certificate(form: Any) -> None:
    form["verificationMaterial"] = {"certificate": {"rawBytes": "AA=="}, "tlogEntries": [{}]}


def without_hint(form: Any) -> None:
    form["verificationMaterial"]["publicKey"] = {"rawBytes": "AA=="}


def long_hint(form: Any) -> None:
    form["verificationMaterial"]["publicKey"]["hint"] = "a" * 1_000_000


def signed_twice(form: Any) -> None:
    form["dsseEnvelope"]["signatures"] *= 2


def unsigned(form: Any) -> None:
    form["dsseEnvelope"]["signatures"] = []


def long_media(form: Any) -> None:
    form["mediaType"] = "x" * 1_000_000


def other_media(form: Any) -> None:
    form["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1"


def other_payload(form: Any) -> None:
    form["dsseEnvelope"]["payloadType"] = "text/plain"


def no_base64(form: Any) -> None:
    form["dsseEnvelope"]["payload"] = "é!"


def no_envelope(form: Any) -> None:
    del form["dsseEnvelope"]


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (without_key, "with a certificate or without a key.*palio models sign --key"),
        (with_certificate, "with a certificate or without a key"),
        (without_hint, "does not name its key by a SHA-256; sign with model-signing 1.1"),
        (long_hint, "does not name its key by a SHA-256"),
        (signed_twice, "has 2 signatures instead of one"),
        (unsigned, "has 0 signatures instead of one"),
        (long_media, "is of the media type 'xxx"),
        (other_media, "is of the media type 'application/vnd.dev.sigstore.bundle.json;ver"),
        (other_payload, "holds 'text/plain'"),
        (no_base64, "payload that is no Base64"),
        (no_envelope, "cannot be read: .*dsseEnvelope"),
    ],
)
def test_what_is_no_bundle_of_a_key_pair_is_refused(edit: Edit, why: str) -> None:
    form = json.loads(signed_by(ANN, VERSION))
    edit(form)
    with pytest.raises(InvalidInput, match=why) as caught:
        read_bundle(json.dumps(form))
    assert len(caught.value.message) < 400  # nobody is shown all that somebody sent


@pytest.mark.parametrize(
    "text",
    ["", "no", "[]", "{}", "null", "\0", "\ud800", '{"a":' * 100_000, "[" * 1_000_000],
    ids=["empty", "no", "list", "object", "null", "NUL", "half", "deep", "deeper"],
)
def test_what_is_no_bundle_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="the bundle cannot be read"):
        read_bundle(text)


def test_a_bundle_that_is_too_large_is_not_read() -> None:
    with pytest.raises(TooLarge, match="at most 4194304 are read"):
        read_bundle(" " * (BUNDLE_LIMIT_BYTES + 1))


def test_ten_thousand_files_fit() -> None:
    files = tuple(ArtifactFile(f"part-{at:05}.bin", 1, "0a" * 32) for at in range(10_000))
    many = replace(VERSION, manifest=Manifest(files, "0c" * 32))
    check_cover(read_bundle(signed_by(ANN, many)), many)


# -- the files


def test_the_list_may_be_left_out() -> None:
    resources = statement()["predicate"]["resources"][1:]
    digests = b"".join(bytes.fromhex(one["digest"]) for one in resources)
    root = hashlib.sha256(digests).hexdigest()
    payload = changed(
        predicate=statement()["predicate"] | {"resources": resources},
        subject=[{"name": "x", "digest": {"sha256": root}}],
    )
    assert signer(TRUSTED, VERSION, signed_by(ANN, VERSION, payload)) == ANN.id


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (FILES[:1], r"covers other bytes of 'manifest.json'|does not cover 'plots/roc.png'"),
        ((*FILES, ArtifactFile("more", 1, "0d" * 32)), "other bytes of 'manifest.json'"),
        ((FILES[0], replace(FILES[1], sha256="0d" * 32)), "other bytes of 'manifest.json', 'pl"),
        ((FILES[0], replace(FILES[1], path="plots/ROC.png")), "does not cover 'plots/roc.png'"),
    ],
    ids=["fewer", "more", "changed", "renamed"],
)
def test_a_signature_over_other_files_is_refused(
    files: tuple[ArtifactFile, ...], why: str
) -> None:
    other = replace(VERSION, manifest=Manifest(files, "0c" * 32))
    with pytest.raises(InvalidInput, match=f"not over the files of .*({why})"):
        check_cover(read_bundle(signed_by(ANN, other)), VERSION)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (changed(_type="x"), "statement of the type"),
        (
            changed(predicateType="https://model_signing/Digests/v0.1"),
            "model-signing 1.0 or later",
        ),
        (changed(subject=[]), "contradicts itself"),
        (changed(subject=[{"digest": {"sha256": "00" * 32}}]), "contradicts itself"),
        (changed(predicate={}), "cannot be read"),
        (predicate(serialization={"method": "shards", "hash_type": "sha256"}), "lists shards"),
        (predicate(serialization={"method": "files", "hash_type": "blake3"}), "by blake3, sha256"),
        (predicate(resources=[{"name": "a", "algorithm": "sha256", "digest": "x"}]), "no hexadec"),
        (predicate(resources=statement()["predicate"]["resources"] * 2), "lists a file twice"),
        (predicate(resources=[]), "contradicts itself"),
        (b"[" * 1_000_000, "cannot be read"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_statement_of_another_kind_is_refused(payload: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        signer(TRUSTED, VERSION, signed_by(ANN, VERSION, payload))


def test_a_payload_that_was_changed_does_not_hold() -> None:
    form = json.loads(signed_by(ANN, VERSION))
    payload = statement_of(VERSION) + b" "
    form["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(UntrustedArtifact, match=r"does not hold: the key a{12}… has not signed"):
        signer(TRUSTED, VERSION, json.dumps(form))


def test_a_key_that_nobody_trusts_is_named() -> None:
    with pytest.raises(UntrustedArtifact, match=r"the key e{12}…, which is not trusted here"):
        signer(TRUSTED, VERSION, signed_by(EVE, VERSION))


def test_a_borrowed_key_id_is_of_no_use() -> None:
    stolen = replace(read_bundle(signed_by(EVE, VERSION)), key_id=ANN.id)
    with pytest.raises(UntrustedArtifact, match="does not hold"):
        signer(TRUSTED, VERSION, written(stolen))


@given(st.data())
def test_no_changed_character_changes_what_is_believed(data: st.DataObject) -> None:
    bundle = signed_by(ANN, VERSION)
    place = data.draw(st.integers(0, len(bundle) - 1))
    changed = bundle[:place] + data.draw(st.characters()) + bundle[place + 1 :]
    try:
        signer(TRUSTED, VERSION, changed)
    except (InvalidInput, UntrustedArtifact):
        return
    assert read_bundle(changed) == read_bundle(bundle)  # it stood in what nobody reads


# -- the verbs


@pytest.fixture
def trusting(memory_store: MemoryStore) -> Wired:
    """Verbs of a process that trusts Ann, with m:1 and m:2."""
    wired = Wired(memory_store, vouching=Vouching(keys=TRUSTED))
    wired.register("m:1", "m:2")
    return wired


def demanding(wired: Wired, demand: Demand) -> Wired:
    return replace(wired, vouching=Vouching(keys=TRUSTED, demand=demand))


def sign(wired: Wired, reference: str, key: FakeKey = ANN) -> None:
    wired.versions.attest(reference, signed_by(key, wired.versions.get(reference)))


def test_a_signature_is_kept_and_audited(trusting: Wired) -> None:
    bob = trusting.acting("bob", Role.OPERATOR)
    sign(bob, "m:1")
    sign(bob, "m:1", EVE)  # of whom nothing is known: kept, and trusted by those who trust her
    kept = trusting.versions.attestations("m:1")
    assert [(one.seq, one.key_id, one.actor) for one in kept] == [
        (1, ANN.id, "bob"),
        (2, EVE.id, "bob"),
    ]
    entry = trusting.audit.list(after=0, limit=100)[-1]
    assert (entry.action, entry.subject, entry.actor) == ("version.attest", "m:1", "bob")
    assert entry.after is not None
    assert (entry.after["key_id"], entry.after["seq"]) == (EVE.id, 2)
    assert trusting.versions.attestations("m:2") == []
    judged = verdicts(TRUSTED, trusting.versions.get("m:1"), kept)
    assert [one.holds for one in judged] == [True, False]


def test_what_is_signed_by_alias_is_its_version(trusting: Wired) -> None:
    trusting.versions.promote("m:2")
    sign(trusting, "m@champion")
    assert [one.version for one in trusting.versions.attestations("m:2")] == ["2"]


def test_the_same_signature_is_kept_once(trusting: Wired) -> None:
    sign(trusting, "m:1")
    with pytest.raises(AlreadyExists, match="this signature over m:1 is kept already"):
        sign(trusting, "m:1")


def refused(wired: Wired, bundle: str, kind: type[PalioError], why: str) -> None:
    before = wired.audit.verify().entries
    with pytest.raises(kind, match=why):
        wired.versions.attest("m:1", bundle)
    assert wired.versions.attestations("m:1") == []
    assert wired.audit.verify().entries == before


def test_what_does_not_hold_is_not_kept(trusting: Wired) -> None:
    version = trusting.versions.get("m:1")
    stolen = replace(read_bundle(signed_by(EVE, version)), key_id=ANN.id)
    refused(trusting, written(stolen), UntrustedArtifact, "does not hold")
    refused(trusting, signed_by(ANN, VERSION), InvalidInput, "not over the files of m:1")
    refused(trusting, "{}", InvalidInput, "cannot be read")
    refused(trusting, "x" * 100_000_000, TooLarge, "at most")


# -- where one is demanded


def test_nothing_is_demanded_by_default(trusting: Wired) -> None:
    assert trusting.versions.promote("m:1").stage == STANDARD.production


@pytest.mark.parametrize("demand", [Demand.PROMOTION, Demand.LOAD])
def test_promotion_waits_for_a_signature(trusting: Wired, demand: Demand) -> None:
    strict = demanding(trusting, demand)
    with pytest.raises(Conflict, match="attestation: found none, wanted a signature over its"):
        strict.versions.promote("m:1")
    sign(strict, "m:1", EVE)
    with pytest.raises(Conflict, match="found 1, of which none holds by a key trusted here"):
        strict.versions.promote("m:1")
    [finding] = strict.versions.requirements("m:1").findings
    assert (finding.requirement, finding.met) == (ATTESTED, False)
    assert strict.versions.requirements("m:1", "staging").findings == ()  # of production alone
    sign(strict, "m:1")
    assert strict.versions.requirements("m:1").ready
    assert strict.versions.promote("m:1").stage == STANDARD.production


def test_a_lifecycle_requires_a_signature_of_any_stage(trusting: Wired) -> None:
    steps = {**GUARDED.transitions, "new": ("tried", "live", "gone")}
    trusting.lifecycles.declare(
        replace(GUARDED, transitions=steps, requires={"tried": (ATTESTED,)})
    )
    trusting.models.create("n", lifecycle="guarded")
    trusting.register("n:1", "n:2")
    with pytest.raises(Conflict, match="does not meet what tried requires: attestation: found"):
        trusting.versions.move("n:1", "tried")
    sign(trusting, "n:1")
    assert trusting.versions.move("n:1", "tried").stage == "tried"
    trusting.versions.promote("n:2")
    with pytest.raises(Conflict, match="n:2 does not meet what tried requires"):
        trusting.versions.promote("n:1", former_to="tried")  # each version answers for itself
    assert wanted_by(ATTESTED) == "attestation: a signature over its files by a trusted key"


def test_the_lifecycle_s_own_requirement_is_listed_once(trusting: Wired) -> None:
    production = {STANDARD.production: (ATTESTED,)}
    trusting.lifecycles.declare(replace(STANDARD, name="signed", requires=production))
    trusting.models.create("n", lifecycle="signed")
    trusting.register("n:1")
    strict = demanding(trusting, Demand.PROMOTION)
    assert len(strict.versions.requirements("n:1").findings) == 1


def test_an_experiment_ships_no_unsigned_version(memory_store: MemoryStore) -> None:
    wired = Wired(memory_store)
    wired.serve("1", "2")
    wired.run(design())
    serve(wired, 300)
    strict = demanding(wired, Demand.PROMOTION)
    with pytest.raises(Conflict, match="attestation: found none"):
        strict.experiments.ship("exp")
    sign(strict, "credit:2")
    assert strict.experiments.ship("exp").state is State.COMPLETED


def test_a_rollback_goes_to_what_can_be_loaded(trusting: Wired) -> None:
    trusting.versions.promote("m:1")
    trusting.versions.promote("m:2")
    strict = demanding(trusting, Demand.LOAD)
    with pytest.raises(
        Conflict,
        match=r"nothing was rolled back: m:1 is not signed.*sign it: palio models sign m:1",
    ):
        strict.models.rollback("m")
    assert strict.models.aliases("m") == {"champion": "2"}
    sign(strict, "m:1")
    assert strict.models.rollback("m").version == "1"


def test_a_rollback_is_not_held_up_by_what_promotion_demands(trusting: Wired) -> None:
    trusting.versions.promote("m:1")
    trusting.versions.promote("m:2")
    assert demanding(trusting, Demand.PROMOTION).models.rollback("m").version == "1"


@pytest.mark.parametrize("demand", [Demand.NO, Demand.PROMOTION])
def test_loading_demands_nothing_unless_it_is_said(trusting: Wired, demand: Demand) -> None:
    def never(_: str) -> Any:
        raise AssertionError("asked")

    strict = demanding(trusting, demand)
    strict.vouching.check_load(never, strict.versions.get("m:1"))


def test_loading_demands_a_signature(trusting: Wired) -> None:
    strict = demanding(trusting, Demand.LOAD)
    version = strict.versions.get("m:1")
    with pytest.raises(UntrustedArtifact, match=r"m:1 is not signed.*\(found: none\)") as caught:
        strict.vouching.check_load(strict.versions.attestations, version)
    assert caught.value.details["setting"] == "PALIO_REQUIRE_ATTESTATION"
    sign(strict, "m:1")
    strict.vouching.check_load(strict.versions.attestations, version)
    swapped = replace(version, manifest=VERSION.manifest)  # the record was edited, and the files
    with pytest.raises(UntrustedArtifact, match="of which none holds"):
        strict.vouching.check_load(strict.versions.attestations, swapped)
