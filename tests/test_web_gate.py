"""Who may come in to the page."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from stream.cli import app
from stream.web.gate import MOST_BYTES, check_access, is_loopback
from tests.web_client import Client, serving

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def open_page():
    with serving("web.sessions=0") as (client, _):
        yield client


@pytest.fixture(scope="module")
def guarded_page():
    with serving("web.sessions=0", token=TOKEN) as (client, _):
        yield client


def test_this_machine_needs_no_token_and_gets_a_page_that_loads_nothing_from_elsewhere(
    open_page: Client,
):
    status, headers, page = open_page.ask("GET", "/")
    assert status == 200
    assert b"Use my camera" in page
    assert b"//" not in page.replace(b"<!doctype", b"")
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    for name in ("page.js", "page.css", "icon.svg"):
        assert open_page.ask("GET", f"/static/{name}")[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "localhost:99", "[::1]:8000"])
def test_names_of_this_machine_are_known(open_page: Client, host: str):
    assert open_page.ask("GET", "/api/about", Host=host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.7", "", "["])
def test_a_foreign_name_is_refused(open_page: Client, host: str):
    assert open_page.ask("GET", "/api/about", Host=host)[0] in (400, 421)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
def test_a_foreign_page_can_set_nothing(open_page: Client, headers: dict[str, str]):
    body = {"id": "watch", "effect": "none"}
    assert open_page.ask("POST", "/api/wish", body, **headers)[0] == 403
    own = f"http://127.0.0.1:{open_page.port}"
    assert open_page.ask("POST", "/api/wish", body, Origin=own)[0] == 404  # heard, and unknown


def test_a_body_has_a_length_within_bounds(open_page: Client):
    assert open_page.ask("POST", "/api/wish", b"x", Content_Length=str(MOST_BYTES + 1))[0] == 413
    chunks = b"1\r\nx\r\n0\r\n\r\n"
    assert open_page.ask("POST", "/api/wish", chunks, Transfer_Encoding="chunked")[0] == 413


def test_a_token_comes_once_and_a_cookie_without_it_is_given(guarded_page: Client, capfd):
    ask = guarded_page.ask
    for path in ("/", "/api/about", "/metrics", "/static/page.js", "/stream.mjpg"):
        assert ask("GET", path)[0] == 401
    assert ask("GET", "/?token=a-token-of-another")[0] == 401
    for path in ("/healthz", "/static/page.css"):
        assert ask("GET", path)[0] == 200
    status, headers, _ = ask("GET", f"/?token={TOKEN}")
    assert (status, headers["Location"]) == (303, "/")
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert TOKEN not in cookie
    crumb = cookie.split(";")[0]
    status, _, page = ask("GET", "/", Cookie=crumb)
    assert status == 200
    assert TOKEN.encode() not in page
    assert ask("GET", "/", Cookie=crumb[:-1] + "x")[0] == 401
    assert ask("GET", "/", Cookie=f"s3pot={TOKEN}")[0] == 401
    assert TOKEN not in "".join(capfd.readouterr())


def test_a_program_shows_the_token_as_bearer(guarded_page: Client):
    assert guarded_page.ask("GET", "/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert guarded_page.ask("GET", "/metrics", Authorization="Bearer no")[0] == 401
    assert guarded_page.ask("GET", "/metrics", Authorization=f"Basic {TOKEN}")[0] == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_an_address_that_others_reach_needs_a_token(host: str):
    assert not is_loopback(host)
    with pytest.raises(ValueError, match="token is needed"):
        check_access(host, None)
    check_access(host, TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_an_address_of_this_machine_needs_none(host: str):
    check_access(host, None)
    with pytest.raises(ValueError, match="16 or more"):
        check_access(host, "short")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "token is needed"),
        (["--token", "short"], "16 or more"),
        (["--certificate", "x.pem"], "go together"),
        (["no-such-file.mp4", "--port", "0"], "no-such-file.mp4"),
        (["gopher://me:secret@host/", "--port", "0"], "unknown source gopher"),
        (["--effect", "blurr", "--port", "0"], "did you mean blur"),
        (["--policy", "closed", "--port", "0"], "policy"),
    ],
    ids=str,
)
def test_the_command_refuses_in_one_line(arguments: list[str], said: str, monkeypatch):
    monkeypatch.delenv("S3POT_TOKEN", raising=False)
    done = CliRunner().invoke(app, ["serve", *arguments])
    assert done.exit_code == 2
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1
    assert said in lines[0]
    assert "secret" not in done.output
