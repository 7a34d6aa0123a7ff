"""The container's only way out: unix sockets of the harness, forwarded to ports of 127.0.0.1."""

import dataclasses
import http.server
import json
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from mleb_core.run import RunStatus
from mleb_core.runner.protocol import Channel, Stop

pytestmark = pytest.mark.docker


class Handler(http.server.BaseHTTPRequestHandler):
    """Echoes; answers the checker's route; streams."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/validate":
            head, _, content = body.partition(b"\r\n\r\n")
            assert b'name="file"' in head and b"multipart/form-data" in self.headers["Content-Type"].encode()
            content = content.rpartition(b"\r\n--")[0]
            reply = json.dumps({"result": f"{len(content)} bytes, ends with {content[-4:].decode()}"}).encode()
        else:
            reply = body
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: Any) -> None:
        pass

    def address_string(self) -> str:
        return "agent"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 256


def serve(path: Path) -> Server:
    server = Server(str(path), Handler)
    path.chmod(0o666)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


@pytest.fixture
def channel(short_dir: Path) -> Iterator[Channel]:
    gateway, proxy = serve(short_dir / "gateway.sock"), serve(short_dir / "proxy.sock")
    yield Channel(
        socket=short_dir / "gateway.sock",
        url="http://127.0.0.1:1",
        environment=lambda url: {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "token-of-the-run"},
        proxy=short_dir / "proxy.sock",
    )
    for server in (gateway, proxy):
        server.shutdown()
        server.server_close()


def test_ordinary_clients_reach_the_gateway(runner: Any, make_job: Any, channel: Channel) -> None:
    code = """
import os, threading, urllib.request
for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "HTTPS_PROXY", "http_proxy", "NO_PROXY"):
    print(name, os.environ[name])
def ask(n, replies):
    body = (b"%06d" % n) * 20000
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/x", body)
    replies[n] = urllib.request.urlopen(request).read() == body
replies = {}
threads = [threading.Thread(target=ask, args=(n, replies)) for n in range(100)]
[t.start() for t in threads], [t.join() for t in threads]
print(sum(replies.values()))
print(urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:3128/", b"proxy")).read().decode())
"""
    job = make_job(code, job={"channel": channel, "network": ("example.org",)})
    outcome = runner.run(job, Stop())
    assert job.layout.log.read_text().splitlines() == [
        "OPENAI_BASE_URL http://127.0.0.1:8080/v1",
        "OPENAI_API_KEY token-of-the-run",
        "HTTPS_PROXY http://127.0.0.1:3128",
        "http_proxy http://127.0.0.1:3128",
        "NO_PROXY 127.0.0.1,localhost",
        "100",
        "proxy",
    ]
    assert outcome.status is RunStatus.FINISHED


def test_the_script_asks_the_checker(runner: Any, make_job: Any, channel: Channel) -> None:
    code = """
import subprocess
def ask(*arguments):
    done = subprocess.run(["/home/validate_submission.sh", *arguments], capture_output=True, text=True)
    print(done.returncode, (done.stdout + done.stderr).strip())
ask()
open("/home/submission/submission.csv", "w").write("a,b" * 1000000 + "\\nend")
ask()
open("/tmp/other.csv", "w").write("x,y")
ask("/tmp/other.csv")
"""
    job = make_job(code, job={"channel": channel})
    runner.run(job, Stop())
    assert job.layout.log.read_text().splitlines() == [
        "1 /home/submission/submission.csv: No such file or directory",
        "0 3000004 bytes, ends with ",
        "end",
        "0 3 bytes, ends with x,y",
    ]
    silent = make_job("import os; os.system('/home/validate_submission.sh /home/data/test.csv')", name="1")
    runner.run(silent, Stop())
    assert "the submission checker does not answer: [Errno 111] Connection refused" in silent.layout.log.read_text()


def test_a_later_harness_gives_a_container_its_own_sockets(
    runner: Any, make_job: Any, short_dir: Path, docker_engine: Any
) -> None:
    """The container that a dead harness left finds the new one at the same address."""
    from mleb_core.runner.docker import attempt

    code = """
import time, urllib.request
while True:
    try:
        request = urllib.request.Request("http://127.0.0.1:8080/", b"here")
        print(urllib.request.urlopen(request).read().decode(), flush=True)
        break
    except OSError as error:
        print("nobody", flush=True)
        time.sleep(0.1)
"""
    path = short_dir / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    channel = Channel(socket=path, url="", environment=lambda url: {})
    job = make_job(code, job={"channel": channel})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempt.Attempt, "carry", lambda self, container, output: output.abandon() or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            runner.run(job, Stop())
    time.sleep(0.5)
    path.unlink()
    server = serve(path)
    try:
        assert runner.is_running(job.layout)
        outcome = runner.run(dataclasses.replace(job, take_up=True), Stop())
    finally:
        server.shutdown()
        server.server_close()
    assert outcome.status is RunStatus.FINISHED
    lines = job.layout.log.read_text().splitlines()
    assert lines[0] == "nobody" and lines[-1] == "here"
    assert sorted(found.name for found in short_dir.iterdir()) == ["gateway.sock"]


def test_an_open_network_has_an_interface(runner: Any, make_job: Any, docker_engine: Any) -> None:
    if not any(network["Name"] == "bridge" for network in docker_engine.api.networks()):
        pytest.skip("this engine has no bridge")
    job = make_job("import os; print(sorted(os.listdir('/sys/class/net')))", job={"network": ("*",)})
    assert runner.run(job, Stop()).status is RunStatus.FINISHED
    assert job.layout.log.read_text() == "['eth0', 'lo']\n"


@pytest.fixture
def forwarder(short_dir: Path) -> Iterator[tuple[int, Path]]:
    """The helper itself as an ordinary process, with a port that leads to a socket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (short_dir / "log").touch()
    helper = str(files("mleb_core.runner.docker").joinpath("helper.py"))
    code = f"""
import runpy, sys, time
helper = runpy.run_path({helper!r})
import os
pump = helper["Pump"](os.open({str(short_dir / "log")!r}, os.O_WRONLY))
pump.listen({port}, {str(short_dir / "s")!r})
pump.start()
print("up", flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield port, short_dir / "s"
        process.kill()


def test_half_closed_connections_and_large_amounts_both_ways(forwarder: tuple[int, Path]) -> None:
    port, path = forwarder
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()
        with socket.create_connection(("127.0.0.1", port)) as near:
            far, _ = door.accept()
            with far:
                block = bytes(range(256)) * 40_000
                sender = threading.Thread(target=lambda: (near.sendall(block), near.shutdown(socket.SHUT_WR)))
                sender.start()
                received = b"".join(iter(lambda: far.recv(1 << 16), b""))
                sender.join()
                assert received == block
                far.sendall(b"the reply after the end of the request")
                far.shutdown(socket.SHUT_WR)
                assert near.recv(100) == b"the reply after the end of the request"
                assert near.recv(100) == b""


def test_a_forwarder_rests_when_nothing_moves_and_lets_go_of_what_is_over(forwarder: tuple[int, Path]) -> None:
    port, path = forwarder
    pid = int(subprocess.check_output(["pgrep", "-f", str(path)]).split()[0])
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen(256)
        pairs = []
        for _ in range(100):
            near = socket.create_connection(("127.0.0.1", port))
            pairs.append((near, door.accept()[0]))
        pairs[0][0].shutdown(socket.SHUT_WR)
        pairs[1][1].shutdown(socket.SHUT_WR)
        assert pairs[0][1].recv(1) == pairs[1][0].recv(1) == b""
        before = Path(f"/proc/{pid}/stat").read_text().split()[13:15]
        time.sleep(1.0)
        after = Path(f"/proc/{pid}/stat").read_text().split()[13:15]
        assert sum(map(int, after)) - sum(map(int, before)) <= 5  # hundredths of a second
        for near, far in pairs:
            near.close()
            far.close()
    deadline = time.monotonic() + 30
    while (left := len(list(Path(f"/proc/{pid}/fd").iterdir()))) > 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left <= 20
