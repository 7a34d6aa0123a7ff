"""The hash chain, as a file on disk and as many threads, kills and changed bytes leave it."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mleb_core.errors import RunGroupError, SandboxError
from mleb_core.layout import RunLayout
from mleb_core.ledger import FIRST, Kind, Ledger, check_chain, read_ledger

DOCUMENT = Path(__file__).parents[2] / "docs/ledger.md"


@pytest.fixture
def layout(tmp_path) -> RunLayout:
    return RunLayout(tmp_path)


def written(layout: RunLayout) -> bytes:
    with Ledger.open(layout) as ledger:
        ledger.add(Kind.START, attempt=1, network=[], limits={"time_s": 60.0, "gpus": 0})
        ledger.add(Kind.GATEWAY, number=1, sha256="a" * 64, cost_usd=0.001, model='m","hash":"é\udcff\n')
        ledger.add(Kind.END, attempt=1, submission=None)
    return layout.ledger.read_bytes()


def test_what_was_added_is_read_again(layout):
    with Ledger.open(layout) as ledger:
        assert (ledger.head, ledger.result) == (FIRST, None)
        first = ledger.add(Kind.START, attempt=1)
        assert ledger.result is None
        second = ledger.add("end", status="finished", exit_code=0)
        assert ledger.head == ledger.result == second
    entries = read_ledger(layout.ledger)
    assert [(entry.seq, entry.kind, entry.previous, entry.hash) for entry in entries] == [
        (1, "start", FIRST, first),
        (2, "end", first, second),
    ]
    assert entries[1].details == {"status": "finished", "exit_code": 0}


def program() -> str:
    (text,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return text


def test_the_documents_program_recomputes_the_chain(layout, tmp_path):
    content = written(layout)
    script = tmp_path / "recompute.py"
    script.write_text(program())
    run = [sys.executable, "-W", "ignore::ResourceWarning", script, layout.ledger]
    result = subprocess.run(run, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, check_chain(layout.ledger).head + "\n")
    for offset in range(0, len(content), 17):
        layout.ledger.write_bytes(content[:offset] + bytes([content[offset] ^ 1]) + content[offset + 1 :])
        assert subprocess.run(run, capture_output=True).returncode != 0, offset


def test_every_single_changed_byte_is_found(layout):
    content = written(layout)
    for offset in range(len(content)):
        for flip in (1, 0x20, 0x80):
            layout.ledger.write_bytes(content[:offset] + bytes([content[offset] ^ flip]) + content[offset + 1 :])
            assert check_chain(layout.ledger).problems, (offset, flip)
    layout.ledger.write_bytes(content)
    assert not check_chain(layout.ledger).problems


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0), length=st.integers(0, 80), put=st.binary(max_size=80))
def test_bytes_put_in_or_taken_out_are_found(layout, at, length, put):
    layout.ledger.unlink(missing_ok=True)
    content = written(layout)
    at %= len(content)
    changed = content[:at] + put + content[at + length :]
    layout.ledger.write_bytes(changed)
    chain = check_chain(layout.ledger)
    lines = content.splitlines(keepends=True)
    # What cannot be found by the chain alone are whole lines missing at its end: the head is another then.
    whole_start = changed in [b"".join(lines[:number]) for number in range(len(lines) + 1)]
    assert bool(chain.problems) != whole_start
    assert chain.problems or changed == content or chain.head != lines_head(lines)


def lines_head(lines: list[bytes]) -> str:
    return json.loads(lines[-1])["hash"]


def test_a_line_taken_out_or_moved_is_found(layout):
    content = written(layout)
    first, second, third = content.splitlines(keepends=True)
    for changed in (second + third, first + third, first + third + second, content + third):
        layout.ledger.write_bytes(changed)
        with pytest.raises(RunGroupError, match="line"):
            read_ledger(layout.ledger)


@pytest.mark.parametrize("kept", [1, 10, -1])
def test_a_torn_line_is_cut_off_and_told(layout, kept):
    content = written(layout)
    *whole, last = content.splitlines(keepends=True)
    torn = last[:kept]
    layout.ledger.write_bytes(b"".join(whole) + torn)
    assert check_chain(layout.ledger).torn == len(torn)
    with Ledger.open(layout) as ledger:
        assert ledger.standing(Kind.END) is None
        ledger.add(Kind.START, attempt=2)
    entries = read_ledger(layout.ledger)
    assert [entry.kind for entry in entries] == ["start", "gateway", "torn", "start"]
    assert entries[2].details["bytes"] == len(torn)
    assert entries[2].details["sha256"] == hashlib.sha256(torn).hexdigest()


def test_a_ledger_that_does_not_hold_is_never_gone_on_with(layout):
    content = written(layout)
    changed = content.replace(b'"attempt":1', b'"attempt":2', 1)
    layout.ledger.write_bytes(changed)
    with pytest.raises(RunGroupError, match="line 1: its hash") as caught:
        Ledger.open(layout)
    assert "\n" not in str(caught.value)
    assert layout.ledger.read_bytes() == changed


def test_what_is_no_file_is_refused(layout, tmp_path):
    os.mkfifo(layout.ledger)
    with pytest.raises(RunGroupError, match="regular file"):
        Ledger.open(layout)
    layout.ledger.unlink()
    (tmp_path / "other").write_bytes(b"")
    layout.ledger.symlink_to(tmp_path / "other")
    with pytest.raises(RunGroupError, match="cannot be opened"):
        Ledger.open(layout)


def test_only_one_has_a_ledger_at_a_time(layout):
    with Ledger.open(layout), pytest.raises(RunGroupError, match="in use"):
        Ledger.open(layout)
    Ledger.open(layout).close()


def test_many_threads_make_one_chain(layout):
    with Ledger.open(layout) as ledger:
        heads: list[str] = []

        def work(name: int) -> None:
            heads.extend([ledger.add(Kind.GATEWAY, thread=name, number=number) for number in range(250)])

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledger.count(Kind.GATEWAY) == 2000
    entries = read_ledger(layout.ledger)
    assert sorted(heads) == sorted(entry.hash for entry in entries)
    for name in range(8):
        numbers = [entry.details["number"] for entry in entries if entry.details["thread"] == name]
        assert numbers == list(range(250))


def test_the_chain_goes_on_after_sigkill_at_any_instant(layout):
    code = (
        "import sys; from pathlib import Path\n"
        "from mleb_core.layout import RunLayout; from mleb_core.ledger import Ledger\n"
        "ledger = Ledger.open(RunLayout(Path(sys.argv[1]))); print('go', flush=True)\n"
        "while True: print(ledger.add('gateway', text='x' * 3000), flush=True)"
    )
    acknowledged: list[str] = []
    for lines in (1, 40, 90):
        process = subprocess.Popen([sys.executable, "-c", code, layout.root], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        acknowledged += [process.stdout.readline().strip() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with Ledger.open(layout):
        pass
    known = {entry.hash for entry in read_ledger(layout.ledger)}
    assert known.issuperset(acknowledged)


def test_a_new_start_makes_an_old_end_void(layout):
    with Ledger.open(layout) as ledger:
        for kind in (Kind.START, Kind.END, Kind.GRADED, Kind.REPORT):
            ledger.add(kind)
        assert ledger.result == ledger.standing(Kind.GRADED).hash
        ledger.add(Kind.TAKEN_UP)
        assert (ledger.result, ledger.standing(Kind.REPORT)) == (None, None)
        assert ledger.standing(Kind.START) is not None
        end = ledger.add(Kind.END)
        assert ledger.result == end
    with Ledger.open(layout) as ledger:  # and so it stands when it is opened again
        assert ledger.result == end
        ledger.add(Kind.START)
        assert ledger.standing(Kind.END) is None


@pytest.mark.parametrize(
    ("kind", "details"),
    [("Start", {}), ("", {}), ("end", {"hash": "x"}), ("end", {"seq": 1}), ("end", {"x": float("nan")})],
)
def test_what_cannot_be_an_entry_changes_nothing(layout, kind, details):
    with Ledger.open(layout) as ledger:
        ledger.add(Kind.START)
        before = layout.ledger.read_bytes()
        with pytest.raises(ValueError):
            ledger.add(kind, **details)
        with pytest.raises(TypeError):
            ledger.add(Kind.END, path=Path("x"))
        assert layout.ledger.read_bytes() == before
        ledger.add(Kind.END)
    assert len(read_ledger(layout.ledger)) == 2
    with pytest.raises(ValueError, match="closed"):
        ledger.add(Kind.END)


def test_a_file_that_another_hand_changed_or_removed_gets_nothing_more(layout):
    with Ledger.open(layout) as ledger:
        ledger.add(Kind.START)
        with layout.ledger.open("ab") as stream:
            stream.write(b"{}\n")
        with pytest.raises(SandboxError, match="changed by another hand"):
            ledger.add(Kind.END)
        layout.ledger.unlink()
    with Ledger.open(layout) as ledger:
        layout.ledger.unlink()
        with pytest.raises(SandboxError, match="removed by another hand"):
            ledger.add(Kind.START)


def test_a_full_disk_leaves_no_part_of_a_line(layout):
    import resource

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    code = (
        "import sys; from pathlib import Path\n"
        "from mleb_core.layout import RunLayout; from mleb_core.ledger import Ledger\n"
        "ledger = Ledger.open(RunLayout(Path(sys.argv[1]))); ledger.add('start')\n"
        "try: ledger.add('check', text='x' * 2000)\n"
        "except OSError as error: print(error.filename)\n"
        "ledger.add('end')"
    )
    command = [sys.executable, "-c", code, layout.root]
    result = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, f"{layout.ledger}\n"), result.stderr
    assert [entry.kind for entry in read_ledger(layout.ledger)] == ["start", "end"]
