"""Text on pictures: which font holds which characters, and how lines are broken."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import matplotlib
from PIL import ImageFont

_CJK_START: Final = 0x2E80
_NEVER_FIRST: Final = frozenset("，。；：、？！）》」』…")
"""Punctuation that may not begin a line (GB/T 15834)."""
_NEVER_LAST: Final = frozenset("（《「『")


@dataclass(frozen=True, kw_only=True)
class Typeface:
    """Fonts that ship with matplotlib, and one for Chinese where the machine has it.

    Parameters
    ----------
    cjk_file
        Path of a font with Chinese characters; None when there is none.
    """

    cjk_file: str | None = None

    def font(self, text: str, size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
        """The font for `text` at `size` pixels."""
        if self.cjk_file is not None and any(ord(c) >= _CJK_START for c in text):
            return _load(self.cjk_file, size)
        name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
        return _load(f"{matplotlib.get_data_path()}/fonts/ttf/{name}", size)

    def can_draw(self, text: str) -> bool:
        """Whether every character has a shape, so that no empty box is drawn."""
        return self.cjk_file is not None or all(ord(c) < _CJK_START for c in text)

    def width(self, text: str, size: int, *, bold: bool = False) -> float:
        """Width of `text` [pixels]."""
        return self.font(text, size, bold=bold).getlength(text)

    def wrap(self, text: str, size: int, width: float, *, bold: bool = False) -> list[str]:
        """Break `text` into lines of at most `width` pixels, at spaces or inside long words."""
        lines: list[str] = []
        line = ""
        for word in _words(text):
            candidate = line + word
            if self.width(candidate.rstrip(), size, bold=bold) <= width:
                line = candidate
                continue
            if line:
                lines.append(line.rstrip())
            line = ""
            for part in self._fitting_parts(word, size, width, bold=bold):
                if line:
                    lines.append(line)
                line = part
        if line.strip():
            lines.append(line.rstrip())
        return lines

    def _fitting_parts(self, word: str, size: int, width: float, *, bold: bool) -> list[str]:
        parts = [""]
        for character in word:
            if self.width(parts[-1] + character, size, bold=bold) > width and parts[-1]:
                parts.append("")
            parts[-1] += character
        return parts


def _words(text: str) -> list[str]:
    """Pieces a line may be broken between: words with their space, single Chinese characters."""
    pieces: list[str] = [""]
    for character in text:
        before = pieces[-1][-1:]
        chinese = ord(character) >= _CJK_START
        after_chinese = before != "" and ord(before) >= _CJK_START
        held = character in _NEVER_FIRST or before in _NEVER_LAST
        if before == " " or ((chinese or after_chinese) and not held):
            pieces.append("")
        pieces[-1] += character
    return [piece for piece in pieces if piece]


@lru_cache(maxsize=64)
def _load(path: str, size: int) -> ImageFont.FreeTypeFont:
    # The basic layout engine gives the same pixels with and without libraqm.
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
