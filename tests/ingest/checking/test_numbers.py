"""`python -m ingest check` compares the class indices with the class names."""

import re

from ingest import record_file
from ingest.__main__ import main
from ingest.examples import make_example
from tests.helpers import records


def test_folders_that_number_the_classes_differently(tmp_path, capsys):
    """As two folders of `ingest photos` in which a class has no photo, or another spelling."""
    for span, classes in (("span-1", ("cat", "dog", "owl")), ("span-2", ("cat", "dogs", "owl", "dog"))):
        (tmp_path / span).mkdir()
        with (tmp_path / span / "train-00000.tfrec").open("wb") as file:
            for number in range(len(classes)):
                for index in range(3):
                    photo = records.jpeg((50 * number, 80 * index, 200 * (span == "span-2")))
                    example = make_example(photo, number, classes, (96, 96))
                    record_file.write_record(file, example.SerializeToString())
    assert main(["check", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    first, second = "span-1/train-00000.tfrec", "span-2/train-00000.tfrec"
    assert f"class 1 is dog in {first} and 1 is dogs in {second}" in printed
    assert f"class 1 is dog in {first} and 3 is dog in {second}" in printed
    assert re.search(r"│ ! +│ classes numbered differently +│ +│ +2 │", printed)
