"""Each category is split by itself: a fifth for test, one image where there are fewer than five, none of a single one.

public/nybg2020/train/   train images, ids and places as they were, and their metadata.json
public/nybg2020/test/    test images, shuffled and numbered; their metadata.json has no annotations and categories
public/sample_submission.csv, private/answers.csv   Id, Predicted: 0 throughout; the category_id
"""

from mleb_core.prepare import Preparation
from mleb_mlebench.herbaria import prepare_herbarium


def prepare(context: Preparation) -> None:
    prepare_herbarium(context, "nybg2020", encoding="latin-1")
