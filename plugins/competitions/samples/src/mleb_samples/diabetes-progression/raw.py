"""The raw data: data.csv, from the data set that scikit-learn ships."""

from pathlib import Path

NAMES = {
    "bp": "blood_pressure",
    "s1": "total_cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "glucose",
}


def fetch(raw: Path) -> None:
    """Write data.csv into `raw`: `id`, ten measurements in their own units and `progression`."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes(as_frame=True, scaled=False)
    table = data.data.rename(columns=NAMES)
    table["sex"] = table["sex"].astype(int)
    table["progression"] = data.target.astype(int)
    table.insert(0, "id", range(len(table)))
    table.to_csv(raw / "data.csv", index=False)
