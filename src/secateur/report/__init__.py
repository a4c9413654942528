"""Pure functions of a report: tables, sentences, charts, one HTML page. `html` needs the extra
`report`.
"""

from __future__ import annotations

from secateur.report import table
from secateur.report.table import attack_table, main_table, render_text

__all__ = ["attack_table", "main_table", "render_text", "table"]
