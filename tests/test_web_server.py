"""Where the page is bound: HTTPS, an output of a run, a package that is missing."""

from __future__ import annotations

import ssl
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from configs import load_settings
from stream.errors import SinkError, SinkPathError
from stream.frame import FrameResult
from stream.outlets import Context, is_remote, kind_of, open_outlet
from stream.queues import Prefetch
from stream.sources import SourceInfo
from stream.web.desk import Desk
from stream.web.server import Door, bind, build_server, place
from tests.clips import face, half_covered, plain_frame
from tests.web_client import Client, Mute, until


def test_https_with_a_certificate(tmp_path: Path):
    chain, key = own_certificate(tmp_path)
    desk = Desk(load_settings("tiny"), None, Mute)
    with bind("127.0.0.1", 0) as listening:
        server = build_server(desk, Door(certificate=(chain, key)))

        def serve():
            server.run(sockets=[listening])
            yield

        with Prefetch(serve()):
            try:
                until(lambda: server.started)
                trust = ssl.create_default_context(cafile=str(chain))
                address = f"https://localhost:{listening.getsockname()[1]}/healthz"
                with urllib.request.urlopen(address, context=trust, timeout=10) as answer:
                    assert answer.read() == b'{"ok":true}'
            finally:
                server.should_exit = True


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of localhost, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = folder / "chain.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption(),
    ))  # fmt: skip
    return paths


def test_without_the_packages_the_command_says_what_to_install():
    code = (
        "import sys; sys.modules['fastapi'] = None; sys.argv = ['s3pot', 'serve', '--port', '0'];"
        "from stream.cli import main; main()"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 's3pot-stream[web]'" in done.stderr


def test_web_as_an_output_shows_a_run_and_ends_with_it():
    context = Context(SourceInfo("folder/clip.mp4", 48, 64), load_settings("tiny"), None)
    assert kind_of("web:8000") == ("web", "8000")
    assert is_remote("web:8000")
    sink = open_outlet("web:0", context)
    client = Client(sink.port)
    assert client.get("/api/about") == {"camera": False, "watch": "clip.mp4", "width": 1280, "height": 720}  # fmt: skip
    assert client.ask("POST", "/api/camera", {})[0] == 503
    sink.write(FrameResult(plain_frame(3), (face(),), (half_covered(),)))
    assert client.get("/api/state?of=watch")["faces"][0]["coverage"] == half_covered().coverage
    assert np.abs(client.picture("/stream.mjpg").astype(int) - plain_frame(3).image).mean() < 12
    with pytest.raises(SinkError, match=f":{sink.port} cannot be used"):
        open_outlet(f"web:{sink.port}", context)
    sink.close()
    with pytest.raises(OSError):  # noqa: PT011  refused, or reset
        client.ask("GET", "/healthz")


@pytest.mark.parametrize("rest", ["", "x", "99999", "127.0.0.1:", "8000/x"])
def test_an_output_without_a_port_is_refused(rest: str):
    with pytest.raises(SinkPathError, match="web:PORT"):
        place(rest)


def test_an_output_that_others_reach_needs_a_token(monkeypatch):
    monkeypatch.delenv("S3POT_TOKEN", raising=False)
    context = Context(SourceInfo("x", 48, 64), load_settings("tiny"), None)
    with pytest.raises(SinkPathError, match="token is needed"):
        open_outlet("web:0.0.0.0:0", context)
    assert place("[::1]:80") == ("::1", 80)
