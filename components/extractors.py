"""The extractors of Evaluator. TFX reloads this module when it looks up the function, so the module keeps no state."""

from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.extractors.unbatch_extractor import UNBATCH_EXTRACTOR_STAGE_NAME

from components.predictions import writer


def custom_extractors(eval_shared_model: Any, eval_config: Any, tensor_adapter_config: Any) -> list[Any]:
    """Returns TFMA's extractors, and inserts `predictions.writer` before the extractor that splits the batches.

    TFX's Evaluator finds this function by its name.
    """
    extractors = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    unbatch = [each.stage_name for each in extractors].index(UNBATCH_EXTRACTOR_STAGE_NAME)
    return [*extractors[:unbatch], writer(), *extractors[unbatch:]]
