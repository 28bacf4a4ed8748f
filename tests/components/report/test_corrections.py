"""What the report says about records that are left out or relabelled."""

import shutil

from tfx.types import standard_artifacts

from components import edits, photos, quarantine
from components.report.make import make
from ingest.label_edits import Edits
from tests.helpers.parsed import Page
from tests.helpers.report_run import changed, write


def test_records_that_are_left_out_are_counted_by_reason(complete, tmp_path):
    reasons = {"no <b>image</b>": quarantine.Reason(2, ["a.tfrec record 1", "a.tfrec record 2"])}
    rows = [quarantine.SourceCounts("a.tfrec", 3, 2, 4, None)._asdict(), {"reasons": reasons}]
    (tmp_path / "bad").mkdir()
    quarantine.write_counts(rows, str(tmp_path / "bad"), 0)
    quarantine.merge_counts(str(tmp_path / "bad"))
    numbers = make(changed(complete, {"ImportExampleGen.quarantine": str(tmp_path / "bad")}), str(tmp_path))
    assert numbers["data"]["left_out"] == {
        "records": 2, "lost": 4, "reasons": {"no <b>image</b>": 2}, "empty_files": []
    }  # fmt: skip
    page = Page((tmp_path / "report.html").read_text())
    assert "2 records left out: 2 no <b>image</b>." in page.text
    assert "About 4 records cannot be read." in page.text
    assert numbers["data"]["edits"] is None and "Labels corrected" not in page.text


def test_corrected_labels_are_counted(complete, tmp_path):
    used = [
        ("<b>.jpg", "relabelled", "<b>.jpg", "roses", "test", "aa"),
        ("<b>.jpg", "relabelled", "<b>.jpg", "roses", "train", "bb"),
        ("c.jpg", "dropped", "c.jpg", "", "test", ""),
    ]
    rows = [edits.as_row([edits.Applied(*each) for each in used])]
    (tmp_path / "counts").mkdir()
    quarantine.write_counts(rows, str(tmp_path / "counts"), 0)
    names = dict.fromkeys(("<b>.jpg", "c.jpg", *(f"<i>{number}" for number in range(6))), "daisy")
    quarantine.merge_counts(str(tmp_path / "counts"), Edits({}, names, "my <edits>.csv", "0a"))
    changes = {"ImportExampleGen.quarantine": str(tmp_path / "counts")}
    edited = make(changed(complete, changes), str(tmp_path))["data"]["edits"]
    assert (edited["relabelled"], edited["dropped"], edited["repeated"]) == (2, 1, ["<b>.jpg"])
    text = Page((tmp_path / "report.html").read_text()).text
    assert edited["splits"]["test"] == {"relabelled": 1, "unchanged": 0, "dropped": 1} and "records" not in edited
    text = " ".join(text.split())
    assert (
        "Labels corrected by my <edits>.csv (data.edits): 2 records relabelled (train 1, test 1), "
        "1 record left out (test 1), 0 records" in text
    )
    assert "my <edits>.csv (data.edits) relabelled 1 photo of the test split and left out 1 photo, so the" in text
    quarantine.write_counts([edits.as_row([edits.Applied(*used[2])])], str(tmp_path / "counts"), 0)
    quarantine.merge_counts(str(tmp_path / "counts"), Edits({}, names, "my <edits>.csv", "0a"))
    make(changed(complete, changes), str(tmp_path))
    only = " ".join(Page((tmp_path / "report.html").read_text()).text.split())
    assert "(data.edits) left out 1 photo of the test split, so the" in only
    assert "6 rows without a record: <i>0, <i>1, <i>2, <i>3, <i>4 …." in text
    assert "1 row with several records: <b>.jpg." in text


def test_a_relabelled_photo_among_the_mistakes_is_marked(complete, report, tmp_path):
    first, second, *others = [each["record"] for each in report[0]["evaluation"]["mistakes"]]
    assert all(each["was"] is None for each in report[0]["evaluation"]["mistakes"])
    shutil.copytree(complete.folder("ImportExampleGen.table"), tmp_path / "table")
    digests = photos.read(str(tmp_path / "table"), "test").digests
    applied = [
        edits.Applied("a", "relabelled", "a", "<i>rose", "test", digests[first].tobytes().hex()),
        edits.Applied("b", "relabelled", "b", "", "test", digests[second].tobytes().hex()),
        edits.Applied("c", "unchanged", "c", "daisy", "test", digests[others[0]].tobytes().hex()),
    ]
    (tmp_path / "bad").mkdir()
    quarantine.write_counts([edits.as_row(applied)], str(tmp_path / "bad"), 0)
    counts = quarantine.merge_counts(str(tmp_path / "bad"), Edits({}, {"a": "daisy"}, "<b>.csv", "0a"))
    table, file = standard_artifacts.Examples(), write(tmp_path, "mine.csv") + "/mine.csv"
    table.uri = str(tmp_path / "table")
    edits.record(counts.edited, file, table, standard_artifacts.Examples())
    folders = {"ImportExampleGen.table": str(tmp_path / "table"), "ImportExampleGen.quarantine": str(tmp_path / "bad")}
    found = make(changed(complete, folders), str(tmp_path))["evaluation"]["mistakes"]
    assert [each["was"] for each in found] == ["<i>rose", ""] + [None] * len(others)
    text = Page((tmp_path / "report.html").read_text()).text
    assert text.count("relabelled by <b>.csv, was <i>rose") == 1
    assert text.count("relabelled by <b>.csv, had no valid class") == text.count("relabelled by <b>.csv") - 1 == 1
