"""An agent in a container of a whole `mleb eval` looks for the answers at the gateway and leaves traps behind."""

import json
import re
from pathlib import Path

import pytest

from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.layout import CompetitionData, GroupLayout
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import Limits, RunStatus
from mleb_core.terms import Terms
from mleb_core.testing.images import make_test_image
from mleb_core.testing.model_server import ModelServer, Reply
from mleb_core.verify import verify_group

pytestmark = pytest.mark.docker

DIABETES = "diabetes-progression"
KEY = "sk-of-the-host-9876543210"
AGENT = r"""
import http.client, io, json, os, shutil, socket, tarfile, zipfile
shutil.copy(os.environ["MLEB_DATA"] + "/sample_submission.csv", "/home/submission/submission.csv")
token, said = os.environ["MLEB_TOKEN"], []
paths = [
    "/", "/v1", "/v1/models", "/v1/models/../../etc/passwd", "/v1/models/%2e%2e%2f%2e%2e%2fgroup.json",
    "/admin", "/runs", "/usage", "/transcript", "/metrics", "/docs", "/openapi.json", "/static/../group.json",
    "/private", "/answers", "/..%2f..%2fprivate/answers.csv", "//etc/passwd",
    "/validate?path=../../private/answers.csv", "/validate/../private", "/health", "file:///etc/passwd",
    "http://169.254.169.254/", "/v1/files", "/v1/batches", "/v1/responses/x",
]
for path in paths:
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        for who in (token, "", "mleb-" + "A" * 43):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=60)
                connection.request(method, path, b"{}" if method in ("POST", "PUT") else None,
                    {"Authorization": "Bearer " + who, "X-Forwarded-For": "127.0.0.1", "Host": "localhost"})
                reply = connection.getresponse()
                said.append([method, path, who == token, reply.status, reply.read().decode("latin-1")])
            except (OSError, http.client.HTTPException) as error:
                said.append([method, path, who == token, 0, type(error).__name__])
            finally:
                connection.close()
form = ('--B\r\ncontent-disposition: form-data; name="file"; filename="../../private/answers.csv"\r\n\r\n'
        'id,progression\r\n../../private/answers.csv,1\r\n--B--\r\n').encode()
connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=120)
connection.request("POST", "/validate", form, {"Content-Type": "multipart/form-data; boundary=B"})
reply = connection.getresponse()
said.append(["POST", "/validate form", True, reply.status, reply.read().decode("latin-1")])
seen = [line.split()[-1] for line in open("/proc/net/unix") if "/" in line]
for name, add in (("evil.tar", "tar"), ("evil.zip", "zip")):
    names = ["../../../../escaped-4716", "/tmp/escaped-4716", "a/../../escaped-4716", "ok/plain.txt"]
    target = "/home/submission/" + name
    if add == "tar":
        with tarfile.open(target, "w") as archive:
            for entry in names:
                info = tarfile.TarInfo(entry); info.size = 4
                archive.addfile(info, io.BytesIO(b"evil"))
            link = tarfile.TarInfo("link"); link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
            device = tarfile.TarInfo("device"); device.type, device.devmajor, device.devminor = tarfile.BLKTYPE, 8, 0
            archive.addfile(device)
    else:
        with zipfile.ZipFile(target, "w") as archive:
            for entry in names:
                archive.writestr(entry, "evil")
    shutil.copy(target, "/home/code/")
json.dump({"said": said, "unix": seen}, open("/home/logs/said.json", "w"))
"""


def test_it_finds_nothing_at_the_gateway_and_its_archives_are_bytes(docker_engine: None, tmp_path: Path, monkeypatch):
    registry = Registry()
    data_dir = tmp_path / "data"
    prepare(registry.competition(DIABETES), data_dir)
    answers = (CompetitionData.of(data_dir, DIABETES).private / "answers.csv").read_text().splitlines()[1:]
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "look.py").write_text(AGENT)
    with ModelServer(lambda asked: Reply("DONE"), key=KEY) as server:
        monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("MLEB_PROVIDER_LAB_API_KEY", KEY)
        request = EvalRequest(
            ("command",),
            (DIABETES,),
            data_dir,
            tmp_path / "runs",
            model="lab/small",
            runner="docker",
            limits=Limits(time_s=240, memory_bytes=512 << 20),
            terms=Terms(image=make_test_image()),
            settings={"command": "python3 look.py", "files": str(tmp_path / "agent")},
        )
        report = evaluate(request, registry)
    (run,) = report.runs
    layout = GroupLayout(Path(report.directory)).run(DIABETES, "command", 0)
    assert run.status is RunStatus.FINISHED, layout.log.read_text()
    assert run.competition_report.valid_submission
    told = json.loads((layout.logs / "said.json").read_text())
    statuses = {(method, path): status for method, path, own, status, _ in told["said"] if own}
    assert statuses["GET", "/health"] == statuses["GET", "/v1/models"] == 200
    answered = {path for method, path, own, status, _ in told["said"] if status == 200}
    assert answered <= {"/health", "/v1/models", "/validate form"}
    # Without the run's token, and with one that is none, there are no models.
    assert {status for _, path, own, status, _ in told["said"] if path == "/v1/models" and not own} <= {401, 404, 405}
    for *_, body in told["said"]:
        assert KEY not in body and "root:" not in body and "answers" not in body.replace("/answers", "")
        assert not any(line in body for line in answers) and str(tmp_path) not in body
    # Of the host's sockets it sees the name of its own run's, which is a hash, and cannot go there.
    assert all(re.search(r"/mleb-\d+/[0-9a-f]{20}/(gateway|proxy)\.sock$", name) for name in told["unix"])
    # The archives are there as they were left, and nothing of them was unpacked anywhere.
    assert {"evil.tar", "evil.zip"} <= {path.name for path in layout.submission_dir.iterdir()}
    assert not list(tmp_path.rglob("escaped-4716"))
    assert not Path("/tmp/escaped-4716").exists()
    assert verify_group(Path(report.directory), registry).findings == ()
