from tensorflow_model_analysis.slicer.slicer_lib import SingleSliceSpec

from components.evaluator import eval_config


def test_each_floor_binds_its_own_slices_alone():
    accuracy = eval_config(("a", "b"), 0.8, 0.5, 0.02).metrics_specs[0].metrics[0]
    assert not accuracy.HasField("threshold")  # TFMA would hold it against every slice

    def floors(slice_key: tuple) -> list[float]:
        return [
            each.threshold.value_threshold.lower_bound.value
            for each in accuracy.per_slice_thresholds
            for spec in each.slicing_specs
            if SingleSliceSpec(spec=spec).is_slice_applicable(slice_key)
        ]

    assert floors(()) == [0.8]
    assert floors((("class", 0),)) == floors((("class", 1),)) == [0.5]
