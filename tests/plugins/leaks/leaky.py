"""Small prepared data to hide answers in. Not a test itself."""

import random
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from mleb_core.audits.findings import Finding
from mleb_core.audits.protocol import AuditedData
from mleb_core.competition import Competition
from mleb_core.layout import CompetitionData
from mleb_core.registry import Registry

TOML = """
id = "leaky"
title = "Leaky"
category = "tabular"

[source]
kind = "manual"

[leaderboard]
higher_is_better = true
teams = 10
gold = 0.9
silver = 0.8
bronze = 0.7
median = 0.5

[grading]
grader = "accuracy"
id = ["name"]

[grading.columns]
label = { type = "label" }
"""


class Leaky:
    """Data of 120 test ids and 300 train ids with labels a, b and c, in which nothing is given away, until it is."""

    def __init__(self, root: Path, labels: str = "aaabbc", seed: int = 1) -> None:
        self.random = random.Random(seed)
        folder = root / "leaky"
        folder.mkdir(parents=True)
        (folder / "competition.toml").write_text(TOML)
        (folder / "description.md").write_text("Find the label.")
        (folder / "prepare.py").write_text("def prepare(context): ...")
        self.competition = Competition(folder)
        self.data = CompetitionData(root / "data" / "leaky")
        self.public, self.private = self.data.public, self.data.private
        self.public.mkdir(parents=True)
        self.private.mkdir()
        names = self.random.sample(range(10**8, 10**9), 420)
        self.test = {f"x{name}": self.random.choice(labels) for name in names[:120]}
        self.train = {f"x{name}": self.random.choice(labels) for name in names[120:]}
        self.write(self.private / "answers.csv", ["name", "label"], self.test.items())
        self.write(self.public / "sample_submission.csv", ["name", "label"], ((name, "a") for name in self.test))
        self.tables()

    def tables(
        self, test: Mapping[str, Iterable[object]] | None = None, train: Mapping[str, Iterable[object]] | None = None
    ) -> None:
        """Write test.csv and train.csv, with further columns."""
        for file, rows, more in (("test.csv", self.test, test or {}), ("train.csv", self.train, train or {})):
            columns = {name: list(values) for name, values in more.items()}
            head = ["name", "size", "weight", *(["label"] if file == "train.csv" else []), *columns]
            body = []
            for at, (name, label) in enumerate(rows.items()):
                own = [label] if file == "train.csv" else []
                extra = [values[at] for values in columns.values()]
                body.append([name, f"{self.random.random():.6f}", self.random.randrange(10**6), *own, *extra])
            self.write(self.public / file, head, body)

    @staticmethod
    def write(path: Path, head: list[str], rows: Iterable[Iterable[object]]) -> None:
        """A CSV; texts with commas are no need here."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([",".join(head), *(",".join(map(str, row)) for row in rows)]) + "\n")

    def audit(self, **settings: int) -> list[Finding]:
        """What the audit finds, as the harness asks it."""
        return audited(self.competition, self.data, **settings)


def audited(competition: Competition, data: CompetitionData, **settings: int) -> list[Finding]:
    """What the audit finds in prepared data."""
    audit = Registry().audit("leaks")
    checked = audit.settings_type.model_validate(settings).model_dump()  # type: ignore[attr-defined]
    return list(audit.audit_data(AuditedData(competition, data, checked)))  # type: ignore[attr-defined]


def bad(findings: Iterable[Finding]) -> list[Finding]:
    """Without what the audit says of itself."""
    return [finding for finding in findings if finding.severity != "info"]


def tfrecord(examples: Iterable[Mapping[str, bytes | int]]) -> bytes:
    """A TFRecord file of tf.train.Example, made by the format's own words; the checksums are zero."""

    def varint(number: int) -> bytes:
        out = b""
        while number > 127:
            out, number = out + bytes([number & 127 | 128]), number >> 7
        return out + bytes([number])

    def part(number: int, content: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(content)) + content

    content = b""
    for example in examples:
        entries = b""
        for name, value in example.items():
            inner = part(1, part(1, value)) if isinstance(value, bytes) else part(3, part(1, varint(value)))
            entries += part(1, part(1, name.encode()) + part(2, inner))
        record = part(1, entries)
        content += struct.pack("<QI", len(record), 0) + record + struct.pack("<I", 0)
    return content
