"""Passengers: a scikit-learn pipeline, searched over a grid."""

from pathlib import Path

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

DATA = Path("/home/data")


def load(name):
    frame = pd.read_csv(DATA / name, index_col="PassengerId")
    frame["IsAlone"] = ((frame.SibSp + frame.Parch) == 0).astype(int)
    frame["Title"] = frame.Name.str.extract(r" ([A-Za-z]+)\.", expand=False)
    rare = frame.Title.value_counts()
    frame["Title"] = frame.Title.where(frame.Title.map(rare) > 10, "Other")
    frame["HasCabin"] = frame.Cabin.notna().astype(int)
    return frame.drop(columns=["Name", "Ticket", "Cabin"])


def build():
    numeric = Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    words = Pipeline(
        [("impute", SimpleImputer(strategy="most_frequent")), ("encode", OneHotEncoder(handle_unknown="ignore"))]
    )
    columns = ColumnTransformer(
        [
            ("numeric", numeric, ["Age", "Fare", "SibSp", "Parch", "IsAlone", "HasCabin"]),
            ("words", words, ["Sex", "Embarked", "Title", "Pclass"]),
        ]
    )
    return Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=2000))])


def main():
    train, test = load("train.csv"), load("test.csv")
    target = train.pop("Survived")
    fit_x, hold_x, fit_y, hold_y = train_test_split(train, target, test_size=0.2, stratify=target, random_state=7)
    search = GridSearchCV(
        build(), {"model__C": [0.01, 0.1, 1, 10], "model__class_weight": [None, "balanced"]}, cv=10, n_jobs=-1
    )
    search.fit(fit_x, fit_y)
    print("best", search.best_params_, "held out", search.score(hold_x, hold_y))
    best = search.best_estimator_.fit(train, target)
    answer = pd.Series(best.predict(test), index=test.index, name="Survived")
    answer.to_csv("/home/submission/submission.csv")


if __name__ == "__main__":
    main()
