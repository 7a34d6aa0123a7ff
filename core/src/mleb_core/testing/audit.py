"""What every audit must keep."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from mleb_core.audits.findings import Evidence, Finding
from mleb_core.audits.protocol import Audit, AuditedData, AuditedRuns, DataAudit, RunAudit
from mleb_core.competition import Competition
from mleb_core.layout import CompetitionData, GroupLayout, RunLayout
from mleb_core.registry import Registry
from mleb_core.run import Limits, Outcome, Run, RunGroup, RunStatus
from mleb_core.testing.tinies import TINY, tiny_prepared

__all__ = ["AuditContract"]

_STARTED = "2026-01-01T00:00:00+00:00"


class AuditContract:
    """Subclass it and set `id`; set `settings` where the audit cannot do without."""

    id: str
    """The audit's id."""
    settings: Mapping[str, object] = MappingProxyType({})
    """Given to the audit's `settings_type`."""

    @pytest.fixture(scope="class")
    @classmethod
    def audit(cls) -> Audit:
        """The audit, found as a user's mleb finds it."""
        return Registry().audit(cls.id)

    @pytest.fixture(scope="class")
    @classmethod
    def data_dir(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A data directory with the tiny competition prepared."""
        data_dir = tmp_path_factory.mktemp("data")
        tiny_prepared(data_dir)
        return data_dir

    def test_it_says_what_it_looks_at(self, audit: Audit) -> None:
        """It has an id, a summary of one line, and looks at data or at runs."""
        assert audit.id == self.id
        assert audit.summary
        assert "\n" not in audit.summary
        assert isinstance(audit, DataAudit | RunAudit)

    def test_data_is_looked_at_twice_alike_and_left_alone(self, audit: Audit, data_dir: Path) -> None:
        """Findings are findings, their evidence names files that are there, and nothing is written."""
        if not isinstance(audit, DataAudit):
            pytest.skip("it does not look at data")
        data = CompetitionData.of(data_dir, TINY.label)
        before = _sums(data_dir)
        first = list(audit.audit_data(AuditedData(TINY, data, self._settings(audit))))
        second = list(audit.audit_data(AuditedData(TINY, data, self._settings(audit))))
        assert first == second
        assert _sums(data_dir) == before
        for finding in first:
            assert isinstance(finding, Finding)
            for evidence in finding.evidence:
                _check_place(evidence, data.prepared)

    def test_runs_good_broken_and_missing_are_looked_at_and_left_alone(
        self, audit: Audit, data_dir: Path, tmp_path: Path
    ) -> None:
        """Findings are about the runs that were asked about; a broken run is no reason to stop."""
        if not isinstance(audit, RunAudit):
            pytest.skip("it does not look at runs")
        layout, group = _group(tmp_path / "group", data_dir)
        before = _sums(layout.root)
        asked = AuditedRuns(group, layout, tuple(group.run_keys()), _competition, data_dir, self._settings(audit))
        for key, finding in audit.audit_runs(asked):
            assert isinstance(finding, Finding)
            assert key is None or key in asked.keys
            if key is not None:
                root = layout.run(key.competition, key.agent, key.seed).root
                for evidence in finding.evidence:
                    _check_place(evidence, root)
        assert _sums(layout.root) == before

    def test_no_runs_is_no_fault(self, audit: Audit, data_dir: Path, tmp_path: Path) -> None:
        """A group of which nothing has ended gives no finding about a run."""
        if not isinstance(audit, RunAudit):
            pytest.skip("it does not look at runs")
        layout, group = _group(tmp_path / "group", data_dir)
        asked = AuditedRuns(group, layout, (), _competition, data_dir, self._settings(audit))
        assert all(key is None for key, _ in audit.audit_runs(asked))

    def _settings(self, audit: Audit) -> dict[str, object]:
        settings_type = getattr(audit, "settings_type", None)
        if settings_type is None:
            return {}
        checked: dict[str, object] = settings_type.model_validate(dict(self.settings)).model_dump(mode="json")
        return checked


def _competition(label: str) -> Competition:
    assert label == TINY.label
    return TINY


def _check_place(evidence: Evidence, root: Path) -> None:
    """A file that is named is there, below the directory."""
    if evidence.file is not None:
        path = root / evidence.file.partition("!")[0]
        assert path.resolve().is_relative_to(root.resolve())
        assert path.exists(), f"{evidence.file} is not there"
    json.dumps(evidence.values)


def _group(root: Path, data_dir: Path) -> tuple[GroupLayout, RunGroup]:
    """Three runs: one whole, one whose files are broken, one of which there is nothing."""
    layout = GroupLayout(root)
    group = RunGroup(
        name="contract",
        created_at=_STARTED,
        competitions=(TINY.label,),
        agents=("contract",),
        seeds=3,
        runner="local",
        engine="local",
        workers=1,
        limits=Limits(),
        data_dir=str(data_dir),
    )
    root.mkdir(parents=True)
    layout.group.write_text(group.model_dump_json())
    good, broken, missing = (layout.run(TINY.label, "contract", seed) for seed in range(3))
    sample = CompetitionData.of(data_dir, TINY.label).public / TINY.spec.grading.sample
    for place, key in zip((good, broken, missing), group.run_keys(), strict=True):
        place.root.mkdir(parents=True)
        outcome = Outcome(status=RunStatus.FINISHED, exit_code=0, runtime_s=1.0)
        run = Run(key=key, group=group.name, status=RunStatus.FINISHED, attempt=1, outcome=outcome, created_at=_STARTED)
        place.run.write_text(run.model_dump_json())
    _fill(good, sample.read_bytes(), b"import csv\nprint('reading')\n", b"read 10 rows\n")
    _fill(broken, b"\xff\xfe\x00 no table", b"def (:\n\x00", b"\x80\x81\n" * 50)
    broken.transcript.write_bytes(b'{"request": 1}\nnot JSON\n')
    broken.ledger.write_bytes(b"{\n")
    return layout, group


def _fill(place: RunLayout, submission: bytes, code: bytes, log: bytes) -> None:
    for folder in (place.submission_dir, place.code, place.logs):
        folder.mkdir()
    place.submission.write_bytes(submission)
    (place.code / "solve.py").write_bytes(code)
    place.log.write_bytes(log)


def _sums(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
