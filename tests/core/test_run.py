import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from mleb_core.run import Cause, Limits, Outcome, Run, RunGroup, RunKey, RunStatus, append_event, now

GROUP = RunGroup(
    name="g",
    created_at=now(),
    competitions=("iris", "iris@2"),
    agents=("dummy", "aide/o1"),
    seeds=2,
    runner="local",
    engine="local",
    workers=1,
    limits=Limits(),
    data_dir="data",
)


def test_the_runs_of_a_group_come_seed_by_seed():
    keys = [(key.seed, key.competition, key.agent) for key in GROUP.run_keys()]
    assert keys == [
        (seed, competition, agent)
        for seed in (0, 1)
        for competition in ("iris", "iris@2")
        for agent in ("dummy", "aide/o1")
    ]


def test_states_read_back_as_they_were_written():
    outcome = Outcome(status=RunStatus.TIMED_OUT, cause=Cause.AGENT_TIMEOUT, message="time's up", exit_code=-9)
    key = RunKey(competition="iris@2", agent="aide/o1", seed=1)
    run = Run(key=key, group="g", status=RunStatus.TIMED_OUT, attempt=2, outcome=outcome, created_at=now())
    assert Run.model_validate_json(run.model_dump_json()) == run
    assert RunGroup.model_validate_json(GROUP.model_dump_json()) == GROUP
    assert str(key) == "iris@2 aide/o1 seed 1"


def test_keys_of_later_versions_do_no_harm():
    document = json.loads(GROUP.model_dump_json()) | {"new": 1}
    assert RunGroup.model_validate(document) == GROUP


def test_states_do_not_change_under_anyone():
    with pytest.raises(ValidationError, match="frozen"):
        GROUP.run_keys()[0].seed = 3


def test_names_that_are_not_unicode_do_not_break_a_state():
    name = b"caf\xe9.bin".decode("utf-8", "surrogateescape")  # as os.listdir gives it
    outcome = Outcome(status=RunStatus.FINISHED, message=name, refused=(f"{name}: a link",))
    assert json.loads(outcome.model_dump_json())["refused"] == ["caf\\udce9.bin: a link"]


@pytest.mark.parametrize(
    ("status", "cause", "ended", "settled"),
    [
        (RunStatus.FINISHED, None, True, True),
        (RunStatus.TIMED_OUT, Cause.AGENT_TIMEOUT, True, True),
        (RunStatus.FAILED, Cause.AGENT_ERROR, True, True),
        (RunStatus.FAILED, Cause.SANDBOX_FAILURE, True, False),
        (RunStatus.FAILED, Cause.HARNESS_FAILURE, True, False),
        (RunStatus.CANCELLED, Cause.CANCELLED, True, True),
        (RunStatus.INTERRUPTED, None, False, False),
        (RunStatus.PENDING, None, False, False),
        (RunStatus.RUNNING, None, False, False),
        (RunStatus.GRADING, None, False, False),
    ],
)
def test_what_resume_leaves_alone(status, cause, ended, settled):
    outcome = Outcome(status=status, cause=cause)
    run = Run(key=GROUP.run_keys()[0], group="g", status=status, outcome=outcome, created_at=now())
    assert (status.ended, run.settled) == (ended, settled)


def test_events_are_appended_a_line_each(tmp_path: Path):
    log = tmp_path / "events.jsonl"
    append_event(log, "started", attempt=1)
    append_event(log, "failure", message="two\nlines, ü, \udce9", cause=Cause.AGENT_ERROR)
    first, second = map(json.loads, log.read_bytes().decode("utf-8").splitlines())
    assert (first["event"], first["attempt"]) == ("started", 1)
    assert second["message"] == "two\nlines, ü, \udce9"
    assert second["cause"] == "agent_error"
    assert first["time"] <= second["time"]


def test_events_of_several_processes_do_not_mix(tmp_path: Path):
    log = tmp_path / "events.jsonl"
    program = (
        "import sys; from pathlib import Path; from mleb_core.run import append_event\n"
        "for number in range(200): append_event(Path(sys.argv[1]), 'tick', who=sys.argv[2], text='x' * 3000)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, log, str(who)]) for who in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert sorted(event["who"] for event in events) == sorted("012" * 200)


def test_an_event_that_does_not_fit_leaves_no_part_and_is_an_error(tmp_path: Path):
    log = tmp_path / "events.jsonl"
    append_event(log, "first")
    program = (
        "import resource, sys; from pathlib import Path; from mleb_core.run import append_event\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: append_event(Path(sys.argv[1]), 'second', text='x' * 5000)\n"
        "except OSError as error: print('refused', error.filename)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, log], capture_output=True, text=True, check=True)
    assert done.stdout == f"refused {log}\n"
    append_event(log, "third")
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()] == ["first", "third"]


def test_times_are_utc_and_sort_as_text():
    times = [now() for _ in range(3)]
    assert times == sorted(times)
    assert all(time.endswith("+00:00") and len(time) == len("2026-01-31T12:00:00.000+00:00") for time in times)
