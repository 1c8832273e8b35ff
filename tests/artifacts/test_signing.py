"""Real keys, and the standard's own tool on both sides of what Palio writes and reads."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.servers import environment

from palio.artifacts.fetched import download
from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.loader import ArtifactLoader
from palio.artifacts.signing import sign, trusted_keys
from palio.errors import CorruptArtifact, InvalidInput, UntrustedArtifact
from palio.registry.domain import Version
from palio.registry.signing.attestation import signer
from palio.registry.signing.bundle import check_cover, read_bundle
from palio.testing.records import RECORDS

CURVES = ["P-256", "P-384", "P-521"]


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


@dataclass(frozen=True, slots=True)
class Pair:
    """A key pair that openssl made, with the commands of ``palio models sign --help``."""

    private: Path
    public: Path

    @classmethod
    def on(cls, curve: str, folder: Path) -> Pair:
        pair = cls(folder / f"{curve}.pem", folder / f"{curve}.pub.pem")
        openssl(
            *("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}"),
            *("-out", pair.private),
        )
        openssl("pkey", "-in", pair.private, "-pubout", "-out", pair.public)
        return pair

    @property
    def trusted(self) -> Any:
        return trusted_keys([("public.pem", self.public.read_bytes())])

    def sign(self, version: Version) -> str:
        return sign(version, self.private.read_bytes())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair.on("P-256", tmp_path_factory.mktemp("keys"))


@dataclass(frozen=True, slots=True)
class Stored:
    """A version whose files lie in a folder."""

    version: Version
    folder: Path
    store: FsspecArtifactStore


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    source = tmp_path / "source"
    (source / "plots").mkdir(parents=True)
    (source / "weights.bin").write_bytes(bytes(range(256)))
    (source / "plots" / "räuber kurve.png").write_bytes(b"png")
    store = FsspecArtifactStore(str(tmp_path / "artifacts"))
    with store.stage("credit", "v1", source) as staged:
        staged.publish()
    version = replace(
        RECORDS["versions"][0], model="credit", version="v1", manifest=staged.manifest
    )
    return Stored(version, tmp_path / "artifacts" / "credit" / "v1", store)


def stock(*arguments: object) -> tuple[int, str]:
    """Run the tool of OpenSSF Model Signing."""
    done = subprocess.run(
        [sys.executable, "-m", "model_signing", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("beside", [True, False])
def test_the_standard_s_tool_verifies_the_version_s_own_folder(
    stored: Stored, tmp_path: Path, curve: str, beside: bool
) -> None:
    pair = Pair.on(curve, tmp_path)
    signature = (stored.folder if beside else tmp_path) / "model.sig"
    signature.write_text(pair.sign(stored.version))
    verify = ("verify", "key", stored.folder, "--signature", signature)
    assert stock(*verify, "--public_key", pair.public) == (0, "Verification succeeded\n")
    copy = tmp_path / "copy"
    download(stored.version, copy, lambda _, path: iter([(stored.folder / path).read_bytes()]))
    assert stock("verify", "key", copy, *verify[3:], "--public_key", pair.public)[0] == 0
    weights = stored.folder / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    code, said = stock(*verify, "--public_key", pair.public)
    assert (code, "Hash mismatch for 'weights.bin'" in said) == (1, True)


@pytest.mark.parametrize("curve", CURVES)
def test_a_signature_of_the_standard_s_tool_holds(
    stored: Stored, tmp_path: Path, curve: str
) -> None:
    pair = Pair.on(curve, tmp_path)
    signature = tmp_path / "model.sig"
    made = ("sign", "key", stored.folder, "--signature", signature, "--private_key", pair.private)
    assert stock(*made)[0] == 0
    key_id = signer(pair.trusted, stored.version, signature.read_text())
    # witness: what `sha256sum public.pem` prints
    assert key_id == hashlib.sha256(pair.public.read_bytes()).hexdigest()


def test_the_standard_s_tool_may_sign_the_files_without_their_list(
    stored: Stored, pair: Pair, tmp_path: Path
) -> None:
    (stored.folder / "manifest.json").unlink()
    signature = tmp_path / "model.sig"
    stock("sign", "key", stored.folder, "--signature", signature, "--private_key", pair.private)
    assert signer(pair.trusted, stored.version, signature.read_text())


def test_what_the_standard_s_tool_did_not_sign_is_named(
    stored: Stored, pair: Pair, tmp_path: Path
) -> None:
    signature = tmp_path / "model.sig"
    made = ("sign", "key", stored.folder, "--signature", signature, "--private_key", pair.private)
    stock(*made, "--ignore-paths", stored.folder / "weights.bin")
    with pytest.raises(InvalidInput, match=r"it does not cover 'weights.bin'"):
        signer(pair.trusted, stored.version, signature.read_text())


def test_the_standard_s_certificates_are_refused(
    stored: Stored, pair: Pair, tmp_path: Path
) -> None:
    certificate, signature = tmp_path / "cert.pem", tmp_path / "model.sig"
    openssl(
        *("req", "-new", "-x509", "-key", pair.private, "-subj", "/CN=ann", "-days", "1"),
        *("-addext", "keyUsage=digitalSignature", "-out", certificate),
    )
    code, said = stock(
        *("sign", "certificate", stored.folder, "--signature", signature),
        *("--private_key", pair.private, "--signing_certificate", certificate),
        *("--certificate_chain", certificate),
    )
    assert code == 0, said
    with pytest.raises(InvalidInput, match="with a certificate or without a key"):
        read_bundle(signature.read_text())


def test_the_list_is_signed_as_it_is_written(stored: Stored, pair: Pair) -> None:
    check_cover(read_bundle(pair.sign(stored.version)), stored.version)
    listed = hashlib.sha256((stored.folder / "manifest.json").read_bytes()).hexdigest()
    assert listed.encode() in read_bundle(pair.sign(stored.version)).payload


# -- what was changed


@pytest.mark.parametrize("part", ["sig", "payload", "hint"])
def test_a_changed_byte_is_found(stored: Stored, pair: Pair, part: str) -> None:
    bundle = pair.sign(stored.version)
    place = bundle.index(f'"{part}":"') + len(part) + 12
    swapped = "A" if bundle[place] != "A" else "B"
    changed = bundle[:place] + swapped + bundle[place + 1 :]
    with pytest.raises((UntrustedArtifact, InvalidInput)):
        signer(pair.trusted, stored.version, changed)


def test_another_key_does_not_hold(stored: Stored, pair: Pair, tmp_path: Path) -> None:
    other = Pair.on("P-256", tmp_path)
    with pytest.raises(UntrustedArtifact, match="which is not trusted here"):
        signer(other.trusted, stored.version, pair.sign(stored.version))


def test_digests_come_first_then_the_signature_then_the_model(stored: Stored) -> None:
    version = replace(stored.version, flavor="onnx")

    def refuse(_: Version) -> None:
        raise UntrustedArtifact("nobody signed")

    assert version.signature is not None
    loader = ArtifactLoader(stored.store, attested=refuse)
    with pytest.raises(UntrustedArtifact, match="nobody signed"):  # and ONNX has read nothing
        loader.load(version)
    (stored.folder / "weights.bin").write_bytes(b"x")
    with pytest.raises(CorruptArtifact, match=r"weights.bin is not what was registered"):
        loader.load(version)


# -- keys


def test_a_private_key_is_never_taken_for_a_public_one(pair: Pair) -> None:
    with pytest.raises(InvalidInput, match=r"release.pem is a private key.*openssl pkey -in"):
        trusted_keys([("release.pem", pair.private.read_bytes())])


def test_a_public_key_signs_nothing(stored: Stored, pair: Pair) -> None:
    with pytest.raises(InvalidInput, match=r"the key is no private key.*openssl genpkey"):
        sign(stored.version, pair.public.read_bytes())


def test_a_file_holds_one_key(pair: Pair) -> None:
    with pytest.raises(InvalidInput, match="more than one key"):
        trusted_keys([("public.pem", pair.public.read_bytes() * 2)])


@pytest.mark.parametrize("pem", [b"", b"no", b"-----BEGIN PUBLIC KEY-----\nAAAA\n", b"\xff" * 99])
def test_what_is_no_key_is_refused(stored: Stored, pem: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"public.pem is no public key of an elliptic curve"):
        trusted_keys([("public.pem", pem)])
    with pytest.raises(InvalidInput, match="the key is no private key of an elliptic curve"):
        sign(stored.version, pem)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["-algorithm", "ED25519"], "no private key of an elliptic curve"),
        (["-algorithm", "RSA"], "no private key of an elliptic curve"),
        (
            ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
            "is on the curve secp256k1, and P-256",
        ),
    ],
)
def test_keys_of_other_kinds_are_refused(
    stored: Stored, tmp_path: Path, options: list[str], why: str
) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    openssl("genpkey", *options, "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    with pytest.raises(InvalidInput, match=why):
        sign(stored.version, private.read_bytes())
    with pytest.raises(InvalidInput, match=why.replace("private", "public")):
        trusted_keys([("public.pem", public.read_bytes())])


def test_a_key_may_have_a_password(stored: Stored, pair: Pair, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    openssl("pkey", "-in", pair.private, "-aes256", "-passout", "pass:geheim", "-out", locked)
    content = locked.read_bytes()
    assert signer(pair.trusted, stored.version, sign(stored.version, content, password="geheim"))
    with pytest.raises(InvalidInput, match="has a password; set PALIO_SIGNING_PASSWORD"):
        sign(stored.version, content)
    with pytest.raises(InvalidInput, match="cannot be read with this password"):
        sign(stored.version, content, password="falsch")
    with pytest.raises(InvalidInput, match="the key has no password"):
        sign(stored.version, pair.private.read_bytes(), password="geheim")


def test_keys_as_older_commands_write_them_do(stored: Stored, tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-out", private)  # parameters come first
    openssl("ec", "-in", private, "-pubout", "-out", public)
    assert signer(
        Pair(private, public).trusted, stored.version, Pair(private, public).sign(stored.version)
    )


ABSENT = """
import sys
sys.modules["cryptography"] = None  # what an import finds where it is not installed
sys.modules["cryptography.hazmat"] = None
from palio.artifacts.signing import sign, trusted_keys
from palio.errors import MissingExtra
assert trusted_keys([]) == {}  # who trusts nobody needs nothing
for call in (lambda: sign(None, b""), lambda: trusted_keys([("public.pem", b"")])):
    try:
        call()
    except MissingExtra as missing:
        print(missing)
"""


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABSENT],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment(),
    )
    assert done.stdout == "signatures need the extra signing: pip install 'palio[signing]'\n" * 2


def test_opening_palio_loads_nothing_that_signs(tmp_path: Path) -> None:
    code = "import sys, palio; palio.connect('x.db').close(); print('cryptography' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment(),
    )
    assert done.stdout == "False\n"
