"""Sources of a report, by the names of outputs."""

from typing import Any

from components.report.sources import NodeOutputs, Sources

HISTORY = {
    "recipe": {
        "data": {"image_size": 16, "channels": 3},
        "model": {"name": "softmax", "weights": None},
        "trainer": {},
        "serving": {"sure_accuracy": 0.3, "sure_coverage": None, "set_coverage": 0.6},
    },
    "devices": "1 × CPU",
    "strategy": {"replicas": 1},
    "precision": "float32",
    "parameters": 3845,
    "global_batch": 4,
    "epochs": 2,
    "best_epoch": 1,
    "fitted": {
        "temperature": 2.0,
        "error_before": 0.4,
        "error_after": 0.3,
        "photos": 10,
        "threshold": 0.4,
        "sure_coverage": 0.8,
        "sure_accuracy": 0.375,
        "quantile": 0.6,
    },
    "val_accuracy": 0.5,
    "head": None,
    "seconds": 3.0,
    "images_per_second": 20.0,
    "history": {
        "loss": [2.0, 1.0],
        "val_loss": [2.0, 1.5],
        "accuracy": [0.25, 0.5],
        "val_accuracy": [0.5, 0.25],
        "learning_rate": [0.01, 0.005],
        "seconds": [2.0, 1.0],
    },
}


def sources(settings: dict[str, Any], folders: dict[str, str], **attributes: Any) -> Sources:
    """Returns the sources of a run that wrote these folders, given by 'Node.output'."""
    artifacts: dict[str, dict[str, str]] = {}
    for channel, folder in folders.items():
        node, _, output = channel.partition(".")
        artifacts.setdefault(node, {})[output] = folder
    return Sources(settings, [NodeOutputs(node, [], each) for node, each in artifacts.items()], **attributes)


def folders_of(sources: Sources) -> dict[str, str]:
    """Returns the folders of the sources, by 'Node.output'."""
    return {f"{node.node}.{output}": folder for node in sources.nodes for output, folder in node.artifacts.items()}
