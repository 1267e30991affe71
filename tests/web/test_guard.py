"""Attacks on the dashboard's server: nothing outside the runs folder, nobody who is not asked in."""

import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from sia.web.serve import Place, access_of, open_dashboard
from tests.web.conftest import Scene

SECRET = "the-secret-outside"
CLIMBS = [
    "../../../secret.txt",
    "..%2f..%2f..%2fsecret.txt",
    "%2e%2e/%2e%2e/%2e%2e/secret.txt",
    "..%252f..%252f..%252fsecret.txt",
    "....//....//....//secret.txt",
    "..\\..\\..\\secret.txt",
    "..%5c..%5c..%5csecret.txt",
    "..%c0%af..%c0%af..%c0%afsecret.txt",
    "../gen_1/../../../secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "~/secret.txt",
    "secret.txt%00.txt",
    "link_out",
    "link_folder/secret.txt",
    ".",
    "..",
    "",
    "a" * 5000,
    "\u202e",
    "%ff%fe",
]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


def ask(port: int, path: str, method: str = "GET", **headers: str) -> Answer:
    """One request, its path sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    sent = {"Host": f"127.0.0.1:{port}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in sent.items():
        if value:
            connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode("utf-8", "replace")
    connection.close()
    return Answer(answer.status, dict(answer.getheaders()), body)


@pytest.fixture
def bait(scene: Scene) -> Iterator[Scene]:
    """Files outside the runs folder, and links that lead there."""
    secret = scene.runs.parent / "secret.txt"
    secret.write_text(SECRET)
    generation = scene.runs / "run_1" / "gen_1"
    (generation / "link_out").symlink_to(secret)
    (generation / "link_folder").symlink_to(scene.runs.parent)
    yield scene
    (generation / "link_out").unlink()
    (generation / "link_folder").unlink()


@pytest.mark.parametrize("climb", CLIMBS)
@pytest.mark.parametrize(
    "place",
    [
        "/runs/1/1/files?file={}",
        "/runs/1/1/raw?file={}",
        "/runs/1/1/logs?file={}",
        "/runs/1/1/trajectory?file={}",
        "/runs/1/1/code?against={}",
        "/runs/1/1/items?group={}&text={}",
        "/compare?run={}",
        "/runs/{}",
        "/runs/{}/1/files",
        "/runs/1/{}/files",
        "/runs/1/1/{}",
        "/events/{}",
        "/static/{}",
        "/{}",
    ],
)
def test_no_path_leads_outside(bait: Scene, place: str, climb: str) -> None:
    given = climb if climb.isascii() and not re.search(r"[\\ ]", climb) else quote(climb)
    path = place.replace("{}", given)
    if path in ("/events/", "/"):
        return
    answer = ask(bait.port, path)
    assert SECRET not in answer.body
    assert "root:x:0" not in answer.body
    assert answer.status < 500
    if "?file=" in place and climb not in ("", "."):
        chosen_is_default = "logs" in place or "trajectory" in place
        assert answer.status == (200 if chosen_is_default else 404), answer.body[:300]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost@evil.example", "[::ffff:1.2.3.4]", ""],
)
def test_foreign_hosts_are_refused(scene: Scene, host: str) -> None:
    answer = ask(scene.port, "/", Host=host)
    assert answer.status in (400, 403)
    assert "run" not in answer.body.lower().replace("sia web", "")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_own_names_are_answered(scene: Scene, host: str) -> None:
    assert ask(scene.port, "/", Host=f"{host}:{scene.port}").status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", ["/", "/runs/1", "/events", "/runs/1/1/raw?file=target_agent.py"])
def test_foreign_origins_are_refused(scene: Scene, path: str, origin: str) -> None:
    assert ask(scene.port, path, Origin=origin).status == 403


def test_other_sites_may_link_here_but_embed_nothing(scene: Scene) -> None:
    link = ask(scene.port, "/runs/1", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    image = ask(scene.port, "/runs/1", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")
    assert (link.status, image.status) == (200, 403)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_written(scene: Scene, method: str) -> None:
    assert ask(scene.port, "/runs/1", method).status == 405


@pytest.mark.parametrize(
    "path", ["/", "/runs/1", "/runs/nothing", "/style.css", "/static/app.js", "/runs/1/1/raw?file=answers.json"]
)
def test_every_answer_has_the_strict_headers(scene: Scene, path: str) -> None:
    headers = {name.lower(): value for name, value in ask(scene.port, path).headers.items()}
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_files_are_saved_not_shown(scene: Scene) -> None:
    answer = ask(scene.port, "/runs/1/1/raw?file=target_agent.py")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.body == (scene.runs / "run_1" / "gen_1" / "target_agent.py").read_text()


def test_other_machines_need_the_token(tmp_path: Path) -> None:
    dashboard = open_dashboard(Place(tmp_path, host="0.0.0.0", port=0))
    dashboard.serve_beside()
    port = dashboard.socket.getsockname()[1]
    token = dashboard.url.partition("token=")[2]
    try:
        assert len(token) >= 32
        for path in ("/", "/events", "/style.css", "/?token=", "/?token=wrong", f"/?token={token[:-1]}"):
            refused = ask(port, path)
            assert (refused.status, token in refused.body) == (401, False)
        assert ask(port, "/", Cookie="sia_token=wrong").status == 401
        assert ask(port, "/", Host="evil.example", Authorization=f"Bearer {token}").status == 403
        assert ask(port, "/", Authorization=f"Bearer {token}").status == 200
        moved = ask(port, f"/?token={token}&by=task")
        cookie = moved.headers["set-cookie"]
        assert (moved.status, moved.headers["location"]) == (303, "?by=task")
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert ask(port, "/", Cookie=cookie.partition(";")[0]).status == 200
        assert ask(port, "/", Host="10.1.2.3:80", Cookie=cookie.partition(";")[0]).status == 200
    finally:
        dashboard.stop()


def test_a_name_of_a_proxy_needs_the_token_too(tmp_path: Path) -> None:
    access = access_of(Place(tmp_path, allowed=("runs.example",)))
    assert access.token
    assert access.allows("runs.example:443")
    assert not access.allows("evil.example")
    assert access_of(Place(tmp_path)).token is None


@pytest.mark.parametrize("prefix", ["", "/sia", "/deep/er"])
def test_pages_hold_behind_a_sub_path(tmp_path: Path, scene: Scene, prefix: str) -> None:
    dashboard = open_dashboard(Place(scene.runs, port=0, prefix=prefix))
    dashboard.serve_beside()
    try:
        answer = ask(dashboard.socket.getsockname()[1], f"{prefix}/runs/1/5/items")
    finally:
        dashboard.stop()
    assert answer.status == 200
    addresses = re.findall(r'(?:href|src|action|data-events)="([^"#]*)"', answer.body)
    assert addresses
    assert not [address for address in addresses if address.startswith(("/", "http"))]
    assert "../../../style.css" in addresses
