"""Write the sources that a report's page cites, from docs/refs.bib and the methods' own keys.

python -m tools.sources
"""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

from secateur.cli.catalogue import catalogue
from tools.claims import ROOT

PLACE = ROOT / "src/secateur/report/sources/sources.json"
_ENTRY = re.compile(r"@(\w+)\{([\w-]+),\s*(.*?)\n\}", re.DOTALL)
_FIELD = re.compile(r"(\w+)\s*=\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_MARKS = {'"': "\u0308", "`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303"}
_ACCENT = re.compile(r"\\([\"`'^~])(\w)")
_PLACES = ("booktitle", "journal", "institution", "publisher", "school", "howpublished")


def cited(fields: dict[str, str]) -> str:
    """Return one entry as a line of text.

    Example:
        >>> cited({"author": "Doe, Jane and Roe, R. and others", "title": "On {It}", "year": "2020",
        ...     "booktitle": "ICML", "eprint": "2001.1"})
        'Doe, Roe et al. On It. ICML 2020. arXiv 2001.1.'
    """
    plain = {k: _plain(v) for k, v in fields.items()}
    authors = plain.get("author", "").split(" and ")
    names = [a.partition(",")[0] for a in authors if a not in ("others", "")]
    told = ", ".join(names[:3])
    told += " et al." if len(names) > 3 or "others" in authors else "." if told else ""
    place = next((plain[k] for k in _PLACES if k in plain and "://" not in plain[k]), "")
    parts = [
        told,
        f"{plain['title']}." if "title" in plain else "",
        f"{' '.join(p for p in (place, plain.get('year', '')) if p)}.",
        f"arXiv {plain['eprint']}." if "eprint" in plain else "",
        f"doi {plain['doi']}." if "doi" in plain and "eprint" not in plain else "",
    ]
    return " ".join(p for p in parts if p and p != ".")


def _plain(text: str) -> str:
    """Return TeX as text: accents as letters, no braces."""
    text = text.replace("{", "").replace("}", "").replace("\\&", "&")
    text = _ACCENT.sub(lambda m: unicodedata.normalize("NFC", m[2] + _MARKS[m[1]]), text)
    return " ".join(text.split())


def content() -> str:
    """Return the file's text."""
    bibliography = (ROOT / "docs/refs.bib").read_text(encoding="utf-8")
    entries = {key: dict(_FIELD.findall(body)) for _, key, body in _ENTRY.findall(bibliography)}
    methods = {e.name: e.reference for e in catalogue() if e.reference}
    found = {
        "methods": dict(sorted(methods.items())),
        "sources": {key: cited(entries[key]) for key in sorted(set(methods.values()))},
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(PLACE).write_text(content(), encoding="utf-8")
