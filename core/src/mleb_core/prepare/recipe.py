"""The declared recipe language: what may stand under `[prepare]` of competition.toml.

    [prepare.tables]
    train = "train.csv"                        # in raw; "train.zip!train.csv" is a member of an archive

    [prepare.split]
    table = "train"
    test_size = 0.1

    [[prepare.write]]                          # a table to write
    file = "public/train.csv"
    rows = "train"

    [[prepare.write]]
    file = "public/test.csv"
    rows = "test"
    hide = ["target"]

    [[prepare.write]]
    file = "public/sample_submission.csv"
    rows = "test"
    columns = ["id", "target"]
    fill = { target = 0.5 }

    [[prepare.copy]]                           # files that follow the rows
    from = "train/{id}.jpg"
    to = "public/test/{id}.jpg"
    rows = "test"

    [[prepare.archive]]                        # the same, packed
    file = "public/train.zip"
    from = "train.zip!train/{id}.jpg"
    as = "{id}.jpg"
    rows = "train"

Tables are written first, then files copied, then archives packed, each in the order of the file.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = ["Archive", "Copy", "LikeFiles", "Read", "Recipe", "Renumber", "Split", "Table", "Write"]

Rows = Literal["train", "test", "all"]
Cell = str | int | float | bool


class Strict(BaseModel):
    """A table in which an unknown key is an error: a misspelt key must not pass in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Read(Strict):
    """`read`: how a CSV is read, where the defaults (pandas' own, but with exact floats) do not fit."""

    separator: str | None = None
    """Between cells; a tab for .tsv, else a comma."""
    dtype: dict[str, Literal["text", "integer", "number"]] = {}
    """Types by column, where guessing would change cells: ids with leading zeros are "text"."""
    missing_words: bool = True
    """Whether NA, null, nan, None, n/a ... mean a missing cell; an empty cell always does."""
    floats: Literal["exact", "fast"] = "exact"
    """exact: floats come back as they stand in the file; fast: the default parser of pandas up to 3.0, with which some
    published data was made, often off in the last digit."""
    encoding: str = "utf-8"
    """Of the file's text."""


class Table(Strict):
    """`[prepare.tables]`: a raw table; a bare text is its `file`."""

    file: str | None = None
    """CSV or TSV in raw; `archive.zip!member.csv` inside an archive; `table.csv.zip` alone: its only member."""
    files: str | None = None
    """Instead of `file`: the table of the files whose path fits, such as "train/{species}/{file}": a text column
    for each name in braces, which stands for a part of a path without a slash."""
    sort: str | None = None
    """Of `files`: text to sort the rows by, such as "{species}_{file}"; by their path's parts if absent."""
    read: Read = Read()
    """How it is read."""
    drop: dict[str, tuple[Cell, ...]] = {}
    """Rows to leave out: for each column the values."""
    values: dict[str, tuple[str, ...]] = {}
    """All values that a column may hold, in order, for `one_hot`; another one in a row is an error."""
    add: dict[str, str] = {}
    """Further text columns, made from others: `key = "{patient}_{week}"`."""

    @model_validator(mode="after")
    def _has_one_source(self) -> "Table":
        if (self.file is None) == (self.files is None):
            raise ValueError("expected either `file` or `files`")
        if self.sort is not None and self.files is None:
            raise ValueError("`sort` goes with `files`")
        return self


class LikeFiles(Strict):
    """`test_size = { files = "test/*.tif" }`: the share that the original test set had."""

    files: str
    """Pattern of raw files; with m of them and n rows the share is m / (n + m)."""


class Renumber(Strict):
    """`[prepare.split] renumber`: new ids, counted by the order of the rows in each part."""

    column: str
    """The id column. The id as it was can still be had as `{COLUMN@raw}` in paths and `COLUMN@raw` in `match`."""
    start: int = 0
    """The first number of each part."""
    continued: bool = False
    """Whether test goes on counting where train stopped."""
    each: Literal["row", "value"] = "row"
    """row: every row gets a number; value: rows with equal old ids share one, counted by first appearance."""
    train: str | None = None
    """Text of a train id, such as "Train_{n}" or "clip_{n:08d}"; "{old}" keeps the old one. The bare number if neither
    `train` nor `test` is there."""
    test: str | None = None
    """Text of a test id."""


class Split(Strict):
    """`[prepare.split]`: which rows of a table become train and which test."""

    table: str
    """Name of the table."""
    method: Literal["random", "stratified", "grouped", "time", "values"] = "random"
    """random: scikit-learn's train_test_split of the rows; stratified: the same, with the shares of `column` kept;
    grouped: train_test_split of the distinct values of `column`, whose rows stay together; time: the last rows by
    `column`, rows with equal times stay together; values: the rows whose `column` is in `test_values`."""
    test_size: float | int | LikeFiles | None = None
    """A share (0.1, rounded up), a whole count (1000) of rows or groups, or the share of the original test set."""
    train_size: float | int | None = None
    """The same for train; what is absent is the rest."""
    seed: int = 0
    """Of the shuffle."""
    column: str | None = None
    """Column of every method but random."""
    key: str | None = None
    """For grouped: the part of the column's text that names the group, as a pattern with one name in braces, which
    stands for a text as long as possible without a slash: "{group}_*" is all before the last underscore."""
    groups: Literal["appearance", "sorted"] = "appearance"
    """Order of the groups before they are shuffled."""
    since: Cell | None = None
    """For time, instead of a size: test are the rows whose `column` is this or later (or larger)."""
    test_values: tuple[Cell, ...] = ()
    """For values."""
    order: Literal["split", "file", "sorted"] = "split"
    """Order of the rows in each part. split: as the split gives them (shuffled; for grouped group after group; by
    time); file: as in the table; sorted: by `sort_by`."""
    sort_by: tuple[str, ...] = ()
    """Columns for order = "sorted"."""
    renumber: Renumber | None = None
    """New ids, given after all of the above."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Split":
        if (self.method != "random") != (self.column is not None):
            need = "needs" if self.column is None else "takes no"
            raise ValueError(f'method = "{self.method}" {need} `column`')
        sized = self.test_size is not None or self.train_size is not None
        if self.method == "values":
            if sized or not self.test_values:
                raise ValueError('method = "values" needs `test_values` and no size')
        elif self.method == "time":
            if self.train_size is not None or (self.test_size is None) == (self.since is None):
                raise ValueError('method = "time" needs either `test_size` or `since`')
        elif not sized:
            raise ValueError("`test_size` or `train_size` is needed")
        if self.since is not None and self.method != "time":
            raise ValueError('`since` goes with method = "time"')
        if self.key is not None and self.method != "grouped":
            raise ValueError('`key` goes with method = "grouped"')
        if self.test_values and self.method != "values":
            raise ValueError('`test_values` goes with method = "values"')
        if (self.order == "sorted") != bool(self.sort_by):
            raise ValueError('order = "sorted" and `sort_by` go together')
        for size in (self.test_size, self.train_size):
            if isinstance(size, (int, float)) and (size <= 0 or (isinstance(size, float) and size >= 1)):
                raise ValueError(f"a size is a share between 0 and 1 or a whole count above 0, got {size}")
        return self


class Write(Strict):
    """`[[prepare.write]]`: a table to write. Its keys act in the order in which they are listed here."""

    file: str
    """Under public/ or private/; .csv or .tsv, or either followed by .zip (an archive with it as the one member)."""
    table: str | None = None
    """Name of the table; the one that is split if absent."""
    rows: Rows = "all"
    """Which rows. Of a table that is not split, train and test need `match`."""
    match: str | dict[str, str] | None = None
    """For a table that is not split: the rows, in file order, whose COLUMN is among the part's values of the same
    column, or of another one: `match = "patient"`, `match = { image_file = "id" }`."""
    distinct: tuple[str, ...] = ()
    """Only the first row of each combination of these columns."""
    sort_by: tuple[str, ...] = ()
    """Columns to sort the rows by, ascending, equal ones as they stood."""
    one_hot: str | None = None
    """A column to replace, where it stands, by one column of 0 and 1 for each of its values, which names it: those
    that the table declares in `values`, else all that the whole table holds, sorted."""
    fill: dict[str, Cell] = {}
    """A constant for each of these columns, which are added at the end where absent. A text with braces is made
    from the row's other columns: `fill = { after = "{before}" }`. "*" is every written column but the ids."""
    columns: tuple[str, ...] | None = None
    """The columns to write, in this order; all if absent. "margin*" is all that fit, as they stand in the table."""
    hide: tuple[str, ...] = ()
    """Columns to leave out; "margin*" as above."""
    rename: dict[str, str] = {}
    """New names by old."""
    index: bool = False
    """Whether the row's number in the raw table stands first, in a column without a name."""
    float_format: str | None = None
    """Such as "%.10g"; the shortest text that reads back to the same float if absent."""
    quote: Literal["minimal", "text", "all"] = "minimal"
    """What stands in double quotes: what must; text, header included; everything."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Write":
        _check_target(self.file)
        if not self.file.removesuffix(".zip").endswith((".csv", ".tsv")):
            raise ValueError(f"expected a .csv, .tsv, .csv.zip or .tsv.zip file, got {self.file!r}")
        if self.columns is not None and self.hide:
            raise ValueError("`columns` and `hide` exclude each other")
        if self.match is not None and self.rows == "all":
            raise ValueError('`match` goes with rows = "train" or "test"')
        return self


class Copy(Strict):
    """`[[prepare.copy]]`: files to pass on, byte for byte.

    Without `rows`: a file, a folder (both paths end with a slash), or the files that fit a pattern with * or **
    (`to` is a folder then, and what follows the pattern's fixed folders is kept). With `rows`: one file, or one
    folder (both paths end with a slash), for each row; the names in braces are columns, `{id[0]}` is the first
    character, `{id:05d}` a format. Rows that give the same path count once.
    """

    from_: str = Field(alias="from")
    """Path in raw, or `archive.zip!path` of a member; .zip, .tar, .tar.gz, .7z."""
    to: str
    """Path under public/ or private/."""
    rows: Rows | None = None
    """The rows that the files follow."""
    table: str | None = None
    """Their table; the one that is split if absent. Another one has all its rows, whatever the part."""
    missing: Literal["error", "skip"] = "error"
    """What to do where a file that a row names is not there."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Copy":
        _check_target(self.to)
        if self.rows is None:
            for path in (self.from_, self.to):
                if "{" in path:
                    raise ValueError(f"{path!r}: a path with a column in braces needs `rows`")
            if self.table is not None:
                raise ValueError("`table` goes with `rows`")
        elif "*" in self.from_:
            raise ValueError("a pattern goes without `rows`; a folder for each row ends with a slash")
        if self.from_.endswith("/") and not self.to.endswith("/"):
            raise ValueError("`from` is a folder (it ends with a slash), so `to` must end with one")
        return self


class Archive(Strict):
    """`[[prepare.archive]]`: an archive to pack. The same input gives the same bytes."""

    file: str
    """Under public/ or private/; .zip, .tar, .tar.gz or .7z."""
    from_: str = Field(alias="from")
    """As in `copy`, always with `rows`; or a file under public/ or private/ that was written before, or a path in
    raw, both without."""
    as_: str | None = Field(default=None, alias="as")
    """Name of the member, with columns in braces; the last part of `from` if absent."""
    rows: Rows | None = None
    """The rows that the members follow, in their order."""
    table: str | None = None
    """As in `copy`."""
    compress: bool = False
    """Whether to deflate; images and the like gain nothing."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Archive":
        _check_target(self.file)
        if not self.file.endswith((".zip", ".tar", ".tar.gz", ".7z")):
            raise ValueError(f"expected a .zip, .tar, .tar.gz or .7z file, got {self.file!r}")
        if self.rows is None and ("{" in self.from_ or "{" in (self.as_ or "")):
            raise ValueError("a path with a column in braces needs `rows`")
        return self


def _as_table(value: object) -> object:
    return {"file": value} if isinstance(value, str) else value


class Recipe(Strict):
    """`[prepare]`: how raw data becomes public and private files."""

    require: tuple[str, ...] = ()
    """Raw files that must be there though nothing is taken from them."""
    tables: dict[str, Annotated[Table, BeforeValidator(_as_table)]] = {}
    """Raw tables by name."""
    split: Split | None = None
    """The split; absent where the raw data has its test set already."""
    write: tuple[Write, ...] = ()
    """Tables to write."""
    copy_: tuple[Copy, ...] = Field(default=(), alias="copy")
    """Files to pass on."""
    archive: tuple[Archive, ...] = ()
    """Archives to pack."""

    @model_validator(mode="after")
    def _names_are_known(self) -> "Recipe":
        known = ", ".join(self.tables) or "none"
        if self.split is not None and self.split.table not in self.tables:
            raise ValueError(f"split.table: no table {self.split.table!r}; known: {known}")
        uses: dict[str, tuple[Write | Copy | Archive, ...]]
        uses = {"write": self.write, "copy": self.copy_, "archive": self.archive}
        for key, parts in uses.items():
            for i, part in enumerate(parts):
                if isinstance(part, (Copy, Archive)) and part.rows is None:
                    continue
                name = part.table or (self.split.table if self.split else None)
                if name is None:
                    raise ValueError(f"{key}.{i}: `table` is needed where nothing is split")
                if name not in self.tables:
                    raise ValueError(f"{key}.{i}.table: no table {name!r}; known: {known}")
                other = self.split is None or name != self.split.table
                match = part.match if isinstance(part, Write) else None
                if self.split is None and part.rows != "all":
                    raise ValueError(f'{key}.{i}.rows: "{part.rows}" needs a [prepare.split]')
                if other and part.rows != "all" and match is None:
                    raise ValueError(f"{key}.{i}: table {name!r} is not the one that is split: `match` is needed")
                if not other and match is not None:
                    raise ValueError(f"{key}.{i}.match: goes with tables that are not split")
        files = [*(part.file for part in self.write), *(part.file for part in self.archive)]
        if twice := sorted({file for file in files if files.count(file) > 1}):
            raise ValueError(f"{twice[0]} is written twice")
        return self


def _check_target(path: str) -> None:
    if not path.startswith(("public/", "private/")) or ".." in path.split("/"):
        raise ValueError(f"expected a path under public/ or private/, got {path!r}")
