"""Images that belong to the rows of a table: found by id in folders and zips, turned into numbers."""

import io
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, UnidentifiedImageError

from mleb_baseline.tables import walk

__all__ = ["ImageRef", "find_images", "image_features", "labelled_images", "match_images"]

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
Floats = npt.NDArray[np.float64]
SIDE = 32
"""Images are brought to this many pixels a side; smaller ones keep their size."""


@dataclass(frozen=True)
class ImageRef:
    """Where one image lies."""

    path: Path
    """The file, or the zip it is in."""
    member: str
    """Name within the zip, or ""."""
    place: str
    """Path relative to the data, for matching."""


def find_images(data: Path) -> list[ImageRef]:
    """All images under `data`, in zips too."""
    images: list[ImageRef] = []
    for path, _ in walk(data):
        suffix = path.suffix.lower()
        if suffix in ENDINGS:
            images.append(ImageRef(path, "", path.relative_to(data).as_posix()))
        elif suffix == ".zip":
            try:
                with zipfile.ZipFile(path) as archive:
                    names = archive.namelist()
            except (OSError, zipfile.BadZipFile):
                continue
            for name in names:
                if name.lower().endswith(ENDINGS) and not name.startswith("__MACOSX"):
                    images.append(ImageRef(path, name, f"{path.stem}/{name}"))
    return images


def match_images(images: list[ImageRef], table: pd.DataFrame, part: str) -> list[ImageRef | None] | None:
    """The image of each row, by the first column whose values name images.

    A value names an image by its path, its name or its name without ending. Where several images have one name, the
    one below a folder that is called like `part` ("train" or "test") is meant.

    Returns:
        One a row, None where there is none; None as a whole when no column names images.
    """
    other = "test" if part == "train" else "train"
    index: dict[str, ImageRef] = {}
    for image in sorted(images, key=lambda i: (part not in i.place.lower(), other in i.place.lower(), i.place)):
        pure = PurePosixPath(image.place)
        for name in (image.place, "/".join(pure.parts[1:]), pure.name, pure.stem):
            index.setdefault(name, image)
    for name in [n for n in index if n.isdigit() and n.startswith("0")]:  # 007.png, whose id was read as a number
        index.setdefault(name.lstrip("0") or "0", index[name])
    for column in table.columns:
        names = table[column].map(_name)
        head = names.head(500)
        if not len(head) or head.nunique() < 0.5 * len(head):
            continue
        if head.isin(index).mean() >= 0.8:
            return [index.get(name) for name in names]
    return None


def _name(value: object) -> str:
    if isinstance(value, float) and value == int(value if np.isfinite(value) else 0):
        return str(int(value))
    return str(value).removeprefix("./")


def labelled_images(data: Path) -> pd.DataFrame | None:
    """Images whose folder is a class (`train/cat/1.jpg`) or whose name starts with one (`train/cat.1.jpg`).

    Returns:
        Columns `path` and `label`; None where nothing of the kind is there.
    """
    images = [i for i in find_images(data) if "test" not in i.place.lower().split("/")[0]]
    images = [i for i in images if "train" in i.place.lower()] or images
    labels = [PurePosixPath(i.place).parent.name for i in images]
    counts = pd.Series(labels, dtype=object).value_counts()
    if len(counts) < 2:
        matches = [re.match(r"([A-Za-z]+)[._-]?\d+", PurePosixPath(i.place).name) for i in images]
        if not matches or not all(matches):
            return None
        labels = [m.group(1) for m in matches if m]
        counts = pd.Series(labels, dtype=object).value_counts()
    if not 2 <= len(counts) <= len(images) / 2:
        return None
    return pd.DataFrame({"path": [i.place for i in images], "label": labels})


def image_features(images: list[ImageRef | None], keep_on: Callable[[], bool]) -> tuple[Floats, list[str]]:
    """Numbers for each image: pixels, edge directions by place, colours.

    Args:
        images: one a row; a row without or with an unreadable image is NaN.
        keep_on: asked now and then; False stops the work and leaves the rest NaN.

    Returns:
        (rows, features) and one name a feature.
    """
    rows: list[Floats | None] = [None] * len(images)
    archives: dict[Path, zipfile.ZipFile] = {}
    try:
        for k, image in enumerate(images):
            if image is None:
                continue
            if k % 50 == 0 and not keep_on():
                break
            try:
                rows[k] = _describe(image, archives)
            except (OSError, UnidentifiedImageError, zipfile.BadZipFile, ValueError, KeyError, SyntaxError):
                continue  # one broken image is a row of missing values
    finally:
        for archive in archives.values():
            archive.close()
    width = next((len(r) for r in rows if r is not None), 0)
    empty = np.full(width, np.nan)
    table = np.array([r if r is not None and len(r) == width else empty for r in rows]).reshape(len(rows), width)
    return table, [f"image{k}" for k in range(width)]


def _describe(image: ImageRef, archives: dict[Path, zipfile.ZipFile]) -> Floats:
    if image.member:
        if image.path not in archives:
            archives[image.path] = zipfile.ZipFile(image.path)
        source: io.BytesIO | Path = io.BytesIO(archives[image.path].read(image.member))
    else:
        source = image.path
    with warnings.catch_warnings(), Image.open(source) as opened:
        warnings.simplefilter("ignore")
        width, height = opened.size
        coloured = opened.mode not in ("1", "L", "I", "F", "I;16")
        opened.draft("RGB" if coloured else "L", (2 * SIDE, 2 * SIDE))
        small = opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX if width > SIDE else 0)
        pixels = np.asarray(small, dtype=float) / 255
        own = max(width, height) <= SIDE // 2
        grey = np.asarray(opened.convert("L").resize((width, height) if own else (16, 16)), dtype=float) / 255
    parts = [_padded(grey) if own else grey.ravel(), _edges(pixels.mean(axis=2))]
    mean, spread = pixels.mean(axis=(0, 1)), pixels.std(axis=(0, 1))
    histogram = [np.histogram(pixels[:, :, c], bins=8, range=(0, 1))[0] / SIDE**2 for c in range(3)]
    parts += [mean, spread, *histogram, np.array([np.log1p(width), np.log1p(height)])]
    return np.concatenate(parts)


def _padded(grey: Floats) -> Floats:
    """Tiny images keep each pixel; the frame is the same for all, so that rows have one length."""
    frame = np.zeros((SIDE // 2, SIDE // 2))
    frame[: grey.shape[0], : grey.shape[1]] = grey
    return frame.ravel()


def _edges(grey: Floats, cell: int = 8, bins: int = 8) -> Floats:
    """Histogram of gradient directions in each cell, weighted by strength and normalised over the image."""
    down, right = np.gradient(grey)
    strength = np.hypot(down, right)
    direction = ((np.arctan2(down, right) % np.pi) / np.pi * bins).astype(int) % bins
    count = grey.shape[0] // cell
    place = (np.arange(grey.shape[0]) // cell)[:, None] * count + (np.arange(grey.shape[1]) // cell)[None, :]
    table = np.bincount((place * bins + direction).ravel(), weights=strength.ravel(), minlength=count * count * bins)
    norms = np.linalg.norm(table.reshape(-1, bins), axis=1, keepdims=True)
    local: Floats = np.sqrt(table.reshape(-1, bins) / (norms + 0.05 * (norms.max() + 1e-9))).ravel()
    return local
