"""The gallery of misclassified images: what the run folder keeps, and nothing that is damaged."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import make_study

from normlab.data.image.png import png_bytes
from normlab.report.build import render
from normlab.report.comparing import leading
from normlab.report.sections.image.gallery import section as gallery
from normlab.report.view import StudyView
from normlab.studies.study import Study

PNG = base64.b64encode(png_bytes(np.full((3, 4, 4), 7, np.uint8))).decode()
ENTRY = {"index": 5, "label": 3, "prediction": 5, "probability": 0.987, "png": PNG}


def with_mistakes(path: Path, content: Any) -> Study:
    study = make_study(path, axes={"norm": ["batch", "none"]})
    for cell in study.cells:
        cell.folder.predictions.mkdir(exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (cell.folder.predictions / "wrong.json").write_text(text)
    return study


def test_gallery_shows_prediction_probability_and_truth_of_the_leading_variant(tmp_path: Path) -> None:
    view = StudyView.read(with_mistakes(tmp_path, {"split": "test", "images": [ENTRY]}))
    found = gallery(view)
    assert found is not None
    assert found.title.endswith(leading(view).label)
    (picture,) = found.blocks[0].items
    assert (picture.title, picture.caption) == ("dog (99 %)", "true: cat")
    html = render([view])
    assert f'src="data:image/png;base64,{PNG}"' in html
    assert "img-src data:" in html


def test_gallery_is_absent_where_runs_kept_no_images(tmp_path: Path) -> None:
    assert gallery(StudyView.read(make_study(tmp_path / "without", axes={"norm": ["batch"]}))) is None
    empty = with_mistakes(tmp_path / "empty", {"split": "test", "images": []})
    assert gallery(StudyView.read(empty)) is None


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        {"images": 3},
        {"images": [3, {}, {**ENTRY, "label": 99}, {**ENTRY, "png": '"><script>alert(1)</script>'}]},
        {"images": [{**ENTRY, "png": base64.b64encode(b"GIF89a").decode()}]},
        {"images": [{**ENTRY, "png": PNG + "A" * 80_000}]},
    ],
)
def test_damaged_images_are_left_out_and_the_file_is_named(tmp_path: Path, content: Any) -> None:
    view = StudyView.read(with_mistakes(tmp_path, content))
    (note,) = gallery(view).blocks
    assert "wrong.json" in note.text
    assert "alert(1)" not in render([view])


def test_images_beside_damaged_ones_are_shown(tmp_path: Path) -> None:
    images, note = gallery(StudyView.read(with_mistakes(tmp_path, {"images": [ENTRY, 3, {}]}))).blocks
    assert len(images.items) == 1
    assert note.text.endswith("wrong.json: 2 entries left out as damaged.")


def test_gallery_has_a_bounded_number_of_images(tmp_path: Path) -> None:
    view = StudyView.read(with_mistakes(tmp_path, {"images": [ENTRY] * 100}))
    assert len(gallery(view).blocks[0].items) == 24
