"""`mleb doctor` and `mleb schema`."""

import json
import os
import secrets
import socket
import threading

import pytest

from mleb_core.runner.gpus import GpuPool, NvmlDriver
from mleb_core.runner.host_locks import shared_place


@pytest.fixture
def doctor(mleb, tmp_path):
    """Runs `mleb doctor` and gives its findings by what was looked at."""

    def run(*arguments, env=None, code=0):
        env = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock", **(env or {})}
        result = mleb("doctor", "--json", "--data-dir", tmp_path / "data", *arguments, env=env)
        assert result.returncode == code, result.stdout + result.stderr
        return {finding["what"]: finding for finding in json.loads(result.stdout)}

    return run


def test_a_healthy_place(doctor, mleb, tmp_path):
    found = doctor()
    assert found["plugins"]["state"] == "ok"
    assert "samples" in found["plugins"]["found"]
    assert found["data directory"]["found"].startswith(f"{tmp_path}/data, ")
    assert not (tmp_path / "data").exists()
    assert found["output directory"]["found"].startswith(f"{mleb.here}/runs, ")
    assert found["prepared data"]["state"] == "absent"
    assert "mleb prepare" in found["prepared data"]["advice"]
    for finding in found.values():
        assert finding["state"] in ("ok", "absent", "warning")
        assert finding["state"] == "ok" or finding["advice"] or "no GPUs" in finding["found"]


def test_the_table_says_what_to_do(mleb):
    result = mleb("doctor", env={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert result.returncode == 0
    assert "no engine at /nowhere.sock" in result.stdout
    assert "\nDocker: needed for --runner docker only" in result.stdout


def test_prepared_data_is_counted(mleb, prepared_data):
    found = {f["what"]: f for f in json.loads(mleb("doctor", "-d", prepared_data, "--json").stdout)}
    assert ": diabetes-progression, titanic-survival" in found["prepared data"]["found"]
    assert found["prepared data"]["found"].startswith("2 of ")


def test_directories_that_cannot_be_used_are_problems(doctor, tmp_path):
    (tmp_path / "data").write_text("a file")
    found = doctor("--output", tmp_path / "data" / "runs", code=1)
    assert (found["data directory"]["state"], found["data directory"]["found"]) == (
        "problem", f"{tmp_path / 'data'} is no directory",
    )  # fmt: skip
    assert "--data-dir" in found["data directory"]["advice"]
    assert found["output directory"]["state"] == "problem"


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nOK", "ok", "engine answers"),
        (b"HTTP/1.0 500 Internal\r\n\r\n", "absent", "500"),
        (b"\x1b[31mnonsense", "absent", "nonsense"),
        (b"", "absent", "answers"),
    ],
)
def test_docker_is_asked_through_its_socket(doctor, tmp_path, answer, state, words):
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve():
            connection, _ = server.accept()
            with connection:
                assert connection.recv(1000).startswith(b"GET /_ping")
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        found = doctor(env={"DOCKER_HOST": f"unix://{path}"})
        thread.join()
    assert found["Docker"]["state"] == state
    assert words in found["Docker"]["found"]
    assert "\x1b" not in found["Docker"]["found"]


def test_a_socket_that_nobody_serves(doctor, tmp_path):
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    found = doctor(env={"DOCKER_HOST": f"unix://{path}"})
    assert "does not answer" in found["Docker"]["found"]


@pytest.mark.parametrize(
    ("script", "state", "words"),
    [
        (
            "echo '0, NVIDIA H200, 143771 MiB'; echo '1, NVIDIA H200, 143771 MiB'",
            "warning",  # the tool lists what NVML does not
            "0, NVIDIA H200, 143771 MiB; 1, ",
        ),
        ("true", "absent", "no GPUs"),
        ("echo 'driver mismatch' >&2; exit 18", "problem", "nvidia-smi fails: driver mismatch"),
    ],
)
def test_gpus_that_only_their_tool_knows(doctor, tmp_path, script, state, words):
    if NvmlDriver().absence is None:
        pytest.skip("NVIDIA's driver is here, and is asked instead")
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    found = doctor(env={"PATH": f"{tool.parent}:{os.environ['PATH']}"}, code=1 if state == "problem" else 0)
    assert found["GPUs"]["state"] == state
    assert words in found["GPUs"]["found"]


NVML = """
class NVMLError(Exception): value = 3
class Memory: total = 16 << 30
NVML_ERROR_LIBRARY_NOT_FOUND, NVML_ERROR_DRIVER_NOT_LOADED = 12, 9
def fail(*_): raise NVMLError
def nvmlInit(): pass
def nvmlDeviceGetCount(): return 2
def nvmlDeviceGetHandleByIndex(n): return ("GPU-@-0", "GPU-@-1")[n]
def nvmlDeviceGetUUID(handle): return handle
def nvmlDeviceGetName(handle): return "NVIDIA T1"
def nvmlDeviceGetMemoryInfo(handle): return Memory
nvmlDeviceGetMigMode = fail
"""


def test_gpus_and_who_has_leased_them(doctor, tmp_path):
    """The driver is made up, as there is none here; the lease is real."""
    name = secrets.token_hex(8)
    (tmp_path / "pynvml.py").write_text(NVML.replace("@", name))
    here = {"PYTHONPATH": str(tmp_path)}
    held = f"GPU-{name}-1"
    try:
        with GpuPool(environ={}).lease(ids=[held], note="iris\x1b[31m"):
            finding = doctor(env=here)["GPUs"]
        assert finding["state"] == "ok"
        first, second = finding["found"].split("; ")
        assert first == f"0: NVIDIA T1, 16 GiB, GPU-{name}-0, free"
        assert second.startswith(f"1: NVIDIA T1, 16 GiB, {held}, leased by process {os.getpid()} of ")
        assert "\x1b" not in second
        assert doctor(env=here | {"CUDA_VISIBLE_DEVICES": "1"})["GPUs"]["found"] == (
            f"CUDA_VISIBLE_DEVICES leaves 1 of 2; 1: NVIDIA T1, 16 GiB, {held}, free"
        )
    finally:
        for path in shared_place("mleb-gpus").glob(f"GPU-{name}-*"):
            path.unlink()


def test_kaggle_credentials_are_found_where_its_client_looks_and_never_shown(doctor, mleb, tmp_path):
    def look(**env):
        finding = doctor(env=env)["Kaggle credentials"]
        assert "secret" not in json.dumps(finding)
        return finding["state"], finding["found"]

    assert look() == ("absent", "none")
    assert look(KAGGLE_USERNAME="me") == ("warning", "KAGGLE_USERNAME and KAGGLE_KEY: only one of them is set")
    home = tmp_path / "home" / ".kaggle"
    home.mkdir()
    (home / "kaggle.json").write_text('{"username": "me", "key": "secret"}')
    (home / "kaggle.json").chmod(0o600)
    assert look() == ("ok", f"in {home / 'kaggle.json'}")
    (home / "kaggle.json").chmod(0o644)
    assert look() == ("warning", f"in {home / 'kaggle.json'}, which others can read")
    assert look(KAGGLE_USERNAME="me", KAGGLE_KEY="secret") == ("ok", "in KAGGLE_USERNAME and KAGGLE_KEY")
    (home / "access_token").write_text("secret")
    (home / "access_token").chmod(0o600)
    assert look(KAGGLE_USERNAME="me", KAGGLE_KEY="secret") == ("ok", f"in {home / 'access_token'}")
    assert look(KAGGLE_API_TOKEN="secret") == ("ok", "in KAGGLE_API_TOKEN")
    other = tmp_path / "other"
    other.mkdir()
    (home / "access_token").unlink()
    assert look(KAGGLE_CONFIG_DIR=str(other)) == ("absent", "none")


def test_a_broken_plugin_is_a_problem(doctor, tmp_path):
    folder = tmp_path / "plugin" / "mleb_wreck-3.1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Name: mleb-wreck\nVersion: 3.1\n")
    (folder / "entry_points.txt").write_text("[mleb]\nwreck = mleb_wreck_that_is_not_there\n")
    found = doctor(env={"PYTHONPATH": str(tmp_path / "plugin")}, code=1)
    assert found["plugin wreck"]["found"].startswith("mleb-wreck 3.1: cannot be imported")
    assert "pip uninstall mleb-wreck" in found["plugin wreck"]["advice"]


def test_schemas(mleb):
    every = json.loads(mleb("schema").stdout)
    assert {"group-report", "run-report", "grading-report", "competition-report"} <= set(every)
    assert json.loads(mleb("schema", "group-report").stdout) == every["group-report"]
    assert "$schema" in every["grading-report"]
    assert "total_runs" in every["grading-report"]["properties"]
