"""Passengers: engineered features, a random forest, and a vote."""

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.preprocessing import LabelEncoder

train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")
combined = pd.concat([train, test], sort=False).reset_index(drop=True)


def title_of(name):
    title = name.split(",")[1].split(".")[0].strip()
    if title in ("Mlle", "Ms"):
        return "Miss"
    if title == "Mme":
        return "Mrs"
    if title in ("Mr", "Mrs", "Miss", "Master"):
        return title
    return "Rare"


def deck_of(cabin):
    if not isinstance(cabin, str):
        return "U"
    return cabin[0]


def family_label(size):
    if size == 1:
        return "alone"
    if size < 5:
        return "small"
    return "large"


combined["Title"] = combined["Name"].apply(title_of)
combined["Deck"] = combined["Cabin"].apply(deck_of)
combined["FamilySize"] = combined["SibSp"] + combined["Parch"] + 1
combined["FamilyLabel"] = combined["FamilySize"].apply(family_label)
combined["Fare"] = combined["Fare"].fillna(combined.groupby("Pclass")["Fare"].transform("median"))
combined["Age"] = combined["Age"].fillna(combined.groupby(["Title", "Pclass"])["Age"].transform("median"))
combined["Embarked"] = combined["Embarked"].fillna(combined["Embarked"].mode()[0])
combined["TicketCount"] = combined.groupby("Ticket")["Ticket"].transform("count")
combined["FarePerHead"] = combined["Fare"] / combined["TicketCount"]
combined["AgeBin"] = pd.cut(combined["Age"], bins=[0, 12, 18, 35, 60, 100], labels=False)

surnames = combined["Name"].str.split(",").str[0]
survival = {}
for surname, group in combined[: len(train)].groupby(surnames[: len(train)]):
    if len(group) > 1:
        survival[surname] = group["Survived"].mean()
combined["FamilySurvival"] = surnames.map(survival).fillna(0.5)

for column in ("Sex", "Embarked", "Title", "Deck", "FamilyLabel"):
    encoder = LabelEncoder()
    combined[column] = encoder.fit_transform(combined[column].astype(str))

features = ["Pclass", "Sex", "Age", "Fare", "Embarked", "Title", "Deck", "FamilyLabel"]
features += ["TicketCount", "FarePerHead", "AgeBin", "FamilySurvival"]
x, y = combined[: len(train)][features], train["Survived"]
x_test = combined[len(train) :][features]

votes = np.zeros(len(x_test))
for seed in range(10):
    model = RandomForestClassifier(
        n_estimators=750, max_depth=7, min_samples_leaf=3, max_features="sqrt", oob_score=True, random_state=seed
    )
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=seed)
    print(seed, cross_val_score(model, x, y, cv=folds, scoring="accuracy").mean())
    model.fit(x, y)
    votes += model.predict_proba(x_test)[:, 1] / 10

importance = pd.Series(model.feature_importances_, index=features).sort_values(ascending=False)
print(importance.head(12))
submission = pd.DataFrame({"PassengerId": test["PassengerId"], "Survived": (votes > 0.5).astype(int)})
submission.to_csv("submission.csv", index=False)
