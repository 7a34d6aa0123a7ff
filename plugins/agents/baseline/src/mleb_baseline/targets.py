"""Works out what is to be predicted: form, kind, classes and their spelling."""

import re

import numpy as np
import pandas as pd

from mleb_baseline.metric import Metric
from mleb_baseline.task import Form, Target

__all__ = ["from_label_column", "normal", "one_target", "several_targets"]

YES = ("1", "1.0", "true", "yes", "y", "t", "positive", "pos")
NO = ("0", "0.0", "false", "no", "n", "f", "negative", "neg")
MANY = 20
"""More different whole numbers than this are numbers, not classes, unless the metric says so."""


def normal(text: str) -> str:
    """A name reduced to what matters when names are compared."""
    return re.sub(r"[^a-z0-9]", "", str(text).lower())


def one_target(name: str, text: pd.Series, output: str, sample: pd.Series, metric: Metric | None) -> Target:
    """The target in one column of train that fills one column of the sample.

    Args:
        name: of the train column.
        text: the train column, cells as text, "" where unknown.
        output: the sample's column that it fills.
        sample: the sample's column as text.
        metric: as the description names it, if it does.
    """
    known = text[text != ""]
    numbers = pd.to_numeric(known, errors="coerce")
    numeric = bool(len(known)) and bool(numbers.notna().all())
    whole = numeric and bool((numbers == numbers.round()).all())
    different = int(known.nunique())
    given = list(sample.unique()[:1000])
    tokens = int(sample.str.count(" ").median()) + 1 if len(sample) else 1
    wants = (
        metric.wants
        if metric
        else _guess(numeric, whole, different, len(known), given=given, values=set(known.unique()))
    )
    if wants == "number" and numeric:
        return _number(name, text, output, sample=sample, metric=metric)
    if metric and metric.name == "average_precision" and different > 2:
        return _classes(name, text, [output], form="ranked", metric=metric, given=given, top=max(tokens, 1))
    if wants == "probability" and different > 2 and numeric:
        return _number(name, text, output, sample=sample, metric=None)
    if wants == "probability" and different <= 2:
        return _classes(name, text, [output], form="probability", metric=metric or Metric("log_loss"), given=given)
    if wants == "number" and different <= 2 and all(_is_number(v) for v in given):
        return _classes(name, text, [output], form="probability", metric=Metric("log_loss"), given=given)
    target = _classes(name, text, [output], form="label", metric=metric or Metric("accuracy"), given=given)
    if metric and metric.name == "kappa" and whole and different > 2:
        target.kind, target.values = "ordinal", sorted({float(c) for c in known.unique()})
    return target


def several_targets(
    text: pd.DataFrame, outputs: list[str], sample: pd.DataFrame, metric: Metric | None
) -> list[Target]:
    """The targets in columns of train that bear the names of the sample's columns.

    Columns of 0 and 1 of which exactly one a row is 1 are one target with a class a column.
    """
    table = text[outputs].apply(pd.to_numeric, errors="coerce")
    if table.notna().all(axis=None) and table.isin([0, 1]).all(axis=None) and (table.sum(axis=1) == 1).all():
        truth = table.to_numpy().argmax(axis=1)
        wanted = metric if metric and metric.wants == "probability" else Metric("log_loss")
        return [Target("/".join(outputs), outputs, "per_class", "class", truth, list(outputs), metric=wanted)]
    return [one_target(column, text[column], column, sample[column], metric) for column in outputs]


def from_label_column(text: pd.DataFrame, outputs: list[str], metric: Metric | None) -> Target | None:
    """The target in one column of train whose values are the names of the sample's columns.

    Args:
        text: candidate columns of train as text.
        outputs: columns of the sample that train lacks.
        metric: as the description names it, if it does.
    """
    plain = {normal(output): output for output in outputs}
    prefix = _common_prefix([normal(o) for o in outputs])
    short = {key.removeprefix(prefix): output for key, output in plain.items()}
    for column in text.columns:
        values = [v for v in text[column].unique() if v != ""]
        if not 2 <= len(values) <= 10 * len(outputs):
            continue
        for names in (plain, short):
            found = {v: names[normal(v)] for v in values if normal(v) in names}
            if not found:
                found = {v: names[str(int(float(v)))] for v in values if _is_number(v) and str(int(float(v))) in names}
            if len(set(found.values())) >= max(2, 0.8 * len(outputs)):
                index = {output: k for k, output in enumerate(outputs)}
                truth = text[column].map(lambda v, f=found, i=index: i[f[v]] if v in f else -1).to_numpy()
                wanted = metric if metric and metric.wants == "probability" else Metric("log_loss")
                return Target(str(column), outputs, "per_class", "class", truth.astype(int), outputs, metric=wanted)
    return None


def _guess(numeric: bool, whole: bool, different: int, rows: int, *, given: list[str], values: set[str]) -> str:
    """What a submission holds, from the data alone."""
    sampled_numbers = all(_is_number(value) for value in given)
    as_in_train = set(given) <= values or (sampled_numbers and {float(v) for v in given} <= _floats(values))
    if not numeric:
        return "label" if as_in_train or not sampled_numbers else "probability"
    if different <= 2:
        fractions = any(float(v) != round(float(v)) for v in given) if sampled_numbers else False
        return "probability" if fractions else "label"
    return "label" if whole and different <= MANY and rows >= 10 * different and as_in_train else "number"


def _number(name: str, text: pd.Series, output: str, *, sample: pd.Series, metric: Metric | None) -> Target:
    truth = pd.to_numeric(text, errors="coerce").to_numpy(dtype=float)
    known = truth[np.isfinite(truth)]
    truth = np.where(np.isfinite(truth), truth, np.nan)
    written = pd.to_numeric(sample, errors="coerce")
    whole = (
        bool(len(known)) and bool((known == np.round(known)).all()) and not sample.str.contains(".", regex=False).any()
    )
    whole = whole and bool(written.notna().all())
    wanted = metric if metric and metric.wants == "number" else Metric("rmse")
    return Target(name, [output], "number", "number", truth, whole=whole, metric=wanted)


def _classes(
    name: str, text: pd.Series, outputs: list[str], *, form: Form, metric: Metric, given: list[str], top: int = 1
) -> Target:
    values = sorted(set(text.unique()) - {""}, key=_order)
    index = {value: k for k, value in enumerate(values)}
    truth = text.map(lambda value: index.get(value, -1)).to_numpy().astype(int)
    positive = len(values) - 1
    for k, value in enumerate(values):
        if value.lower() in YES or normal(value) == normal(outputs[0]):
            positive = k
    return Target(
        name,
        outputs,
        form,
        "class",
        truth,
        _spell(values, given),
        positive=positive,
        top=top,
        metric=metric,
    )


def _spell(values: list[str], given: list[str]) -> list[str]:
    """Train's classes in the spelling of the sample: True or 1, 3 or 3.0."""
    if not given or set(given) <= set(values):
        return values
    if all(_is_number(v) for v in values) and all(_is_number(g) for g in given):
        if not any("." in g for g in given) and all(float(v) == int(float(v)) for v in values):
            return [str(int(float(v))) for v in values]
        return values
    if len(values) == 2 and all(v.lower() in YES + NO for v in values):
        yes = next((g for g in given if g.lower() in YES), None)
        no = next((g for g in given if g.lower() in NO), None)
        if yes or no:
            pairs = {"1": "0", "1.0": "0.0", "true": "false", "yes": "no", "y": "n", "t": "f"}
            back = {v: k for k, v in pairs.items()}
            yes = yes or _cased(back.get(str(no).lower(), "1"), str(no))
            no = no or _cased(pairs.get(yes.lower(), "0"), yes)
            return [yes if v.lower() in YES else no for v in values]
    return values


def _cased(word: str, like: str) -> str:
    return word.upper() if like.isupper() else word.capitalize() if like[:1].isupper() else word


def _order(value: str) -> tuple[int, float, str]:
    return (0, float(value), value) if _is_number(value) else (1, 0.0, value)


def _is_number(value: str) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except ValueError:
        return False


def _floats(values: set[str]) -> set[float]:
    return {float(v) for v in values if _is_number(v)}


def _common_prefix(names: list[str]) -> str:
    if len(names) < 2:
        return ""
    low, high = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:length].rstrip("0123456789")
