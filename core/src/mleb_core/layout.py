"""Every path that mleb writes, in one place; and how files are written whole.

    DATA/<id>[@N]/raw | prepared/public | prepared/private | leaderboard.csv | prepared.json
    RUNS/<run-group>/group.json report.* and <competition>/<agent>/<seed>/...
    RUNS/<study>/report.* and <arm>/, a run group for each arm of a study

A file that stands under its name is whole: it was written beside it, flushed to disk and renamed.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "CompetitionData",
    "GroupLayout",
    "RunLayout",
    "StudyLayout",
    "default_data_dir",
    "remove_unfinished",
    "write_json",
    "write_whole",
]


def default_data_dir() -> Path:
    """Where data lies unless told otherwise: $MLEB_DATA_DIR, else mleb/data in the user's data directory."""
    if given := os.environ.get("MLEB_DATA_DIR"):
        return Path(given).expanduser()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "mleb" / "data"


def write_whole(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """Write a file so that at any instant the old or the new content stands under its name, never a part.

    Args:
        path: the file; its directory is there.
        content: all of it; text is written as UTF-8.
        durable: also flush to disk, so that the content survives a power cut.

    Raises:
        OSError: as open, write and rename give it, with `path` for its file; no temporary file is left behind.
    """
    data = content.encode() if isinstance(content, str) else content
    name = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        Path(name).chmod(0o644)  # mkstemp gives 0600; results are meant to be shared
        Path(name).replace(path)
        if durable:  # the rename too, else a power cut may bring the old content back
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
    except BaseException as error:
        if name is not None:
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):  # writing names no file, and the temporary one says nothing to people
            error.filename, error.filename2 = str(path), None
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what `write_whole` was at work on in a folder when its process was killed.

    Raises:
        OSError: a file cannot be removed.
    """
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """`write_whole` of a value as indented JSON with a final newline."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as a path that is not UTF-8 gives
        text = json.dumps(value, indent=2)
    write_whole(path, text + "\n", durable=durable)


@dataclass(frozen=True)
class CompetitionData:
    """One competition's data, `DATA/<label>`, label as in `Competition.label`."""

    root: Path

    @classmethod
    def of(cls, data_dir: Path, label: str) -> "CompetitionData":
        """The data of the competition `label` under `data_dir`."""
        return cls(data_dir / label)

    @property
    def raw(self) -> Path:
        """The download, as it came. Editions share it: that of `iris@2` is that of `iris`."""
        return self.root.with_name(self.root.name.partition("@")[0]) / "raw"

    @property
    def download(self) -> Path:
        """What of the download is there before it is unpacked; gone afterwards. Editions share it."""
        return self.raw.with_name(".download")

    @property
    def prepared(self) -> Path:
        """Public and private; there only when whole."""
        return self.root / "prepared"

    @property
    def public(self) -> Path:
        """What an agent may see."""
        return self.prepared / "public"

    @property
    def private(self) -> Path:
        """What an agent may not see."""
        return self.prepared / "private"

    @property
    def manifest(self) -> Path:
        """Checksums and origin of the prepared files."""
        return self.root / "prepared.json"

    @property
    def fetched(self) -> Path:
        """What an engine has fetched of prepared data so far; gone afterwards."""
        return self.root / ".fetched"

    @property
    def fetch_lock(self) -> Path:
        """Held by the process that fetches prepared data."""
        return self.root / ".fetch.lock"

    @property
    def leaderboard(self) -> Path:
        """All human scores, where they were fetched: CSV with a `score` column."""
        return self.root.with_name(self.root.name.partition("@")[0]) / "leaderboard.csv"


@dataclass(frozen=True)
class RunLayout:
    """One run's directory."""

    root: Path

    @property
    def group(self) -> "GroupLayout":
        """The directory of its run group, three above; where there is none so far up, its own."""
        return GroupLayout(self.root.parents[2] if len(self.root.parts) > 3 else self.root)

    @property
    def run(self) -> Path:
        """State of the run."""
        return self.root / "run.json"

    @property
    def cancel(self) -> Path:
        """There while somebody asks for this run alone to be cancelled and it has not ended yet."""
        return self.root / "cancel"

    @property
    def events(self) -> Path:
        """What happened, a JSON object a line."""
        return self.root / "events.jsonl"

    @property
    def log(self) -> Path:
        """Everything that the agent printed, byte for byte."""
        return self.root / "agent.log"

    @property
    def submission_dir(self) -> Path:
        """Collected submission files."""
        return self.root / "submission"

    @property
    def submission(self) -> Path:
        """The file that counts."""
        return self.submission_dir / "submission.csv"

    @property
    def code(self) -> Path:
        """Collected code."""
        return self.root / "code"

    @property
    def logs(self) -> Path:
        """Collected logs of the agent's own."""
        return self.root / "logs"

    @property
    def snapshots(self) -> Path:
        """Earlier submissions with their times."""
        return self.root / "snapshots"

    @property
    def steps(self) -> Path:
        """How many steps the agent says that it took (`report.models.UsageSummary`)."""
        return self.logs / "steps.json"

    @property
    def transcript(self) -> Path:
        """Every exchange with a model, a JSON object a line."""
        return self.root / "transcript.jsonl"

    @property
    def usage(self) -> Path:
        """What was used of models."""
        return self.root / "usage.json"

    @property
    def snapshot_list(self) -> Path:
        """The snapshots' times and sha256, a JSON object a line."""
        return self.snapshots / "snapshots.jsonl"

    @property
    def snapshot_scores(self) -> Path:
        """Score over time, once the snapshots were graded. Not among them, for the ledger has the digest of those."""
        return self.root / "snapshot_scores.json"

    @property
    def ledger(self) -> Path:
        """What the agent was given and did, a hash-chained JSON object a line."""
        return self.root / "ledger.jsonl"

    def spoilt_ledger(self, number: int) -> Path:
        """A ledger that was found not to hold, and replaced."""
        return self.root / f"ledger.spoilt-{number}.jsonl"

    @property
    def resources(self) -> Path:
        """What the run used over time: processor, memory, disk, GPUs."""
        return self.root / "resources.json"

    @property
    def channel(self) -> Path:
        """The sockets of a run under way, and what a later harness needs to serve them again.

        Not below `root`: the path of a unix socket has room for 107 bytes. The same for the same run on a machine.
        """
        base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        run = hashlib.sha256(os.fsencode(self.root.absolute())).hexdigest()[:20]
        return Path(base) / f"mleb-{os.getuid()}" / run

    @property
    def channel_socket(self) -> Path:
        """Where the gateway and the submission checker listen for this run."""
        return self.channel / "gateway.sock"

    @property
    def channel_proxy(self) -> Path:
        """Where the proxy to allowed hosts listens for this run."""
        return self.channel / "proxy.sock"

    @property
    def channel_state(self) -> Path:
        """What a later harness needs: the run, its token, its GPUs. Beside the directory, which agents see."""
        return self.channel.with_suffix(".json")

    @property
    def report(self) -> Path:
        """The run's report."""
        return self.root / "report.json"

    @property
    def work(self) -> Path:
        """What a runner needs while the run goes on (agent home, process records); removed afterwards."""
        return self.root / "work"

    @property
    def work_record(self) -> Path:
        """What a later harness needs to find the processes of this attempt."""
        return self.work / "processes.json"

    @property
    def work_tmp(self) -> Path:
        """The agent's private directory for temporary files."""
        return self.work / "tmp"

    @property
    def work_home(self) -> Path:
        """The agent's home."""
        return self.work / "home"

    @property
    def work_data(self) -> Path:
        """The public data in the agent's home."""
        return self.work_home / "data"

    @property
    def work_submission(self) -> Path:
        """Where the agent leaves its submission."""
        return self.work_home / "submission"

    @property
    def work_code(self) -> Path:
        """Where the agent leaves code."""
        return self.work_home / "code"

    @property
    def work_logs(self) -> Path:
        """Where the agent leaves logs."""
        return self.work_home / "logs"

    @property
    def work_validate(self) -> Path:
        """The script that asks the submission checker."""
        return self.work_home / "validate_submission.sh"

    @property
    def work_instructions(self) -> Path:
        """The text that tells the agent what to do."""
        return self.work_home / "instructions.txt"

    @property
    def work_agent(self) -> Path:
        """The agent's home where it has a file system of its own: `work_home` is that one's /home."""
        return self.work_home / "agent"

    @property
    def work_description(self) -> Path:
        """description.md for an agent that gets it apart from the data."""
        return self.work_home / "description.md"

    @property
    def work_output(self) -> Path:
        """What the agent printed, for a runner that copies it to `log`."""
        return self.work / "output"

    @property
    def work_mleb(self) -> Path:
        """What an agent in a container finds as /mleb: sockets and mleb's own program."""
        return self.work / "mleb"


@dataclass(frozen=True)
class GroupLayout:
    """One run group's directory."""

    root: Path

    @property
    def group(self) -> Path:
        """The frozen configuration."""
        return self.root / "group.json"

    @property
    def lock(self) -> Path:
        """Held (flock) by the harness at work on the group."""
        return self.root / "group.lock"

    @property
    def report_json(self) -> Path:
        """The group's report."""
        return self.root / "report.json"

    @property
    def report_markdown(self) -> Path:
        """The group's report for people."""
        return self.root / "report.md"

    @property
    def report_csv(self) -> Path:
        """One line a run."""
        return self.root / "report.csv"

    @property
    def grading_report(self) -> Path:
        """The report in MLE-bench's format."""
        return self.root / "grading_report.json"

    @property
    def spares(self) -> Path:
        """What runs leave for one another while the group is at work; removed at its end."""
        return self.root / ".spare"

    def spare(self, competition: str) -> Path:
        """What runs of a competition leave for one another; deep enough that nothing in it is taken for a run."""
        return self.spares / "runs" / competition

    @property
    def places(self) -> Path:
        """Where agents in containers work, each in a directory whose name says nothing; gone with the last of them."""
        return self.root / ".places"

    def audit(self, id: str) -> Path:
        """What an audit found in the group's runs."""
        return self.root / "audits" / f"{id}.json"

    def audits(self) -> list[Path]:
        """What audits found, a file each, by name."""
        return sorted((self.root / "audits").glob("*.json"))

    @property
    def attestation(self) -> Path:
        """What ran, and what of it was checked (`mleb attest`), as JSON; the page for people stands beside it."""
        return self.root / "attestation.json"

    def observer(self, id: str) -> Path:
        """What an observer keeps, below a directory where nothing is taken for a run."""
        return self.root / "observers" / id

    def observer_log(self, id: str) -> Path:
        """What an observer's process printed."""
        return self.observer(id) / "output.log"

    def observer_failures(self, id: str) -> Path:
        """The calls of an observer that failed, a JSON object a line."""
        return self.observer(id) / "failures.jsonl"

    def observer_told(self, id: str) -> Path:
        """The attempts of runs that an observer has told of, a JSON object a line."""
        return self.observer(id) / "told.jsonl"

    def run(self, competition: str, agent: str, seed: int) -> RunLayout:
        """The directory of one run; `/` in an agent id becomes `__`, and no two agents share a directory."""
        parts = agent.split("/")
        for index, part in enumerate(parts):
            if "__" in part or part.startswith("_") or part.endswith("_"):  # would read like another agent's slash
                parts[index] = part.replace("_", "_+")  # no agent id holds a +
        return RunLayout(self.root / competition / "__".join(parts) / str(seed))

    def runs(self) -> Iterator[RunLayout]:
        """The runs that have a run.json, by path."""
        for path in sorted(self.root.glob("*/*/*/run.json")):
            yield RunLayout(path.parent)


@dataclass(frozen=True)
class StudyLayout:
    """The directory of a study (`mleb sweep`)."""

    root: Path

    @property
    def report_json(self) -> Path:
        """What the arms came to."""
        return self.root / "report.json"

    @property
    def report_markdown(self) -> Path:
        """The same for people."""
        return self.root / "report.md"

    def arm(self, name: str) -> Path:
        """The directory of an arm's run group."""
        return self.root / name


def group_name(agent: str, started: str) -> str:
    """Directory name of a new group, `<timestamp>_run-group_<agent>` as published runs are named.

    Args:
        agent: the agent id.
        started: ISO 8601 time, such as 2026-01-31T12:00:00+00:00.
    """
    stamp = re.sub(r"\+.*|\..*|Z", "", started).replace(":", "-")
    return f"{stamp}_run-group_{agent.replace('/', '__')}"
