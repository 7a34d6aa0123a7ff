"""Events are split by batch; tables are parquet files, read and written a piece at a time (131 million rows)."""

import re
from typing import Any

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_files, files_below, grouped_split, write_csv

ROWS = 1 << 20
HIDDEN = ["azimuth", "zenith"]


def prepare(context: Preparation) -> None:
    """Split the batches at random; hidden: the directions of the test batches. Batch files go with their batch."""
    try:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq
    except ImportError:
        raise PreparationError("parquet files need pyarrow: pip install 'mleb-plugin-mlebench[parquet]'") from None
    context.recipe()
    path = context.raw / "train_meta.parquet"
    if not path.is_file():
        raise PreparationError(f"{path} is missing; a parquet table is expected there")
    if not (context.raw / "train").is_dir():
        raise PreparationError(f"{context.raw / 'train'} is missing; a folder of batch files is expected there")
    try:
        source = pq.ParquetFile(path)
        columns = [name for name in source.schema_arrow.names if not name.startswith("__index_level_")]
        if missing := [name for name in ("batch_id", "event_id", *HIDDEN) if name not in columns]:
            raise PreparationError(f"{path} has no column {missing[0]!r}; it has: {', '.join(columns)}")
        batches = source.read(["batch_id"])["batch_id"].unique().to_pylist()  # in order of appearance
        chosen = {batches[i] for i in grouped_split(batches, 0.1).test}
        test_ids = pa.array(sorted(chosen), source.schema_arrow.field("batch_id").type)
        tests = []
        schema = pa.schema([source.schema_arrow.field(name) for name in columns])
        with pq.ParquetWriter(context.public / "train_meta.parquet", schema) as writer:
            for piece in source.iter_batches(ROWS, columns=columns):
                table = pa.Table.from_batches([piece]).replace_schema_metadata()
                is_test = pc.is_in(table["batch_id"], value_set=test_ids)
                writer.write_table(table.filter(pc.invert(is_test)))
                tests.append(table.filter(is_test))
    except pa.ArrowException as error:
        raise PreparationError(f"{path} cannot be read as a parquet table: {' '.join(str(error).split())}") from None
    test: Any = pa.concat_tables(tests)
    pq.write_table(test.drop_columns(HIDDEN), context.public / "test_meta.parquet")

    answers = test.select(["event_id", *HIDDEN]).to_pandas()
    write_csv(answers, context.private / "test.csv")
    write_csv(answers.assign(azimuth=1, zenith=1), context.public / "sample_submission.csv")

    pairs = []
    known = set(batches)
    for file in files_below(context.raw / "train"):
        number = re.fullmatch(r".*_(\d+)\.parquet", file)
        if number and int(number[1]) in known:
            part = "test" if int(number[1]) in chosen else "train"
            pairs.append((f"{context.raw}/train/{file}", f"{context.public}/{part}/{file}"))
    copy_files(pairs, own=context.own_raw)
