"""The published JSON schemas of reports, one file a version."""

from __future__ import annotations

from importlib import resources

from secateur.types import SCHEMA_VERSION

__all__ = ["report_schema"]


def report_schema() -> str:
    """Return the JSON schema (draft 2020-12) of the reports that this version writes, as text.

    Example:
        >>> import json
        >>> json.loads(report_schema())["$id"]
        'urn:secateur:report:1'
    """
    name = f"report-{SCHEMA_VERSION}.json"
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
