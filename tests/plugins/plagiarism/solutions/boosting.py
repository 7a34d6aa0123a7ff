"""Passengers: gradient boosting with out-of-fold predictions."""

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score
from sklearn.model_selection import KFold

N_FOLDS = 8
params = {
    "objective": "binary",
    "metric": "binary_error",
    "learning_rate": 0.02,
    "num_leaves": 15,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "verbosity": -1,
}

df_train = pd.read_csv("data/train.csv")
df_test = pd.read_csv("data/test.csv")
y_train = df_train.Survived.values
df_all = pd.concat((df_train.drop("Survived", axis=1), df_test))

df_all["Title"] = df_all["Name"].map(lambda n: n.split(", ")[1].split(". ")[0])
df_all["Family"] = df_all["SibSp"] + df_all["Parch"]
df_all["NameLen"] = df_all["Name"].str.len()
df_all["CabinCount"] = df_all["Cabin"].fillna("").map(lambda c: len(c.split()))
df_all["Age"].fillna(df_all["Age"].mean(), inplace=True)
df_all["Fare"] = np.log1p(df_all["Fare"].fillna(0))
df_all = df_all.drop(["PassengerId", "Name", "Ticket", "Cabin"], axis=1)
categories = df_all.select_dtypes("object").columns
for c in categories:
    df_all[c] = df_all[c].astype("category").cat.codes

X = df_all.iloc[: len(df_train)].to_numpy()
X_sub = df_all.iloc[len(df_train) :].to_numpy()
oof = np.zeros(len(X))
preds = np.zeros(len(X_sub))

for fold, (trn, val) in enumerate(KFold(N_FOLDS, shuffle=True, random_state=42).split(X)):
    dtrain = lgb.Dataset(X[trn], label=y_train[trn])
    dvalid = lgb.Dataset(X[val], label=y_train[val], reference=dtrain)
    booster = lgb.train(
        params, dtrain, num_boost_round=5000, valid_sets=[dtrain, dvalid], callbacks=[lgb.early_stopping(200)]
    )
    oof[val] = booster.predict(X[val], num_iteration=booster.best_iteration)
    preds += booster.predict(X_sub, num_iteration=booster.best_iteration) / N_FOLDS
    print(f"fold {fold}: {accuracy_score(y_train[val], oof[val] > 0.5):.4f}")

print("cv", accuracy_score(y_train, oof > 0.5))
sub = pd.read_csv("data/gender_submission.csv")
sub["Survived"] = np.where(preds > 0.5, 1, 0)
sub.to_csv("submission.csv", index=False)
