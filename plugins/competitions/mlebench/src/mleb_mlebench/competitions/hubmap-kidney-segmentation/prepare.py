"""The recipe, the tables that need the images' sizes, and the leak of edition 1.

public/HuBMAP-20-dataset_information.csv   what is known of the train and test images
public/test/ID.json                        edition 1 only: the annotations of the test images
private/test.csv                           id, encoding, width_pixels, height_pixels
"""

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_files, need_columns, write_csv

IMAGES = 15
SIZES = ["width_pixels", "height_pixels"]


def prepare(context: Preparation) -> None:
    recipe = context.recipe()
    table, images = recipe.table("train"), recipe.table("images")
    if len(table) != IMAGES:
        raise PreparationError(f"train.csv has {len(table)} rows; {IMAGES} are expected")
    need_columns(images, ["image_file", *SIZES], "HuBMAP-20-dataset_information.csv")
    names = images["image_file"].str.removesuffix(".tiff")
    write_csv(images[names.isin(table["id"])], context.public / "HuBMAP-20-dataset_information.csv")
    sizes = images[SIZES].assign(id=names)
    answers = recipe.test.merge(sizes, on="id", how="left", validate="one_to_one")
    if answers[SIZES].isna().any(axis=None):
        raise PreparationError("HuBMAP-20-dataset_information.csv lacks the size of a test image")
    write_csv(answers, context.private / "test.csv")
    if context.edition == 1:
        pairs = [(f"{context.raw}/train/{id}.json", f"{context.public}/test/{id}.json") for id in recipe.test["id"]]
        copy_files(pairs, own=context.own_raw)
