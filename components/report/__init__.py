"""The report of a run: `report.html`, a page without links to the network, and `report.json`, the page's numbers.

The keys of `report.json` change only with `format`. A section is null if its sources are missing. A fraction is 0 to 1.
A measure is {value, low, high, n}: low and high are the bounds of the 95 % interval, and all three are null if n is 0.
For F1, n is the number of photos whose true or predicted class is this class.

  format: 3
  name: the name of the run in the settings
  judged_split: the split of the verdict and the evaluation: test, or eval if the data has no test split
  verdict: {blessed, pushed_to (or null), checks: [{what, value, low, high, margin (or null), floor, n, passed,
    undecided: whether the floor is inside the interval from low to high, upper: whether floor is an upper limit,
    problem: why there is no value, or '',
    pairs: on how many photos candidate and baseline are right: both, only the candidate, only the baseline, neither;
    comparison: what they say; pairs is null and comparison '' except for the comparison with the baseline}]}
  data:
    classes: the class names, in the order of the indices
    splits: by name {examples, per_class: number of photos by class,
      sizes: [{width, height, count}], at most ten, the most frequent first; distinct_sizes,
      side (the square root of the number of pixels), brightness, contrast, red, green, blue: {mean, deviation};
        all except side are 0 to 1,
      brightness_histogram: the fraction of photos in each of 20 bins of equal width}
    left_out: {records: in the quarantine, lost: the estimated number that cannot be read, reasons: the number of
      records by reason, empty_files}; null if ExampleGen has not run
    edits: what `data.edits` did: {file, sha256, relabelled, unchanged, dropped: numbers of records, unmatched: the
      digests and names in rows without a record, repeated: names of several records, splits: {relabelled, unchanged,
      dropped: numbers of records} by split}; null without `data.edits`
    anomalies: [{split, feature, what}]; null if ExampleValidator has not run
    drift: by split, for labels, brightness and sizes: {l_infinity, jensen_shannon: the distance with base 2, 0 to 1};
      null if the baseline's data is unknown; and for embeddings {auroc: 0 to 1, of a linear classifier that tells the
      two data sets apart; limit: without drift, 97.5 % of the values are at most this; photos: on which it was judged},
      null without comparable embeddings and absent if the data is the same
    baseline: the folder of the baseline's examples, or null; same_as_baseline: whether this run has the same examples
  training: `history.json`, see `trainer.run`; `fitted` is a `trainer.calibration.Fitted`
  evaluation:
    examples; accuracy: a measure; confusion: counts, a row for each true class, a column for each predicted class
    classes: [{name, precision, recall, f1: measures}]
    calibration: {error: expected calibration error, bins: [{low, high, n, confidence, accuracy}], without empty bins,
      before: {error, bins} at temperature 1; null in runs of versions without a temperature}
    sure: {curve: at most 100 points {threshold, coverage, accuracy}, the highest threshold first; coverage, accuracy:
      measures at the threshold that the Trainer chose, null without one}
    sets: {coverage: a measure, mean_size, sizes: [{size, photos}]}; null without prediction sets
    familiar: {limit: below it, a photo is unfamiliar, unfamiliar: a measure, accuracy: {unfamiliar, others: measures},
      photos: at most twelve unfamiliar photos, the least familiar first, with the keys of a mistake from `record` to
      `was`}; null except for a probe
    mistakes: [{record: its number in the judged split, file: the photo's file relative to its source (or null), true,
      predicted, probability, probability_of_true, familiar: 0 to 1, null except for a probe,
      was: the class before `data.edits` relabelled the photo, '' if it was not valid, null if it is not relabelled,
      nearest: the three most similar training photos by their embeddings, {record, file, class, similarity: the cosine
        of the angle, -1 to 1, was}; null without embeddings,
      occlusion: by row and column, how much a grey square at this position lowers `probability`; null except for the
        first three}], the most confident first
    slices: for size and brightness [{name, accuracy: a measure}]
  sections: [{node, id, folder, title, text, columns, rows, files, commands}], written by other nodes; see
    `components.sections`
  lineage: {nodes: [{node, reads: for example Trainer.model, artifacts: folders by output}], settings, versions, code,
    command}
"""
