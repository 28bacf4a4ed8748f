"""What is probably wrong in the data: labels, near duplicates, and near duplicates in different splits.

The node writes two artifacts. `suspects` contains:

  edits.csv: the labels that are probably wrong, for `data.edits` and `ingest photos --edits`. The columns are name,
    digest (empty if the record has none), label (the likely class), given (the label), split and margin (the
    probability of the given label minus that of the likely class). The rows of this run's `data.edits` follow, with
    the name, the own class and the split of the record; these cells are empty if no record has the digest or the name.
  suspects.html: a sheet of the pictures.

`duplicates` contains:

  duplicates.csv: the pairs, with the columns similarity, name, label, split, other_name, other_label, other_split.
  duplicates.html: a sheet of the pictures.

Both contain a section for the report (`components.sections`).
"""
