"""Reports as JSON, CSV, Markdown and schema; and reading them back."""

import csv
import io
import json

import pytest
from markdown_it import MarkdownIt
from pydantic import BaseModel

from mleb_core.errors import RunGroupError, UnknownIdError
from mleb_core.report.build import grading_report, group_grading_report, group_report, run_report
from mleb_core.report.formats import (
    SCHEMAS,
    load_group_report,
    load_run_report,
    schema,
    to_csv,
    to_json,
    to_markdown,
)
from mleb_core.report.models import GradingReport
from mleb_core.report.table import COLUMNS
from mleb_core.run import Cause, RunStatus

EVIL = "=cmd|' /C calc'!A0\n| x | <b onclick=y> | `z` |\n# heading \udce9 \u202e"


@pytest.fixture
def report(group, graded, finished):
    """A group with every kind of run: medals, invalid, grader error, failed, timed out, missing; hostile texts."""
    keys = group.run_keys()
    runs = [finished(key) for key in keys[:10]]
    runs[1] = finished(keys[1], RunStatus.FAILED, Cause.AGENT_ERROR, EVIL, refused=(f"{EVIL}: a link",))
    runs[2] = finished(keys[2], RunStatus.TIMED_OUT, Cause.AGENT_TIMEOUT, "out of time")
    runs[3] = finished(keys[3], RunStatus.FAILED, Cause.SANDBOX_FAILURE, "container vanished")
    grades = {key: graded(key.competition, "bronze", known_issues=("rows leak",)) for key in keys[:10]}
    none = {"score": None, "valid_submission": False}
    grades[keys[4]] = graded(keys[4].competition, **none, reason=EVIL, submission_path=EVIL)
    grades[keys[5]] = graded(keys[5].competition, **none, grader_error="answers gone")
    grades[keys[6]] = graded(keys[6].competition, **none, submission_exists=False, reason="there is no file")
    grades[keys[7]] = graded(keys[7].competition, "gold", leaderboard_kind="reference-models", rank=1, teams=9)
    del grades[keys[3]]
    return group_report(group, runs, {run.key: run_report(run, grades.get(run.key)) for run in runs})


def test_json_reads_back_equal(report, tmp_path):
    (tmp_path / "report.json").write_text(to_json(report))
    assert load_group_report(tmp_path / "report.json") == report
    (tmp_path / "run.json").write_text(to_json(report.runs[1]))
    assert load_run_report(tmp_path / "run.json") == report.runs[1]
    grading = group_grading_report(report)
    assert GradingReport.model_validate_json(to_json(grading)) == grading


def test_csv_has_one_line_for_every_run_asked_for(report):
    text = to_csv(report)
    lines = text.splitlines()
    assert len(lines) == 1 + report.counts.asked
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    asked = [(key.competition, key.agent, str(key.seed)) for key in report.group.run_keys()]
    assert [(row["competition"], row["agent"], row["seed"]) for row in rows] == asked
    assert [row["graded"] for row in rows].count("true") == report.counts.graded
    assert [row["any_medal"] for row in rows].count("true") == report.counts.medals
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert rows[1]["message"].startswith("'=cmd|")
    assert (rows[0]["score"], rows[0]["medal"], rows[0]["exit_code"]) == ("0.5", "bronze", "0")
    assert (rows[3]["status"], rows[3]["cause"], rows[3]["score"]) == ("failed", "sandbox_failure", "")
    assert (rows[5]["graded"], rows[5]["grader_error"]) == ("false", "answers gone")
    assert (rows[10]["status"], rows[10]["message"]) == ("pending", "never started")
    editions = {row["competition"]: row["edition"] for row in rows}
    assert editions == {"iris": "1", "wine": "1", "digits@2": "2"}


def test_a_negative_score_stays_a_number_in_csv(group, graded, finished):
    run = finished(group.run_keys()[0])
    report = group_report(group, [run], {run.key: run_report(run, graded("iris", score=-0.5))})
    assert next(csv.DictReader(io.StringIO(to_csv(report))))["score"] == "-0.5"


def sections(page: str) -> dict[str, list[list[str]]]:
    """The cells of each section's table, by heading, as a Markdown reader sees them."""
    found: dict[str, list[list[str]]] = {}
    heading, inside = "", ""
    for token in MarkdownIt("commonmark").enable("table").parse(page):
        assert token.type not in ("html_block", "fence", "code_block", "hr", "blockquote_open")
        if token.type.endswith("_open"):
            inside = token.type
            if token.type == "tr_open":
                found.setdefault(heading, []).append([])
        elif token.type == "inline":
            assert {child.type for child in token.children} <= {"text", "text_special", "softbreak"}
            text = "".join(child.content for child in token.children)
            if inside == "heading_open":
                heading = text
            elif inside in ("td_open", "th_open"):
                found[heading][-1].append(text)
    return found


def test_markdown_shows_everything_and_is_not_broken_by_hostile_texts(report):
    page = to_markdown(report)
    found = sections(page)
    assert [row[0] for row in found["Results"][1:]] == ["dummy", "aide/o1"]
    assert len(found["Seeds"]) == 1 + 2 * 3
    assert [row[0] for row in found["Competitions"][1:]] == ["iris", "iris", "wine", "wine", "digits@2", "digits@2"]
    assert len(found["Missing runs"]) == 1 + report.counts.missing == 1 + 10
    failures = {(row[0], row[1], row[4]) for row in found["Failures"][1:]}
    assert failures == {
        ("iris", "aide/o1", "agent_error"),
        ("wine", "dummy", "agent_timeout"),
        ("wine", "aide/o1", "sandbox_failure"),
        ("digits@2", "dummy", "invalid submission"),
        ("digits@2", "aide/o1", "grader error"),
        ("iris", "dummy", "no submission"),
    }
    for rows in found.values():
        assert len({len(row) for row in rows}) == 1
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings == [
        f"# Run group {report.group.name.replace('_', chr(92) + '_')}",
        *("## Results", "## Seeds", "## Competitions", "## Failures", "## Missing runs"),
        *("## Files that were not collected", "## Known issues"),
    ]
    assert "<b" not in page
    assert "rows leak" in page
    assert "reference models" in page
    assert page.endswith("\n") and not page.endswith("\n\n") and "\n\n\n" not in page


def test_markdown_gives_the_figures_of_the_report(report):
    for row, result in zip(sections(to_markdown(report))["Results"][1:], report.agents, strict=True):
        value = result.any_medal_percentage
        assert row[1] == f"{value.mean:.1f} ± {value.standard_error:.1f}"
        assert row[-2:] == [f"{result.counts.graded} of 9", str(result.counts.missing)]


def test_markdown_of_a_group_without_any_run(group):
    page = to_markdown(group_report(group, [], {}))
    assert "## Failures" not in page and "## Known issues" not in page
    assert len(sections(page)["Missing runs"]) == 1 + 18


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schemas_describe_every_field(name):
    document = schema(name)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    json.dumps(document)
    assert set(document["properties"]) == set(SCHEMAS[name].model_fields)
    assert "format_version" in document["properties"]


@pytest.mark.parametrize("name", [name for name in SCHEMAS if name.endswith("-report")])
def test_every_field_of_a_report_has_its_docstring_in_the_schema(name):
    document = schema(name)
    own = [name for name, part in document["$defs"].items() if "description" in part] if "$defs" in document else []
    for title, part in [(name, document), *((title, document["$defs"][title]) for title in own)]:
        if title in ("RunGroup", "RunKey", "Limits", "Terms", "Budget", "RunStatus", "Cause"):  # not of this package
            continue
        for field, described in part["properties"].items():
            assert described.get("description"), f"{title}.{field}"


def test_a_written_report_has_all_that_its_schema_requires(report):
    for name, model in {
        "group-report": report,
        "run-report": report.runs[0],
        "grading-report": grading_report([]),
    }.items():
        written = json.loads(to_json(model))
        assert set(schema(name)["required"]) <= set(written)
        assert set(written) == set(schema(name)["properties"])


def test_an_unknown_schema_says_which_there_are():
    with pytest.raises(UnknownIdError, match="did you mean run-report"):
        schema("run-reprot")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        (b"", "the file is empty"),
        (b'{"format_version": 1, "group": {', "the file is not whole JSON"),
        (b"\xff\xfe\x00\x01", "the file is not whole JSON"),
        (b"[" * 100_000, "the file is not whole JSON"),
        (b"[1, 2]", "is expected"),
        (b"{}", "Field required"),
        (b'{"format_version": 2}', "format_version is 2, this mleb reads 1"),
        (b'{"format_version": "two\\nlines"}', "format_version is two\\nlines, this mleb reads 1"),
    ],
)
@pytest.mark.parametrize("load", [load_group_report, load_run_report])
def test_a_wrong_file_gives_one_line(tmp_path, load, content, told):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunGroupError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ") and told in str(caught.value) and "\n" not in str(caught.value)


def test_one_report_is_not_taken_for_the_other(report, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(to_json(report))
    with pytest.raises(RunGroupError, match="a run's report is expected; key: Field required"):
        load_run_report(path)
    path.write_text(to_json(report.runs[0]))
    with pytest.raises(RunGroupError, match="a run group's report is expected"):
        load_group_report(path)
    path.write_text(to_json(report.runs[0]).replace('"score": 0.5', '"score": NaN'))
    with pytest.raises(RunGroupError, match=r"competition_report\.score: Input should be a finite number"):
        load_run_report(path)


def test_a_directory_in_place_of_a_file(tmp_path):
    with pytest.raises(RunGroupError, match="Is a directory"):
        load_run_report(tmp_path)


def test_all_models_are_frozen(report):
    def walk(model: BaseModel) -> None:
        assert model.model_config.get("frozen") is True, type(model)
        for name in type(model).model_fields:
            value = getattr(model, name)
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, BaseModel):
                    walk(item)

    walk(report)
