"""A preparation that is killed, at any instant, and several at once."""

import json
import subprocess
import sys
from pathlib import Path

from mleb_core.prepare import prepare, sha256_of

# Preloads everything, then forks a child for each point: the child is killed, by itself and without warning, at its
# n-th operation on a file of the data directory. Then everybody must see either whole data or none.
KILLER = """
import json, os, signal, sys
from pathlib import Path
from mleb_core.competition import Competition
from mleb_core.errors import NotPreparedError
from mleb_core.prepare import data_digest, prepare, require_prepared
from mleb_core.prepare.run import prepare as _preload
import sklearn.model_selection

folder, base, raw = map(Path, sys.argv[1:4])
force = sys.argv[4] == "force"
competition = Competition(folder)
competition.spec
reference = base / "reference"
prepare(competition, reference, raw_dir=raw)
wanted = data_digest(competition, reference)
EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.scandir", "shutil.rmtree",
          "tempfile.mkdtemp", "os.chmod", "os.truncate"}


def attempt(data, kill_at):
    pid = os.fork()
    if pid == 0:
        seen = 0

        def hook(event, args):
            nonlocal seen
            if event in EVENTS and any(str(data) in str(arg) for arg in args):
                seen += 1
                if seen == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            prepare(competition, data, raw_dir=raw, force=force)
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


seen = {"whole": 0, "none": 0}
point = 0
while True:
    point += 1
    data = base / f"data-{point}"
    if force:
        prepare(competition, data, raw_dir=raw)
    code = attempt(data, point)
    assert code in (0, -signal.SIGKILL), code
    try:
        require_prepared(competition, data)
        assert data_digest(competition, data) == wanted, point
        seen["whole"] += 1
    except NotPreparedError:
        seen["none"] += 1
    prepare(competition, data, raw_dir=raw)
    assert data_digest(competition, data) == wanted, point
    left = sorted(p.name for p in (data / "toy").iterdir())
    assert left == [".prepare.lock", "prepared", "prepared.json"], (point, left)
    if code == 0:
        break
print(json.dumps({"points": point, **seen}))
"""


def kill_everywhere(competition, tmp_path: Path, raw: Path, how: str) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", KILLER, competition.folder, tmp_path / "kills", raw, how],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_killed_at_every_point_then_again(make_competition, raw, tmp_path):
    found = kill_everywhere(make_competition(), tmp_path, raw, "fresh")
    assert found["points"] > 20
    assert found["none"] > 10  # killed before the end ...
    assert found["whole"] >= 2  # ... and between the rename and the end


def test_forced_and_killed_at_every_point(make_competition, raw, tmp_path):
    found = kill_everywhere(make_competition(), tmp_path, raw, "force")
    assert found["whole"] > 10  # the earlier data is good until the new takes its place
    assert found["none"] >= 1


ONE = """
import sys, time
from pathlib import Path
from mleb_core.competition import Competition
from mleb_core.prepare import prepare
folder, data, raw, go = map(Path, sys.argv[1:])
competition = Competition(folder)
competition.spec
print("ready", flush=True)
sys.stdin.readline()
said = []
prepare(competition, data, raw_dir=raw, progress=said.append)
print("made" if "prepared" in said else "found", flush=True)
"""


def test_at_the_same_time_only_one_works(make_competition, raw, tmp_path):
    code = f"""
def prepare(context):
    with open({str(tmp_path / "log")!r}, "a") as log:
        log.write("start\\n")
    import time
    time.sleep(0.3)
    context.recipe()
"""
    competition = make_competition(code=code)
    command = [sys.executable, "-c", ONE, competition.folder, tmp_path / "data", raw, tmp_path / "go"]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    results = sorted(process.communicate()[0].strip() for process in processes)
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert results == ["found", "found", "found", "made"]
    assert (tmp_path / "log").read_text() == "start\n"


def test_leftovers_of_dead_processes_go(make_competition, raw, tmp_path):
    root = tmp_path / "data" / "toy"
    for name in (".attempt-dead/prepared/public", ".raw-dead"):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_text("x")
    (root / ".prepared.json.abc.tmp").write_text("{")
    data = prepare(make_competition(), tmp_path / "data", raw_dir=raw)
    assert sorted(p.name for p in root.iterdir()) == [".prepare.lock", "prepared", "prepared.json"]
    assert sha256_of(data.public / "train.csv")
