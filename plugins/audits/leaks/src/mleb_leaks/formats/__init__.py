"""Readers of public files. Each gives records: fields by name, with the row that they stand in."""
