"""The documents beside a version's files: what is written reads back equal."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import yaml
from hypothesis import given
from hypothesis import strategies as st

from palio.registry.describing.documents import documents_of
from palio.registry.domain import VersionDraft
from palio.registry.registration import Registration
from palio.registry.signature import Feature, FeatureType, Signature, Task

TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from("\n\t"))
NAMES = TEXTS.filter(str.strip)
FIGURES = st.dictionaries(NAMES, st.floats(allow_nan=False, allow_infinity=False), max_size=4)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.sampled_from(["yes", "1e3", "~", "2026-01-01", "<<", "=", "0o7", "- a", "# no", "&a *a"])
)
DOCUMENTS = st.dictionaries(
    TEXTS,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
        max_leaves=10,
    ),
    max_size=5,
)
SIGNATURES = st.builds(
    Signature,
    st.lists(
        st.builds(Feature, TEXTS, st.sampled_from(FeatureType), st.booleans()), max_size=3
    ).map(tuple),
    st.sampled_from(Task),
    st.lists(st.booleans() | st.integers(-9, 9) | TEXTS, max_size=3).map(tuple),
)
DRAFTS = st.builds(
    VersionDraft,
    version=st.just("v1"),
    flavor=st.just("sklearn"),
    signature=st.none() | SIGNATURES,
    metrics=FIGURES,
    backtest=FIGURES,
    training=DOCUMENTS,
    policy=st.none() | DOCUMENTS,
    tags=st.dictionaries(NAMES, TEXTS, max_size=3),
    source=st.dictionaries(NAMES, TEXTS, max_size=3),
    description=TEXTS,
    framework=TEXTS,
    card=TEXTS,
    parent=st.none() | st.just("credit:v0"),
)
AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def written(draft: VersionDraft) -> dict[str, bytes]:
    return documents_of(Registration(model="credit", draft=draft, created_at=AT, created_by="ann"))


@given(DRAFTS)
def test_what_is_written_reads_back_equal(draft: VersionDraft) -> None:
    documents = written(draft)
    metadata = json.loads(documents["metadata.json"])
    assert metadata.pop("model") == "credit"
    assert datetime.fromisoformat(metadata.pop("created_at")) == AT
    assert metadata.pop("created_by") == "ann"
    assert msgspec.convert(metadata, VersionDraft) == draft
    assert json.loads(documents["metrics.json"]) == draft.metrics


@given(DRAFTS)
def test_a_policy_and_a_signature_have_files_of_their_own(draft: VersionDraft) -> None:
    documents = written(draft)
    assert ("policy.yaml" in documents) is (draft.policy is not None)
    assert ("features.json" in documents) is (draft.signature is not None)
    if draft.policy is not None:
        read = yaml.safe_load(documents["policy.yaml"])
        assert read == draft.policy
        assert list(read) == list(draft.policy)
    if draft.signature is not None:
        assert msgspec.json.decode(documents["features.json"], type=Signature) == draft.signature


def test_they_are_made_for_people_to_read() -> None:
    policy: dict[str, Any] = {"zuletzt": 1, "max_leverage": 3.0, "symbols": ["日本", None]}
    documents = written(
        VersionDraft(version="v1", flavor="x", policy=policy, metrics={"b": 1, "a": 0.5})
    )
    assert documents["policy.yaml"].decode() == (
        "zuletzt: 1\nmax_leverage: 3.0\nsymbols:\n- 日本\n- null\n"
    )
    assert documents["metrics.json"] == b'{\n  "a": 0.5,\n  "b": 1.0\n}\n'
    lines = documents["metadata.json"].decode().splitlines()
    names = [line.split('"')[1] for line in lines if line.startswith('  "')]
    assert names == sorted(names)


def test_the_same_list_twice_makes_no_anchors() -> None:
    shared = [1, 2]
    documents = written(VersionDraft(version="1", flavor="x", policy={"a": shared, "b": shared}))
    assert documents["policy.yaml"] == b"a:\n- 1\n- 2\nb:\n- 1\n- 2\n"
