"""Start, stop, sockets, and what is left afterwards: nothing."""

import gc
import os
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psutil
import pytest

from mleb_core.errors import RunGroupError, RunnerError, UsageError
from mleb_core.gateway import Budget, Gateway, providers_from
from mleb_core.testing.model_server import Reply


def over(path, token):
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path))) as client:
        return client.get("http://gateway/v1/models", headers={"x-api-key": token}).status_code


def test_a_unix_socket_for_all_and_one_for_a_run(serve, tmp_path):
    shared, own = tmp_path / "all.sock", tmp_path / "run.sock"
    with serve(lambda _: Reply("x"), host=None, unix=shared) as at:
        with pytest.raises(RunnerError, match="no TCP port"):
            _ = at.gateway.url
        token, _ = at.register(1, unix=own)
        assert over(shared, at.token) == over(own, token) == 200
        assert over(own, "nonsense") == 401
        assert own.stat().st_mode & 0o777 == 0o666
        at.gateway.close_run(token)
        assert not own.exists() and over(shared, token) == 401
        assert over(shared, at.token) == 200
    assert not shared.exists()


def test_what_lies_at_a_sockets_path(tmp_path):
    stale, file = tmp_path / "stale", tmp_path / "file"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(stale))
    file.write_text("mine")
    options = {"providers": providers_from({"OPENAI_API_KEY": "sk-0123456789"}), "host": None}
    told = pytest.raises(RunnerError, match="another one does")
    with Gateway("openai/gpt-4o", unix=stale, **options), told, Gateway("openai/gpt-4o", unix=stale, **options):
        pass
    with pytest.raises(RunnerError, match="a file is there"), Gateway("openai/gpt-4o", unix=file, **options):
        pass
    with pytest.raises(UsageError, match="107 bytes"), Gateway("openai/gpt-4o", unix=tmp_path / ("x" * 120), **options):
        pass
    with pytest.raises(RunnerError, match="No such file"), Gateway("openai/gpt-4o", unix=tmp_path / "a/b", **options):
        pass
    assert file.read_text() == "mine"


def test_addresses():
    providers = providers_from({})
    for host in ("0.0.0.0", "example.org", "::"):
        with pytest.raises(UsageError, match="loopback"), Gateway("openai/gpt-4o", providers=providers, host=host):
            pass
    with Gateway("openai/gpt-4o", providers=providers) as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(RunnerError, match=f"127.0.0.1 port {port}"), Gateway(providers=providers, port=port):
            pass
    with pytest.raises(RunnerError, match="not running"):
        first.usage("x")


def test_without_host_and_socket_only_the_runs_sockets_are_there(serve, tmp_path):
    """Containers need no TCP: what does not listen cannot be attacked."""
    own = tmp_path / "run.sock"
    with serve(lambda _: Reply("x"), host=None) as at:
        with pytest.raises(RunnerError, match="no TCP port"):
            _ = at.gateway.url
        listening = [c for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert [c.laddr.port for c in listening] == [int(at.model.url.rpartition(":")[2])], "the provider's alone"
        token, _ = at.register(1, unix=own)
        assert over(own, token) == 200
        at.gateway.close_run(token)
        assert not own.exists()


def test_closing_a_run_cuts_off_what_is_under_way(serve):
    def script(asked):
        return Reply("x y z " * 50, pieces=100, pause_s=0.02 if asked.body.get("stream") else 0, delay_s=0.5)

    with serve(script) as at, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(at.chat)
        headers = {"authorization": f"Bearer {at.token}"}
        body = {"model": "mleb-model", "messages": [], "stream": True}
        with httpx2.stream("POST", f"{at.gateway.url}/v1/chat/completions", json=body, headers=headers) as streamed:
            pieces = streamed.iter_bytes()
            assert b"data: " in next(pieces)
            waiting.result()
            waiting = pool.submit(at.chat)
            at.until(lambda: len(at.model.asked) == 3)
            usage = at.gateway.close_run(at.token)
            with pytest.raises(httpx2.RemoteProtocolError):
                list(pieces)
        assert (waiting.result().status_code, waiting.result().json()["error"]["message"]) == (401, "the run has ended")
        assert (usage.requests, usage.estimated, usage.failed) == (3, 2, 2)
        assert [line["error"] for line in at.transcript()] == [None, "the run ended", "the run ended"]
        assert at.chat().status_code == 401
        with pytest.raises(UsageError, match="no run with this token"):
            at.gateway.close_run(at.token)


def test_runs_register_and_close_from_many_threads(serve):
    with serve(lambda _: Reply("x", input_tokens=1, output_tokens=1)) as at:

        def life(seed):
            token, layout = at.register(seed, Budget(requests=2))
            body = {"model": "mleb-model", "messages": []}
            statuses = [at.post("/v1/chat/completions", body, token).status_code for _ in range(3)]
            return statuses, at.gateway.close_run(token).requests, len(layout.transcript.read_bytes().splitlines())

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(life, range(1, 41))) == [([200, 200, 429], 2, 2)] * 40
        assert at.gateway.group_usage()[0] == 80


def test_models_and_tokens_are_of_the_run(serve):
    with serve(lambda _: Reply("x"), models="openai/gpt-4o") as at:
        other, _ = at.register(1, models={"mleb-model": "anthropic/claude-3-5-sonnet-20241022", "small": "openai/o1"})
        at.post("/v1/chat/completions", {"model": "small", "messages": []}, other)
        at.chat()
        assert [asked.body["model"] for asked in at.model.asked] == ["o1", "gpt-4o"]
        assert at.post("/v1/chat/completions", {"model": "small", "messages": []}).status_code == 404
        with pytest.raises(UsageError, match="registered already"):
            at.gateway.register_run(at.run_key, at.layout, token=at.token)
        env = at.gateway.environment(other, "http://127.0.0.1:4000")
        assert env["OPENAI_BASE_URL"] == "http://127.0.0.1:4000/v1" and env["ANTHROPIC_API_KEY"] == other


def test_nothing_is_left(serve):
    def once():
        with serve(lambda _: Reply("x", pieces=3)) as at:
            for _ in range(3):
                at.chat()
                at.chat(stream=True)

    once()
    gc.collect()
    here = psutil.Process()
    before = here.num_fds(), threading.active_count()
    for _ in range(5):
        once()
    gc.collect()
    assert here.num_fds() <= before[0] and threading.active_count() <= before[1]


def test_without_its_packages_the_gateway_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from mleb_core.gateway import Budget, Usage, providers_from\n"
        "from mleb_core.errors import UsageError\n"
        "try:\n    from mleb_core.gateway import Gateway\n"
        "except UsageError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "the model gateway needs uvicorn; pip install 'mleb-core[gateway]'\n"


def test_the_records_alone_load_no_server():
    code = (
        "import sys, mleb_core.gateway; print(*{'uvicorn', 'starlette', 'httpx2', 'genai_prices'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_model_server_runs_as_a_process_of_its_own(tmp_path):
    command = [sys.executable, "-m", "mleb_core.testing.model_server", "--text", "from afar"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        try:
            url = process.stdout.readline().strip()
            reply = httpx2.post(f"{url}/v1/chat/completions", json={"model": "m", "messages": []})
            assert reply.json()["choices"][0]["message"]["content"] == "from afar"
        finally:
            process.terminate()
    assert not Path(f"/proc/{process.pid}").exists()


def test_a_gateway_that_cannot_start_says_so_and_holds_no_port(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "nonsense://[")
    monkeypatch.setenv("ALL_PROXY", "nonsense://[")
    with pytest.raises(RunnerError, match="the gateway cannot start"), Gateway("openai/gpt-4o", providers={}):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "mleb-gateway"]


def test_a_run_whose_directory_is_gone_is_told_and_the_others_are_closed(tmp_path, serve):
    with pytest.raises(RunGroupError, match=r"usage\.json cannot be written"), serve(lambda _: Reply("x")) as at:
        _, other = at.register(1)
        shutil.rmtree(at.layout.root)
    assert other.usage.exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "mleb-gateway"]
