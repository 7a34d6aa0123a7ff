"""What the reference models of each competition predict, and from what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from mleb_samples.reference.models import Models, classifiers, regressors, text_classifiers
from mleb_samples.reference.views import View, pixels, reduced, table, words

__all__ = ["TASKS", "Task"]


@dataclass(frozen=True)
class Task:
    """How reference models are made for one competition."""

    targets: tuple[str, ...]
    """Target columns of train.csv."""
    output: Literal["label", "score", "probabilities", "grade", "number"]
    """What is handed in. label: the predicted class; score: the probability of class 1; probabilities: one column a
    class; grade: a whole number within the range of train, rounded where a regressor gives it; number: numbers."""
    families: tuple[tuple[Models, Mapping[str, View]], ...]
    """Models and the views that each of them is tried on; the first view of a family is the one for parts of rows."""


def _titanic(data: pd.DataFrame) -> pd.DataFrame:
    data["title"] = data["name"].str.extract(r", ([^.]+)\.")[0]
    data["deck"] = data["cabin"].str[0].fillna("none")
    data["family"] = data["sibsp"] + data["parch"] + 1
    data["ticket_letters"] = data["ticket"].str.replace(r"[\d. /]", "", regex=True)
    data["third_woman"] = ((data["pclass"] == 3) & (data["sex"] == "female")).astype(int)
    return data.drop(columns=["name", "cabin", "ticket", "home.dest"])


def _diamonds(data: pd.DataFrame) -> pd.DataFrame:
    data["log_price"], data["log_carat"] = np.log(data["price"]), np.log(data["carat"])
    data["price_by_carat"] = data["log_price"] - 1.7 * data["log_carat"]
    data["color_number"] = data["color"].map("DEFGHIJ".index)
    data["colored_price"] = data["price_by_carat"] + 0.08 * data["color_number"]
    data["cut_number"] = data["cut"].map(["Fair", "Good", "Very Good", "Premium", "Ideal"].index)
    return data


def _flights(data: pd.DataFrame) -> pd.DataFrame:
    for name in ("sched_dep_time", "sched_arr_time"):
        data[name] = data[name] // 100 * 60 + data[name] % 100
    data["weekday"] = pd.to_datetime(data["date"]).dt.weekday.astype(str)
    data["planned"] = (data["sched_arr_time"] - data["sched_dep_time"]) % 1440
    data["slack"] = data["planned"] - data["distance"] / 8
    return data.drop(columns="date")


def _weather(data: pd.DataFrame) -> pd.DataFrame:
    for place in ("ewr", "jfk"):
        angle = np.radians(data[f"{place}_wind_dir"].fillna(0))
        data[f"{place}_east"] = data[f"{place}_wind_speed"] * np.sin(angle)
        data[f"{place}_north"] = data[f"{place}_wind_speed"] * np.cos(angle)
    data["temp"] = (data["ewr_temp"] + data["jfk_temp"]) / 2
    day = pd.to_datetime(data["date"]).dt.dayofyear * 2 * np.pi / 365
    data["winter"], data["spring"] = np.cos(day), np.sin(day)
    data["evening"] = np.cos((data["hour"] - 17) * np.pi / 12)
    return data.drop(columns="date")


def _only(*columns: str) -> View:
    return table(craft=lambda data: data[["id", *columns]])


_plain = {"all": table(), "numbers": table(categories=False), "half": table(share=0.5)}
_verses = words("text", sublinear_tf=True, min_df=2)

TASKS: Mapping[str, Task] = {
    "titanic-survival": Task(
        ("survived",),
        "label",
        ((classifiers(probabilities=False), {"crafted": table(craft=_titanic), **_plain}),),
    ),
    "breast-mass-diagnosis": Task(
        ("malignant",),
        "score",
        (
            (
                classifiers(probabilities=True),
                {
                    "all": table(),
                    "third": table(share=0.34),
                    "texture": _only("mean_texture", "mean_smoothness", "mean_symmetry", "texture_error"),
                    "two": _only("mean_radius", "mean_concavity"),
                },
            ),
        ),
    ),
    "diabetes-progression": Task(
        ("progression",),
        "number",
        (
            (
                regressors(),
                {
                    "all": table(),
                    "half": table(share=0.5),
                    "serum": _only("total_cholesterol", "ldl", "hdl", "log_triglycerides", "glucose"),
                    "three": _only("bmi", "blood_pressure", "log_triglycerides"),
                },
            ),
        ),
    ),
    "handwritten-digits": Task(
        ("digit",),
        "probabilities",
        (
            (
                classifiers(probabilities=True),
                {
                    "pixels": pixels(),
                    "main 20": reduced(pixels(), 20),
                    "top half": pixels(lambda images: images[:, :4]),
                    "coarse": pixels(lambda images: images.reshape(-1, 4, 2, 4, 2).mean((2, 4))),
                },
            ),
        ),
    ),
    "king-james-verses": Task(
        ("part",),
        "label",
        (
            (
                text_classifiers(),
                {
                    "words": _verses,
                    "pairs": words("text", sublinear_tf=True, min_df=2, ngram_range=(1, 2)),
                    "letters": words("text", sublinear_tf=True, min_df=5, analyzer="char_wb", ngram_range=(2, 4)),
                    "common words": words("text", max_features=150),
                },
            ),
            (classifiers(probabilities=False), {"main 60": reduced(_verses, 60)}),
        ),
    ),
    "laguardia-weather": Task(
        ("lga_temp", "lga_dewp", "lga_wind_speed"),
        "number",
        (
            (
                regressors(targets=3),
                {
                    "crafted": table(craft=_weather),
                    "numbers": table(categories=False),
                    "newark": table(categories=False, share=0.5),
                    "temperatures": _only("hour", "ewr_temp", "jfk_temp", "ewr_dewp", "jfk_dewp"),
                },
            ),
        ),
    ),
    "flight-arrival-delay": Task(
        ("arr_delay",),
        "number",
        (
            (
                regressors(absolute=True),
                {
                    "crafted": table(craft=_flights),
                    "all": table(craft=lambda data: data.drop(columns="date")),
                    "numbers": table(categories=False),
                    "two": _only("dep_delay", "distance"),
                },
            ),
        ),
    ),
    "diamond-clarity": Task(
        ("clarity",),
        "grade",
        (
            (regressors(), {"rounded crafted": table(craft=_diamonds), "rounded all": table()}),
            (classifiers(probabilities=False), {"crafted": table(craft=_diamonds), "numbers": table(categories=False)}),
        ),
    ),
}
"""By competition id."""
