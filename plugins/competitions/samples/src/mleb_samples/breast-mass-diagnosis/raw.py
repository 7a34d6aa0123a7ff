"""The raw data: data.csv, from the data set that scikit-learn ships."""

from pathlib import Path


def fetch(raw: Path) -> None:
    """Write data.csv into `raw`: `id`, 30 measurements and `malignant`, 1 or 0."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    table = data.data.rename(columns=lambda name: name.replace(" ", "_"))
    table["malignant"] = (data.target == list(data.target_names).index("malignant")).astype(int)
    table.insert(0, "id", range(len(table)))
    table.to_csv(raw / "data.csv", index=False)
