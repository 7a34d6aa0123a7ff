"""Which competitions a command is about, from -c, --split and --edition: `mleb_core.selection`."""

from mleb_core.selection import in_edition, select

__all__ = ["in_edition", "select"]
