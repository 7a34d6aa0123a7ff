"""The engine `ray`: runs on a Ray cluster."""
