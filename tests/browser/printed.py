"""What stands on the sheets of a printed page, read from the PDF's own structure."""

from __future__ import annotations

import io
import unicodedata
from dataclasses import dataclass

import pdfplumber


def squeezed(text):
    """Text without spaces and ligatures, to compare what was broken into lines."""
    return "".join(unicodedata.normalize("NFKC", text).replace("\xad", "").split())


@dataclass(frozen=True, kw_only=True)
class Part:
    """A table, a row, a picture: its text or alternative text, and the sheets it is on."""

    kind: str
    text: str
    sheets: frozenset[int]
    inner: tuple[Part, ...]

    def every(self, kind):
        found = [self] if self.kind == kind else []
        return found + [p for part in self.inner for p in part.every(kind)]


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A document: its parts, each sheet's text, and what reaches beyond a sheet."""

    parts: tuple[Part, ...]
    sheets: tuple[str, ...]
    beyond: tuple[str, ...]
    drawn: int

    def every(self, kind):
        return [p for part in self.parts for p in part.every(kind)]


def read(content):
    """Return a PDF's parts. `content`: its bytes, printed with tags."""
    with pdfplumber.open(io.BytesIO(content)) as pdf:
        texts, beyond, drawn = {}, [], 0
        for sheet in pdf.pages:
            for char in sheet.chars:
                key = (sheet.page_number, char["mcid"])
                texts[key] = texts.get(key, "") + char["text"]
                if not (char["x0"] >= 0 and char["x1"] <= sheet.width):
                    beyond.append(char["text"])
            drawn += len(sheet.curves)
        return Printed(
            parts=tuple(_part(node, texts, None) for node in pdf.structure_tree),
            sheets=tuple(squeezed(sheet.extract_text()) for sheet in pdf.pages),
            beyond=tuple(beyond),
            drawn=drawn,
        )


def _part(node, texts, above):
    sheet = node.get("page_number", above)
    inner = tuple(_part(child, texts, sheet) for child in node.get("children", ()))
    own = [(sheet, mcid) for mcid in node.get("mcids", ())]
    text = "".join(texts.get(key, "") for key in own) + "".join(p.text for p in inner)
    sheets = frozenset(number for number, _ in own).union(*(p.sheets for p in inner))
    text = node.get("alt_text", "") if node["type"] == "Figure" else text
    return Part(kind=node["type"], text=squeezed(text), sheets=sheets, inner=inner)
