"""The report of a run: `report.html`, one page that opens from disk, and `report.json`, all the numbers in it.

`report.json`, whose keys stay as they are while `format` does. A section whose sources are missing is null. Fractions
are of 1, and a measure is {value, low, high, n}: the bounds of its 95 % interval, and null where n is 0.
For F1, n counts the photos that are of the class or were taken for it.

  format: 2
  name: the run's name in the settings
  verdict: {blessed, pushed_to (or null), checks: [{what, value, low, high, margin (or null), floor, n, passed,
    undecided: whether the floor is inside the interval from low to high}]}
  data:
    classes: their names, in the order of the indices
    splits: by name {examples, unreadable, per_class: counts by name,
      sizes: [{width, height, count}], the most frequent first, ten at most; distinct_sizes,
      side: the square root of the pixels, and brightness, contrast, red, green, blue (0 to 1): {mean, deviation},
      brightness_histogram: the share of photos in each of 20 equal parts}
    anomalies: [{split, feature, what}]; null where ExampleValidator has not run
    drift: null where the baseline's data are not known; else by split, for labels, brightness and sizes:
      {l_infinity, jensen_shannon: the distance, by the logarithm of base 2, 0 to 1}
    baseline: the folder of its examples, or null; same_as_baseline: whether they are this run's
  training: `history.json` as trainer.run writes it
  evaluation:
    examples; accuracy: a measure; confusion: counts, a row for each true class, a column for each predicted one
    classes: [{name, precision, recall, f1: measures}]
    calibration: {error: expected calibration error, bins: [{low, high, n, confidence, accuracy}]}, those with photos
    mistakes: [{record: in the eval split, true, predicted, probability, probability_of_true}], most confident first
    slices: by kind (size, brightness) [{name, accuracy: a measure}]
  sections: [{node, title, text, columns, rows}], those that other nodes wrote
  lineage: {nodes: [{node, reads: as Trainer.model, artifacts: folders by output}], settings, versions, code, command}
"""
