"""How much of large data is looked at. What is left out is said in a finding of severity `info`."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Settings"]


class Settings(BaseModel):
    """`--set leaks.KEY=VALUE`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ids: int = Field(20_000, ge=10)
    """Test ids whose answers are searched for; of more, a sample."""
    rows: int = Field(500_000, ge=10)
    """Rows that are read of one table."""
    files: int = Field(3_000, ge=10)
    """Files of one kind (such as the images of the test set) that are opened; of more, a sample."""
    file_bytes: int = Field(256 << 20, ge=1024)
    """Larger files are not read, unless they can be read piece by piece (CSV, JSON lines, TFRecord, archives)."""
    archive_bytes: int = Field(8 << 30, ge=1024)
    """Larger archives are not opened."""
