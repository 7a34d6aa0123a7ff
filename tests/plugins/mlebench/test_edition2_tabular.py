"""Edition 2 of competitions on tables, signals and sequences: each fault that it says it repairs is gone."""

import pandas as pd
import pytest


def answers_of(data, columns, file="test.csv", **options):
    return pd.read_csv(data.private / file, **options)[columns]


def test_molecules_of_the_test_have_structures_and_exact_types_a_floor(made):
    first, _ = made("champs-scalar-coupling", 1)
    data, grade = made("champs-scalar-coupling")
    test = set(pd.read_csv(data.public / "test.csv")["molecule_name"])
    assert not test & set(pd.read_csv(first.public / "structures.csv")["molecule_name"])
    assert test <= set(pd.read_csv(data.public / "structures.csv")["molecule_name"])
    assert test <= {path.stem for path in (data.public / "structures").iterdir()}
    for name in ("train.csv", "test.csv", "mulliken_charges.csv", "scalar_coupling_contributions.csv"):
        assert (data.public / name).read_bytes() == (first.public / name).read_bytes()

    perfect = answers_of(data, ["id", "scalar_coupling_constant"], "answers.csv")
    assert grade(perfect).score == pytest.approx(-20.72327)  # ln 1e-9
    assert "stands in row 1 already" in grade(pd.concat([perfect, perfect.head(1)])).reason


def test_travelling_parties_stay_together(made):
    parties = {}
    for edition in (1, 2):
        data, grade = made("spaceship-titanic", edition)
        tables = [pd.read_csv(data.public / name) for name in ("train.csv", "test.csv")]
        train, test = (set(table["PassengerId"].str.split("_").str[0]) for table in tables)
        parties[edition] = train & test
        assert sum(map(len, tables)) == tables[0]["PassengerId"].nunique() + tables[1]["PassengerId"].nunique()
        assert "Transported" not in tables[1]
    assert parties[1]
    assert not parties[2]
    assert grade(answers_of(data, ["PassengerId", "Transported"])).score == 1.0


def test_words_that_mean_missing_elsewhere_are_phrases(made):
    _, grade = made("us-patent-phrase-to-phrase-matching", 1)
    data, grade = made("us-patent-phrase-to-phrase-matching")
    read = {"keep_default_na": False}
    tables = [pd.read_csv(data.public / name, **read) for name in ("train.csv", "test.csv")]
    phrases = pd.concat(tables)[["anchor", "target"]].stack()
    raw = pd.read_csv(data.root.parent.parent / "raw" / "us-patent-phrase-to-phrase-matching" / "train.csv", **read)
    words = {"null", "nan", "NA", "None", "n/a", "NULL", "NaN", "none"} & set(raw[["anchor", "target"]].stack())
    assert words
    assert words <= set(phrases)
    assert (phrases == "").sum() == (raw[["anchor", "target"]] == "").sum().sum()
    assert grade(answers_of(data, ["id", "score"])).score == pytest.approx(1)


def test_no_week_may_be_left_out(made):
    data, grade = made("osic-pulmonary-fibrosis-progression")
    answers = answers_of(data, ["Patient_Week", "FVC", "Confidence"])
    perfect = answers.assign(FVC=answers["FVC"].fillna(2000), Confidence=70)
    assert grade(perfect).score == pytest.approx(-4.59512, abs=2e-4)  # -ln(70 sqrt 2)
    measured = answers["FVC"].notna().to_numpy()
    assert "are missing" in grade(perfect[measured]).reason
    assert "empty" in grade(perfect.assign(FVC=answers["FVC"])).reason
    _, first = made("osic-pulmonary-fibrosis-progression", 1)
    assert first(perfect[measured]).score == grade(perfect).score


def test_the_reference_receiver_is_not_in_the_test_folders(made):
    name = "span_log.nmea"
    first, _ = made("smartphone-decimeter-2022", 1)
    data, grade = made("smartphone-decimeter-2022")
    assert list((first.public / "test").rglob(name))
    assert not list((data.public / "test").rglob(name))
    assert not list((data.public / "test").rglob("ground_truth.csv"))
    kept = {p.relative_to(first.public) for p in first.public.rglob("*") if p.is_file()}
    gone = {p for p in kept if p.parts[0] == "test" and p.name == name}
    assert {p.relative_to(data.public) for p in data.public.rglob("*") if p.is_file()} == kept - gone
    assert grade(pd.read_csv(data.private / "test.csv")).score == 0


def test_article_ids_keep_their_zeros_and_the_window_is_a_week(made):
    data, grade = made("h-and-m-personalized-fashion-recommendations")
    read = {"dtype": str, "keep_default_na": False}
    articles = set(pd.read_csv(data.public / "articles.csv", **read)["article_id"])
    bought = pd.read_csv(data.public / "transactions_train.csv", **read)
    assert set(bought["article_id"]) <= articles
    answers = pd.read_csv(data.private / "answers.csv", **read)
    assert set(answers["prediction"].str.split().explode()) <= articles
    assert any(id.startswith("0") for id in articles)

    raw = pd.read_csv(
        data.root.parent.parent / "raw" / "h-and-m-personalized-fashion-recommendations" / "transactions_train.csv",
        **read,
    )
    week = raw[pd.to_datetime(raw["t_dat"]) > pd.to_datetime(raw["t_dat"]).max() - pd.Timedelta(days=7)]
    assert week["t_dat"].nunique() <= 7
    assert len(bought) == len(raw) - len(week)
    wanted = week.groupby("customer_id")["article_id"].agg(" ".join)
    assert answers.set_index("customer_id")["prediction"].to_dict() == wanted.to_dict()

    best = answers["prediction"].map(lambda cell: " ".join(dict.fromkeys(cell.split())))
    assert grade(answers.assign(prediction=best)).score == 1.0
    single = answers.assign(prediction=answers["prediction"].str.split().str[0])
    assert 0 < grade(single).score <= 1  # a column of bare numbers keeps its zeros, too
