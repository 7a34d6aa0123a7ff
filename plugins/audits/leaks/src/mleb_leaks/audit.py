"""The audit `leaks`: what prepared data gives away of its own answers."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mleb_core.audits.findings import Evidence, Finding
    from mleb_core.audits.protocol import AuditedData
    from mleb_leaks.giveaway import Verdict
    from mleb_leaks.linked import Seen
    from mleb_leaks.scan import Scan
    from mleb_leaks.settings import Settings
    from mleb_leaks.truth import Truth

__all__ = ["Leaks"]

_MOST_FINDINGS = 30
"""Of one rule."""
_EXAMPLES = 5
_SIZE = 0.9
"""Strength at which a file's size is a suspect: what is in a picture or a sound has some hold on it anyway."""


class Leaks:
    """Looks for answers in public files, and for test rows in train."""

    id = "leaks"
    summary = "Answers in public files, columns that give them away, test rows and groups that are in train too."

    @property
    def settings_type(self) -> "type[Settings]":
        """The model of the settings; imported late because pydantic costs 100 ms."""
        from mleb_leaks.settings import Settings

        return Settings

    def audit_data(self, data: "AuditedData") -> "Iterable[Finding]":
        """Look at one competition's prepared data; the same data gives the same findings."""
        from mleb_core.audits.findings import Finding
        from mleb_leaks.scan import scan
        from mleb_leaks.truth import Unsuitable, read_truth

        settings = self.settings_type.model_validate(dict(data.settings))
        try:
            truth = read_truth(data, settings.ids)
        except Unsuitable as error:
            message = f"Answers were not searched for: {error}."
            yield Finding(rule="not-searched", severity="info", message=message)
            return
        found = scan(data, truth, settings)
        yield from _limited(_of_fields(found, truth))
        yield from _limited(_of_order(found, truth))
        yield from _limited(_of_tables(found, truth))
        yield from _limited(_of_images(found, truth, data))
        yield from _of_bounds(found, truth)


def _of_fields(found: "Scan", truth: "Truth") -> "Iterator[Finding]":
    """Fields and texts that stand with test ids."""
    from mleb_core.audits.findings import Evidence, Finding
    from mleb_leaks.giveaway import judge
    from mleb_leaks.structured import find_masks, find_positions, find_sequences, find_texts

    for kind, source in sorted(found.linked.sources.items()):
        for name, values in source.fields.items():
            for target, answers in truth.targets.items():
                if name in truth.id_columns:
                    continue
                verdict = find_sequences(values, answers) or find_masks(values, answers, found.sizes)
                if verdict is None and name[:1] != "#":
                    verdict = judge({position: seen.value for position, seen in values.items()}, answers)
                if verdict is not None:
                    rule = "answers-in-file" if verdict.how in ("equal", "sequence", "mask") else "column-tells-target"
                    yield Finding(
                        rule=rule,
                        severity="serious",
                        message=f"{_kind(kind)}: {_field(name)} {verdict.words} ({target}).",
                        evidence=tuple(_places(verdict, values, truth, target)),
                    )
        for target, answers in truth.targets.items():
            verdict = find_texts(source.texts, answers)
            if verdict is not None:
                evidence = tuple(
                    Evidence(file=source.texts[p][0], values={"id": truth.ids[p], target: answers[p]})
                    for p in verdict.rows[:_EXAMPLES]
                )
                text = f"{_kind(kind)}: the text {verdict.words} ({target})."
                yield Finding(rule="answers-in-file", severity="serious", message=text, evidence=evidence)
        for columns, verdict, file, values_ in find_positions(source, truth):
            text = f"{_kind(kind)}: {verdict.words} ({columns})."
            where = (Evidence(file=file, values={**values_, **verdict.figures}),)
            yield Finding(rule="answers-in-file", severity="serious", message=text, evidence=where)


def _of_order(found: "Scan", truth: "Truth") -> "Iterator[Finding]":
    """Row order, file size, time and id, which should say nothing."""
    from mleb_core.audits.findings import Evidence, Finding
    from mleb_leaks.giveaway import follows
    from mleb_leaks.truth import as_number

    suspects: list[tuple[str, str, dict[int, float]]] = []
    for kind, source in sorted(found.linked.sources.items()):
        for name, words in (("#bytes", "the size of the file"), ("#time", "the time of the file in its archive")):
            if about := source.fields.get(name):
                suspects.append((kind, words, {position: float(seen.value) for position, seen in about.items()}))
        for rows in source.fields.values():
            order = {position: float(seen.row) for position, seen in rows.items() if seen.row is not None}
            if len(order) >= 0.9 * len(truth.ids) and len({seen.file for seen in rows.values()}) == 1:
                suspects.append((kind, "the order of the rows", order))
            break
    numbers = [as_number(text) for text in truth.ids]
    if len(truth.id_columns) > 1:
        pass  # rows of one trip, one series, have ids and answers alike
    elif all(number is not None for number in numbers):
        suspects.append(("", "the id, as a number,", {i: n for i, n in enumerate(numbers) if n is not None}))
    else:
        ranks = {text: rank for rank, text in enumerate(sorted(truth.ids))}
        suspects.append(("", "the id, sorted as text,", {i: float(ranks[text]) for i, text in enumerate(truth.ids)}))
    for kind, words, values in suspects:
        for target, answers in truth.targets.items():
            verdict = follows(values, answers, least=_SIZE if "size" in words else 0.3)
            if verdict is not None:
                where = tuple(
                    Evidence(values={"id": truth.ids[p], target: answers[p], "value": values[p]})
                    for p in verdict.rows[:_EXAMPLES]
                )
                place = f"{_kind(kind)}: " if kind else ""
                text = f"{place}{words} {verdict.words} {target} ({_figures(verdict)})."
                first = Evidence(values=dict(verdict.figures))
                yield Finding(
                    rule="order-or-size-follows-target", severity="warning", message=text, evidence=(first, *where)
                )


def _of_tables(found: "Scan", truth: "Truth") -> "Iterator[Finding]":
    """Test rows and groups that are in train too."""
    import numpy as np
    import pandas as pd

    from mleb_leaks.overlap import compare, cut_group, group_like, missing_tells
    from mleb_leaks.scan import role
    from mleb_leaks.truth import is_missing

    targets = list(truth.targets)
    tests = [t for t in found.tables if t.test_rows >= 0.5 * t.rows and t.rows and role(t.name) != "train"]
    others = [t for t in found.tables if t.test_rows < 0.5 * t.rows and role(t.name) != "test"]
    trains = [t for t in others if role(t.name) == "train" or set(targets) & set(t.columns)]
    told: set[str] = set()
    groups: set[str] = set()
    for train in trains:
        for test in tests:
            by_missing = (finding for target in targets for finding in missing_tells(train, test, target))
            for finding in (*by_missing, *compare(test, train, truth.id_columns, targets)):
                key = f"{finding.rule} {finding.message}"
                if key not in told:
                    told.add(key)
                    groups |= {column for column in test.columns if f" {column} " in finding.message}
                    yield finding
        for name, cells in {**truth.others, **truth.targets}.items():
            if name in train.columns and group_like(name) and name not in {*targets, *groups}:
                ours = pd.util.hash_array(np.array([cell for cell in cells if not is_missing(cell)], dtype=object))
                finding_ = cut_group(name, ours, train.column(name), truth.file, train.name)
                if finding_ is not None and finding_.message not in told:
                    told.add(finding_.message)
                    yield finding_


def _of_images(found: "Scan", truth: "Truth", data: "AuditedData") -> "Iterator[Finding]":
    """Files of test ids that are in train too, byte by byte by the manifest, or as pictures."""
    from mleb_core.audits.findings import Evidence, Finding
    from mleb_leaks.pairs import equal_files, equal_pictures

    for pairs, rule, words in (
        (equal_files(found, data), "test-files-in-train", "byte by byte"),
        (equal_pictures(found.looks), "test-pictures-in-train", "as the same picture, in any size"),
    ):
        ids = {position for _, position, _ in pairs}
        if len(ids) >= max(3, 0.01 * len(truth.ids)):
            evidence = tuple(
                Evidence(file=name, values={"id": truth.ids[position], "same_as": other})
                for name, position, other in pairs[:_EXAMPLES]
            )
            text = f"Files of {len(ids)} test ids are in train too, {words}."
            yield Finding(rule=rule, severity="warning", message=text, evidence=evidence)


def _of_bounds(found: "Scan", truth: "Truth") -> "Iterator[Finding]":
    """What was not looked at."""
    from mleb_core.audits.findings import Evidence, Finding

    if len(truth.ids) < truth.total:
        text = f"Answers of {len(truth.ids)} of {truth.total} test ids were searched for: a sample, by the ids' hashes."
        yield Finding(rule="sampled", severity="info", message=text)
    for reason, names in sorted(found.left.reasons.items()):
        evidence = tuple(Evidence(file=name) for name in names[:_EXAMPLES])
        text = f"Not looked into: {len(names)} files: {reason}."
        yield Finding(rule="not-looked-at", severity="info", message=text, evidence=evidence)


def _places(verdict: "Verdict", values: "Mapping[int, Seen]", truth: "Truth", target: str) -> "Iterator[Evidence]":
    from mleb_core.audits.findings import Evidence as Place

    for position in verdict.rows[:_EXAMPLES]:
        seen = values[position]
        shown = seen.value if isinstance(seen.value, int | float) else str(seen.value)[:200]
        yield Place(
            file=seen.file,
            row=seen.row,
            values={"id": truth.ids[position], target: truth.targets[target][position][:200], "found": shown},
        )


def _limited(findings: "Iterator[Finding]") -> "Iterator[Finding]":
    """At most so many findings of one rule; how many more there are is said."""
    from mleb_core.audits.findings import Finding

    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.rule] = counts.get(finding.rule, 0) + 1
        if counts[finding.rule] <= _MOST_FINDINGS:
            yield finding
    for rule, count in counts.items():
        if count > _MOST_FINDINGS:
            text = f"{count - _MOST_FINDINGS} further findings of this kind are not listed."
            yield Finding(rule=rule, severity="info", message=text)


def _kind(kind: str) -> str:
    return kind.removesuffix(" (other)")


def _field(name: str) -> str:
    return {"#polygons": "what its polygons hold", "#value": "its value", "#key": "its key"}.get(name, f"`{name}`")


def _figures(verdict: "Verdict") -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in verdict.figures.items())
