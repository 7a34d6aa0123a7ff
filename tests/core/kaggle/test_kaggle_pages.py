import pytest

from mleb_core.kaggle.pages import fetch_pages
from mleb_core.kaggle.patience import KaggleError, Patience

QUICK = Patience(tries=2, first_s=0.01)


def test_pages_are_kept_and_not_fetched_again(kaggle, tmp_path):
    kaggle.pages["toy"] = [
        {"name": "description", "content": "<p>Words</p>"},
        {"name": "../Data & more", "content": "# More"},
        {"name": "empty", "content": ""},
    ]
    found = fetch_pages("toy", tmp_path / "toy", patience=QUICK)
    assert [path.name for path in found] == ["data-more.html", "description.html"]
    assert found[1].read_text() == "<p>Words</p>"
    assert fetch_pages("toy", tmp_path / "toy", patience=QUICK) == found
    assert len(kaggle.asked("ListCompetitionPages")) == 1


def test_none_are_told(kaggle, tmp_path):
    with pytest.raises(KaggleError, match="toy: Kaggle gives no pages"):
        fetch_pages("toy", tmp_path / "toy", patience=QUICK)
    with pytest.raises(KaggleError, match="no such competition"):
        fetch_pages("unknown", tmp_path / "toy", patience=QUICK)
    assert not (tmp_path / "toy").exists()
