"""Sources of a report, by the names of outputs."""

from typing import Any

from components.report.sources import NodeOutputs, Sources


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
