"""Files that a configuration names are tried before anything is made."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from apprproxy.app import try_files
from apprproxy.settings import BadConfiguration, Settings
from tests.peers.certificate import Certificate, certify


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return certify("gateway.corp", tmp_path)


def complaint(**sections: Any) -> str:
    with pytest.raises(BadConfiguration) as refused:
        try_files(Settings.model_validate(sections))
    return str(refused.value)


def upstream(**keys: Any) -> dict[str, Any]:
    return {"hub": {"kind": "oci", "url": "https://hub.example", **keys}}


def test_all_that_are_missing_are_told(tmp_path: Path) -> None:
    said = complaint(
        server={"tls": {"cert": tmp_path / "a.crt", "key": tmp_path / "a.key"}},
        upstreams=upstream(
            auth={"username": "bot", "password_file": tmp_path / "password"},
            names="locked",
            lock_file=tmp_path / "lock",
            tls={"ca_file": tmp_path / "ca"},
            mirrors=[{"url": "https://m.example", "tls": {"ca_file": tmp_path / "other"}}],
        ),
    )

    assert [
        f"server.tls.cert: {tmp_path}/a.crt: No such file or directory",
        f"upstreams.hub.tls.ca_file: {tmp_path}/ca: No such file or directory",
        f"upstreams.hub.auth.password_file: {tmp_path}/password: No such file or directory",
        f"upstreams.hub.lock_file: {tmp_path}/lock: No such file or directory; `apprproxy names lock` writes one",
        f"upstreams.hub.mirrors (mirror-1).tls.ca_file: {tmp_path}/other: No such file or directory",
    ] == said.splitlines()


def test_of_a_file_that_is_missing_it_is_told_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = complaint(
        server={"tls": {"cert": "a.crt", "key": "a.key"}},
        upstreams=upstream(
            auth={"username": "bot", "password_file": "password"},
            names="locked",
            lock_file="lock",
            tls={"ca_file": "ca"},
        )
        | {"far": {"kind": "oci", "url": "https://far.example", "auth": {"docker_config": "config.json"}}},
    )

    assert [f"{tmp_path}/{name}" for name in ("a.crt", "ca", "password", "lock", "config.json")] == [
        line.split(": ")[1] for line in said.splitlines()
    ]


def test_a_lock_file_that_is_broken_is_not_said_to_be_written_by_the_command_that_refuses_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("{broken")

    assert f"upstreams.hub.lock_file: {path}: not JSON" == complaint(upstreams=upstream(names="locked", lock_file=path))


def test_what_is_wrong_with_a_certificate_is_told(certificate: Certificate, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    junk, other = tmp_path / "junk.pem", certify("other.corp", tmp_path / "other")
    junk.write_text("no PEM")

    def said(cert: Path, key: Path) -> str:
        return complaint(server={"tls": {"cert": cert, "key": key}})

    assert f"server.tls.key: {tmp_path}/none: No such file or directory" == said(certificate.path, tmp_path / "none")
    assert said(certificate.path, other.key).endswith(f"{other.key}: the key is another certificate's")
    assert said(junk, certificate.key).endswith(": they are not a certificate and its key in PEM")
    assert "upstreams.hub.tls.ca_file" in complaint(upstreams=upstream(tls={"ca_file": junk}))


def test_a_key_with_a_pass_phrase_is_refused_without_asking_for_it(certificate: Certificate, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    key = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
    lock = serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))
    tls = {"cert": certificate.path, "key": locked}
    why = f"tls.key: {locked}: it has a pass phrase; give a key without one"

    assert f"server.{why}" == complaint(server={"tls": tls})
    assert f"upstreams.hub.{why}" == complaint(upstreams=upstream(tls=tls))


def test_files_that_are_right_pass(certificate: Certificate) -> None:
    tls = {"cert": certificate.path, "key": certificate.key}
    try_files(Settings.model_validate({"server": {"tls": tls}, "upstreams": upstream(tls={**tls, "verify": False})}))
