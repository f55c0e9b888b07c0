"""The pages against pictures that were looked at, in both languages.

`CESTLE_GOLDEN=write python -m pytest tests/unit/render/test_golden.py` makes the pictures anew;
whoever does so looks at each of them before it is committed.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.render.lettering import Typeface
from cestle.render.mrs_page import render_mrs_page
from cestle.render.page import render_page
from cestle.study.mrs_page import build_mrs_page
from cestle.study.presentation import PatientBanner, build_page
from phantoms import mega_builder as mega

GOLDEN = Path(__file__).with_name("golden")
PATIENT = PatientBanner(name="Zhang San", patient_id="TLE-0042", study_date="2026-11-20")
BLOCK = 8
"""Differences of single pixels come from the font library; a letter or a line fills a block."""
TOLERANCE = 24.0


def pictures(language):
    """Both pages of a study with map, spectra and T1."""
    templates = load_template_set(TemplateFolder.default(), language=language)
    if language != "en" and templates.cjk_font is None:
        pytest.skip("no font with Chinese characters; run tests/install_peers.sh")
    typeface = Typeface(cjk_file=templates.cjk_font)
    study = mega.analysis(anatomy=mega.anatomy())
    return {
        "page": render_page(build_page(study, templates.presentation, PATIENT), typeface),
        "mrs": render_mrs_page(build_mrs_page(study, templates.presentation, PATIENT), typeface),
    }


def blocks(picture):
    """Means over squares of pixels, shape (rows, columns, 3)."""
    rows, columns = (length // BLOCK for length in picture.shape[:2])
    tiles = picture[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK, 3)
    return tiles.mean(axis=(1, 3))


def largest_difference(a, b):
    """Of the block means of two pictures, 0 to 255."""
    return float(np.abs(blocks(a.astype(float)) - blocks(b.astype(float))).max())


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_pages_look_as_they_did_when_they_were_looked_at(language):
    """No block of a page differs from the picture that was approved."""
    for name, picture in pictures(language).items():
        file = GOLDEN / f"{name}.{language}.png"
        if os.environ.get("CESTLE_GOLDEN") == "write":
            GOLDEN.mkdir(exist_ok=True)
            Image.fromarray(np.asarray(picture)).save(file, optimize=True)
        approved = np.asarray(Image.open(file).convert("RGB"))
        assert approved.shape == picture.shape
        assert largest_difference(np.asarray(picture), approved) < TOLERANCE, file.name


def test_the_comparison_notices_sides_and_warning():
    """A mirrored page, and one without its warning, are not taken for the approved one."""
    approved = np.asarray(Image.open(GOLDEN / "page.en.png").convert("RGB"))
    mirrored, plain = np.array(approved), np.array(approved)
    mirrored[100:430] = approved[100:430, ::-1]
    plain[:28] = approved[40, 5]
    small = np.array(approved)
    small[250:280, 20:44] = approved[250:280, 312:336]  # the letter at the left edge
    for other in (mirrored, plain, small):
        assert largest_difference(other, approved) > TOLERANCE
