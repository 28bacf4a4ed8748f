"""The sheet that shows each operation on a few photos."""

import subprocess
import sys

import numpy as np
import tensorflow as tf
from PIL import Image

from tests.conftest import ROOT
from tests.helpers import records
from trainer.augmentation.__main__ import main
from trainer.augmentation.table import OPERATIONS

STEP, LABEL = 200, 200


def _cells(path) -> np.ndarray:
    """Returns the photos of the sheet: uint8 [rows, columns, 192, 192, 3]."""
    pixels = np.asarray(Image.open(path))
    rows, columns = (pixels.shape[0] - 8) // STEP, (pixels.shape[1] - LABEL) // STEP
    cut = pixels[8:, LABEL:].reshape(rows, STEP, columns, STEP, 3)
    return cut.transpose(0, 2, 1, 3, 4)[:, :, :192, :192]


def test_a_row_for_each_operation_on_photos_of_records(tmp_path, capsys):
    data = records.folder(tmp_path / "data")
    (data / "README.txt").write_text("no photo, and no record")
    assert main(["--show", str(data), "--to", str(tmp_path / "sheet.png")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'sheet.png'}\n"
    cells = _cells(tmp_path / "sheet.png")
    assert cells.shape[:2] == (1 + len(OPERATIONS), 6)
    assert len({tuple(photo[96, 96]) for photo in cells[0]}) == 6
    cutout = cells[1 + list(OPERATIONS).index("cutout")]
    assert all((np.abs(photo.astype(int) - 128) <= 1).all(axis=-1).any() for photo in cutout)  # grey squares


def test_photos_and_records_of_other_names_are_found(tmp_path):
    records.photo_file(tmp_path / "roses" / "a.png", (10, 200, 30), size=(300, 100))
    features = {"id": b"7", "photo": records.jpeg((230, 10, 30)), "damaged": b"\xff\xd8\xff cut short"}
    values = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in features.items()}
    for name, without in (("whole", "damaged"), ("cut", "photo")):
        kept = {key: value for key, value in values.items() if key != without}
        example = tf.train.Example(features=tf.train.Features(feature=kept))
        records.write(tmp_path / f"{name}.tfrec", [example])
    assert main(["--show", *map(str, sorted(tmp_path.iterdir())), "--to", str(tmp_path / "sheet.png")]) == 0
    found = sorted(tuple(int(value) // 50 for value in photo[0, 0]) for photo in _cells(tmp_path / "sheet.png")[0])
    assert found == [(0, 4, 0), (4, 0, 0)]


def test_errors_are_one_line(tmp_path, capsys):
    (tmp_path / "README.txt").write_text("no photo")
    sheet = str(tmp_path / "sheet.png")
    assert main(["--show", str(tmp_path), "--to", sheet]) == 2
    expected = "augmentation: expected TFRecords of photos, or photos (JPEG, PNG, GIF or BMP), found none in"
    assert capsys.readouterr().err == f"{expected} {tmp_path}\n"
    assert main(["--show", str(tmp_path / "none"), "--to", sheet]) == 2
    assert (
        capsys.readouterr().err
        == f"augmentation: cannot read or write {tmp_path / 'none'}: No such file or directory\n"
    )
    photo = records.photo_file(tmp_path / "a.jpg")
    assert main(["--show", str(photo), "--to", str(tmp_path / "none" / "sheet.png")]) == 2
    assert "No such file or directory" in capsys.readouterr().err


def test_help_imports_no_tensorflow():
    code = "import sys\nfrom trainer.augmentation.__main__ import main\n"
    code += "try: main(['--help'])\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "--show" in done.stdout and not {"tensorflow", "numpy"} & set(done.stdout.split())
