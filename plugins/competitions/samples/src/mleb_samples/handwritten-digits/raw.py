"""The raw data: labels.csv and images/NNNN.png, from the data set that scikit-learn ships."""

from pathlib import Path


def fetch(raw: Path) -> None:
    """Write labels.csv (`id`, `file`, `digit`) and one 8 x 8 grey PNG a row into `raw`."""
    import numpy as np
    import pandas as pd
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    # The data set's order follows the digits; shuffled, not even the files' times tell a digit.
    order = np.random.RandomState(7).permutation(len(data.target))
    images = (data.images[order] * 255 / 16).round().astype("uint8")
    names = [f"{number:04d}.png" for number in range(len(images))]
    (raw / "images").mkdir(exist_ok=True)
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(raw / "images" / name)
    labels = pd.DataFrame({"id": range(len(names)), "file": names, "digit": data.target[order]})
    labels.to_csv(raw / "labels.csv", index=False)
