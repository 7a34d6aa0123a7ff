"""The documents of train.bson are split at random, a tenth for test; each part keeps their order.

public/train.bson             train documents, byte for byte
public/train_example.bson     the first 100 of them
public/test.bson              test documents without category_id
public/sample_submission.csv  one category throughout
private/answers.csv           _id, category_id, sorted by _id
"""

from array import array

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mleb_core.prepare import Preparation, random_split, write_csv
from mleb_mlebench.bson import BsonFile

ID, CATEGORY = "_id", "category_id"


def prepare(context: Preparation) -> None:
    context.recipe()
    with BsonFile(context.raw / "train.bson") as products:
        context.progress("reading train.bson")
        numbers = array("q")  # millions of products: no Python object for each
        for place in products.places():
            found = products.integers(place, (ID, CATEGORY))
            numbers.extend((*place, found[ID], found[CATEGORY]))
        table = pd.DataFrame(
            np.frombuffer(numbers, dtype=np.int64).reshape(-1, 4), columns=["start", "end", ID, CATEGORY]
        )
        train, test = random_split(len(table), 0.1, what="products in train.bson")
        answers = table[[ID, CATEGORY]].take(test).sort_values(ID)
        # By id, not by row: a product that were there twice would be so in both parts.
        of_train = _places(table[table[ID].isin(table[ID].take(train))])
        of_test = _places(table[table[ID].isin(answers[ID])])

        context.progress("writing products")
        with (context.public / "train.bson").open("xb") as stream:
            stream.writelines(products.document((start, end)) for start, end in of_train)
        with (context.public / "train_example.bson").open("xb") as stream:
            stream.writelines(products.document((start, end)) for start, end in of_train[:100])
        with (context.public / "test.bson").open("xb") as stream:
            stream.writelines(products.document((start, end), without=CATEGORY) for start, end in of_test)
    write_csv(answers, context.private / "answers.csv")
    write_csv(answers.assign(category_id=1000010653), context.public / "sample_submission.csv")


def _places(table: pd.DataFrame) -> NDArray[np.int64]:
    places: NDArray[np.int64] = table[["start", "end"]].to_numpy()
    return places
