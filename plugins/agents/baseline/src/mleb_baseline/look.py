"""Finds out what the task is: sample submission, train and test tables, ids, targets."""

from pathlib import Path

import pandas as pd

from mleb_baseline.images import labelled_images
from mleb_baseline.metric import Metric, find_metric
from mleb_baseline.sample import is_sample
from mleb_baseline.tables import Source, UnreadableError
from mleb_baseline.targets import from_label_column, normal, one_target, several_targets
from mleb_baseline.task import Target, Task

__all__ = ["look"]

ENOUGH = 0.95
"""Share of the sample's ids that a table must have to count as the test table."""


def look(data: Path, sample: pd.DataFrame, tables: list[Source]) -> Task:
    """Understand a task. What cannot be understood is noted and leaves the sample's values.

    Args:
        data: the public data.
        sample: the sample submission as text.
        tables: all tables of the data.

    Raises:
        UnreadableError: the train or the test table was found and cannot be read.
    """
    notes: list[str] = []
    metric = find_metric(_description(data))
    others = [t for t in tables if not is_sample(t) and _readable(t, notes)]
    test_source, keys = _find_test(sample, others)
    if test_source is None:
        ids = _leading_ids(sample)
        notes.append("no test table: the ids of the sample are all there is")
        test = sample[ids].copy()
    else:
        ids = list(keys)
        test = _align(test_source.read(), sample, keys, test_source)
    outputs = [c for c in sample.columns if c not in ids]
    id_columns = list(keys.values()) if keys else ids
    train_source = _find_train(others, test_source, test if test_source else None, outputs, id_columns)
    task = Task(data, sample, ids, None, test, [], id_columns, metric, notes)
    if train_source is None:
        _learn_from_folders(task, outputs)
        return task
    text = train_source.read(as_text=True)
    targets = _targets(
        text, outputs, sample, wanted=metric, test_columns=list(test.columns), ids=id_columns, notes=notes
    )
    used = {name for target in targets for name in target.name.split("/")} | {t.name for t in targets}
    train = train_source.read().drop(columns=[c for c in text.columns if c in used])
    train = _with_features(train, others, source=train_source, test_source=test_source, test=test, ids=id_columns)
    if len(train) < 2 or not targets:
        notes.append(f"{train_source.label} has nothing to learn from ({len(train)} rows, {len(targets)} targets)")
        return task
    task.train, task.targets = train, targets
    return task


def _readable(source: Source, notes: list[str]) -> bool:
    try:
        return bool(source.columns)
    except UnreadableError as error:
        notes.append(str(error))
        return False


def _description(data: Path) -> str:
    try:
        return (data / "description.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _leading_ids(sample: pd.DataFrame) -> list[str]:
    """The fewest first columns that name each row."""
    for count in range(1, len(sample.columns)):
        if not sample.iloc[:, :count].duplicated().any():
            return [str(c) for c in sample.columns[:count]]
    return [str(sample.columns[0])]


def _find_test(sample: pd.DataFrame, tables: list[Source]) -> tuple[Source | None, dict[str, str]]:
    """The table with the rows to predict, and its column for each id column of the sample."""
    first = str(sample.columns[0])
    for source in sorted(tables, key=lambda t: ("test" not in t.name, "train" in t.name)):
        columns = {normal(c): c for c in reversed(source.columns)}
        keys = {str(c): columns[normal(c)] for c in sample.columns if normal(c) in columns}
        if len(keys) == len(sample.columns):
            continue  # it has the targets too
        if not keys and "test" in source.name:
            wanted = set(sample[first].head(200))
            head = source.read(as_text=True)
            fitting = [str(c) for c in head.columns if len(wanted & set(head[c])) >= ENOUGH * len(wanted)]
            keys = {first: fitting[0]} if fitting else {}
        if not keys:
            continue
        table = source.read(as_text=True, columns=list(dict.fromkeys(keys.values())))
        have = pd.MultiIndex.from_frame(table[list(keys.values())])
        want = pd.MultiIndex.from_frame(sample[list(keys)])
        if want.isin(have).mean() >= ENOUGH:
            return source, keys
    return None, {}


def _align(test: pd.DataFrame, sample: pd.DataFrame, keys: dict[str, str], source: Source) -> pd.DataFrame:
    """Test rows in the order of the sample; a row that is missing is all empty."""
    columns = list(keys.values())
    text = source.read(as_text=True, columns=list(dict.fromkeys(columns)))
    index = pd.MultiIndex.from_frame(text[columns])
    first = ~index.duplicated()
    position = pd.Series(range(len(text)), index=index)[first]
    rows = position.reindex(pd.MultiIndex.from_frame(sample[list(keys)])).to_numpy()
    return test.reindex(rows).reset_index(drop=True)


def _find_train(
    tables: list[Source], test_source: Source | None, test: pd.DataFrame | None, outputs: list[str], ids: list[str]
) -> Source | None:
    """The table with the targets."""
    best: tuple[float, Source] | None = None
    for source in tables:
        if source == test_source:
            continue
        columns = set(source.columns)
        hits = len(columns & set(outputs)) / len(outputs)
        shared = len(columns & set(test.columns)) / len(test.columns) if test is not None else 0.0
        extra = columns - set(test.columns if test is not None else ids)
        named = 1.0 if "train" in source.name else 0.3 if "label" in source.name else 0.0
        if not hits and not (extra and (shared > 0 or named)):
            continue
        if "test" in source.name and "train" not in source.name:
            continue
        score = 3 * hits + shared + named
        if best is None or score > best[0]:
            best = (score, source)
    return best[1] if best else None


def _with_features(
    train: pd.DataFrame,
    tables: list[Source],
    *,
    source: Source,
    test_source: Source | None,
    test: pd.DataFrame,
    ids: list[str],
) -> pd.DataFrame:
    """Join the features on where the table of the targets has none of its own."""
    features = set(test.columns) - set(ids)
    if test_source is None or not features or set(train.columns) & features or not set(ids) <= set(train.columns):
        return train
    for other in sorted(tables, key=lambda t: "train" not in t.name):
        if other in (source, test_source) or not set(ids) <= set(other.columns):
            continue
        if len(set(other.columns) & features) >= 0.5 * len(features):
            table = other.read().drop_duplicates(ids)
            return train.merge(table, on=ids, how="left", validate="many_to_one")
    return train


def _targets(
    text: pd.DataFrame,
    outputs: list[str],
    sample: pd.DataFrame,
    *,
    wanted: Metric | None,
    test_columns: list[str],
    ids: list[str],
    notes: list[str],
) -> list[Target]:
    names = {normal(c): str(c) for c in reversed(list(text.columns))}
    found = {o: names[normal(o)] for o in outputs if normal(o) in names}
    if len(found) == len(outputs):
        table = text[list(found.values())].set_axis(list(found), axis=1)
        targets = several_targets(table, outputs, sample, wanted) if len(outputs) > 1 else []
        targets = targets or [one_target(outputs[0], table[outputs[0]], outputs[0], sample[outputs[0]], wanted)]
        for target in targets:
            target.name = "/".join(found[o] for o in target.outputs)
        return targets
    candidates = [str(c) for c in text.columns if c not in test_columns and c not in ids and c not in found.values()]
    missing = [o for o in outputs if o not in found]
    if len(missing) > 1 and (spread := from_label_column(text[candidates], missing, wanted)):
        return [spread]
    targets = [one_target(column, text[column], o, sample[o], wanted) for o, column in found.items()]
    if len(missing) == 1 and candidates:
        likely = [c for c in candidates if normal(c) in ("target", "label", "class", "y", "score", "category")]
        close = [c for c in candidates if normal(c) in normal(missing[0]) or normal(missing[0]) in normal(c)]
        column = (close or likely or candidates[::-1])[0]
        notes.append(f"{missing[0]} is not in train; taken for its column {column}")
        targets.append(one_target(column, text[column], missing[0], sample[missing[0]], wanted))
    elif missing and len(missing) == len(candidates):
        notes.append(f"{', '.join(missing[:5])} are not in train; taken for {', '.join(candidates[:5])}")
        pairs = zip(missing, candidates, strict=True)
        targets += [one_target(c, text[c], o, sample[o], wanted) for o, c in pairs]
    elif missing:
        notes.append(f"{', '.join(missing[:5])} cannot be found in train and stay as in the sample")
    return targets


def _learn_from_folders(task: Task, outputs: list[str]) -> None:
    """Images whose folder or name tells the class, where no table does."""
    labelled = labelled_images(task.data)
    if labelled is None or len(labelled) < 2:
        task.notes.append("no train table: nothing to learn from")
        return
    text = labelled["label"]
    if len(outputs) > 1:
        target = from_label_column(labelled[["label"]], outputs, task.metric)
        task.targets = [target] if target else []
    else:
        task.targets = [one_target("label", text, outputs[0], task.sample[outputs[0]], task.metric)]
    if task.targets:
        task.train = labelled[["path"]].rename(columns={"path": task.id_columns[0]})
        task.notes.append("no train table: labels taken from the names of the images' folders")
