"""The proxy to allowed hosts, with real sockets and a real HTTP server on loopback."""

import contextlib
import http.server
import socket
import threading
from pathlib import Path

import pytest

from mleb_core.errors import RunnerError, UsageError
from mleb_core.gateway.allowed import Allowed
from mleb_core.gateway.egress import Egress


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{self.path} {self.headers['host']} {self.headers.get('proxy-authorization')}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def proxy(tmp_path: Path, *network: str):
    noted = []
    path = tmp_path / "proxy.sock"
    with Egress(Allowed.of(network)) as egress:
        egress.open_run(path, lambda kind, /, **details: noted.append((kind, details)))
        yield path, noted
    assert not path.exists()


def ask(path: Path, *parts: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        answer = b""
        for part in parts:
            client.sendall(part)
            if part is not parts[-1]:
                answer += client.recv(65536)
        with contextlib.suppress(ConnectionResetError):
            while chunk := client.recv(65536):
                answer += chunk
        return answer


def test_an_allowed_host_is_reached_by_connect(tmp_path, site):
    with proxy(tmp_path, f"127.0.0.1:{site}") as (path, noted):
        get = b"GET /there HTTP/1.0\r\nHost: x\r\n\r\n"
        for _ in range(2):
            answer = ask(path, f"CONNECT 127.0.0.1:{site} HTTP/1.1\r\n\r\n".encode(), get)
            assert answer.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.0 200")
            assert answer.endswith(b"/there x None")
    assert noted == [("network", {"host": "127.0.0.1", "port": site, "allowed": True})]


def test_plain_http_is_passed_on_in_origin_form_without_the_proxys_headers(tmp_path, site):
    with proxy(tmp_path, f"127.0.0.1:{site}") as (path, _):
        head = f"GET http://127.0.0.1:{site}/a?b=c HTTP/1.1\r\nHost: other\r\nProxy-Authorization: secret\r\n\r\n"
        assert ask(path, head.encode()).endswith(f"/a?b=c 127.0.0.1:{site} None".encode())


@pytest.mark.parametrize("target", ["example.com:443", "127.0.0.2:{site}", "127.0.0.1:1", "[::1]:{site}"])
def test_any_other_host_is_refused_and_noted(tmp_path, site, target):
    with proxy(tmp_path, f"127.0.0.1:{site}") as (path, noted):
        answer = ask(path, f"CONNECT {target.format(site=site)} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert [details["allowed"] for _, details in noted] == [False]


def test_a_name_that_leads_to_this_machine_is_refused(tmp_path, site):
    with proxy(tmp_path, f"localhost:{site}") as (path, _):
        answer = ask(path, f"CONNECT localhost:{site} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"private network" in answer


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET https://a/ HTTP/1.1\r\n\r\n",
        b"CONNECT :99999999 HTTP/1.1\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        b"CONNECT [ HTTP/1.1\r\n\r\n",
        b"CONNECT a:b:c HTTP/1.1\r\n\r\n",
    ],
)
def test_nonsense_gets_status_400_and_harms_nothing(tmp_path, site, head):
    with proxy(tmp_path, f"127.0.0.1:{site}") as (path, _):
        assert ask(path, head).startswith(b"HTTP/1.1 400 ")
        ask(path, b"x" * 100_000)  # a head without an end
        get = f"GET http://127.0.0.1:{site}/ HTTP/1.1\r\n\r\n"
        assert b" 200 OK" in ask(path, get.encode())


def test_what_dead_harnesses_left_is_replaced_and_runs_are_cut_off(tmp_path, site):
    path = tmp_path / "proxy.sock"
    path.write_text("")
    with Egress(Allowed.of([f"127.0.0.1:{site}"])) as egress:
        egress.open_run(path, lambda kind, /, **details: None)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(f"CONNECT 127.0.0.1:{site} HTTP/1.1\r\n\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 200")
            egress.close_run(path)
            client.settimeout(20)
            assert client.recv(100) == b""
        egress.close_run(path)
        with pytest.raises(RunnerError, match="cannot listen"):
            egress.open_run(tmp_path / "missing" / "proxy.sock", lambda kind, /, **details: None)


def test_rules():
    allowed = Allowed.of(["PyPI.example", "*.files.example", "host:8080", "[::1]:81"])
    assert allowed.permits("pypi.example", 443)
    assert allowed.permits("pypi.EXAMPLE.", 80)
    assert not allowed.permits("pypi.example", 8080)
    assert not allowed.permits("evil-pypi.example", 443)
    assert allowed.permits("a.b.files.example", 443)
    assert not allowed.permits("files.example", 443)
    assert not allowed.permits("evilfiles.example", 443)
    assert allowed.permits("host", 8080)
    assert not allowed.permits("host", 443)
    assert allowed.permits("::1", 81)


@pytest.mark.parametrize("entry", ["", "http://a", "a b", "a:0", "a:99999", "a/b", "*", "*.", "a*b", "[::1]x"])
def test_what_is_no_host_is_refused(entry):
    with pytest.raises(UsageError, match="--network"):
        Allowed.of([entry, "other"])
