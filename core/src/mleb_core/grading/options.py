"""What a competition may declare for a TableGrader under `[grading.options]`, beside the metric's own options."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mleb_core.errors import GraderError

__all__ = ["RowSum", "TableOptions", "split_options"]


class RowSum(BaseModel):
    """Each row's target columns must sum to a value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    """The sum."""
    tolerance: float
    """Largest difference allowed."""


class TableOptions(BaseModel):
    """Options of the TableGrader itself; the metric never sees them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    extras: dict[str, str | tuple[str, ...]] = {}
    """Columns of the answers for the metric, by its keyword: one gives an array of shape (n,), k give (n, k)."""
    where: str | None = None
    """Query on the answers (pandas syntax): only these rows are scored."""
    unscored: Literal["checked", "gaps", "free"] = "checked"
    """Cells of rows outside `where`: must be valid, too; may be empty, else must be valid; may hold anything."""
    unscored_rows: Literal["needed", "optional"] = "needed"
    """Whether rows outside `where` must be handed in."""
    unknown_ids: Literal["refused", "ignored"] = "refused"
    """What becomes of rows whose id the answers do not have."""
    required_columns: tuple[str, ...] = ()
    """Further columns that must be there, whatever they hold."""
    row_sum: RowSum | None = None
    """Sum that the target columns of each row must have."""
    truth: str | tuple[str, ...] | None = None
    """Columns of the answers that are the truth, where they are not named as the submission's: as many as there are
    targets (each then typed by its target's rule), or any number, handed on as they are read."""
    repeated_ids: bool = False
    """Ids may stand several times in the answers; they are then paired in the order in which they stand."""
    extra_columns: Literal["ignored", "refused"] = "ignored"
    """What becomes of columns that are neither id nor target."""
    column_order: Literal["free", "id_first", "fixed"] = "free"
    """Where columns must stand: anywhere; the ids first; ids, then targets in the answers' order."""
    refuse_numbers: bool = False
    """Whether a text column is refused that holds numbers throughout."""
    missing_text: str = ""
    """What an empty cell of a text or label column reads as, where empty cells are allowed."""
    read: dict[str, Any] = {}
    """Arguments of `pandas.read_csv` for submission and answers alike, such as {dtype = {id = "str"}}."""


def split_options(options: Mapping[str, Any]) -> tuple[TableOptions, dict[str, Any]]:
    """The TableGrader's options, and the rest, which is the metric's.

    Raises:
        GraderError: names the option and what was expected.
    """
    own = {name: value for name, value in options.items() if name in TableOptions.model_fields}
    try:
        table = TableOptions.model_validate(own)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise GraderError(f"grading.options.{key} in competition.toml: {first['msg']}") from None
    return table, {name: value for name, value in options.items() if name not in own}
