"""Moves the folders that a run writes from the compiled pipeline root to another one; inputs keep their place."""

import json
from typing import Any

from pipeline.cluster.spec import Json

# by task and parameter: the keys in the parameter's JSON that lead to the folder; without keys, the text is the folder
_FOLDERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("Trainer", "custom_config"): ("checkpoints",),
    ("LatestBlessedModel", "pushed"): (),
    ("Pusher", "push_destination"): ("filesystem", "base_directory"),
    ("Report", "settings"): ("pusher", "directory"),
}


def moved(task: str, values: Json, old: str, new: str) -> Json:
    """Returns the parameters of a task whose folders of checkpoints and pushed models are below the root `new`.

    A folder that is not below `old`, the compiled pipeline root, stays where it is.
    """
    result = dict(values)
    for (name, parameter), keys in _FOLDERS.items():
        if name == task and parameter in values:
            content = json.loads(values[parameter]) if keys else values[parameter]
            changed = _changed(content, keys, old.rstrip("/"), new)
            result[parameter] = json.dumps(changed) if keys else changed
    return result


def _changed(content: Any, keys: tuple[str, ...], old: str, new: str) -> Any:
    if keys:
        return content | {keys[0]: _changed(content[keys[0]], keys[1:], old, new)} if keys[0] in content else content
    below = isinstance(content, str) and content.startswith(f"{old}/")
    return f"{new}/{content.removeprefix(old).strip('/')}" if below else content
