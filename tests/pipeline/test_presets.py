"""The presets that come with the project."""

import yaml

from pipeline import settings
from pipeline.config import Config
from trainer.families import FAMILIES


def test_every_preset_is_valid_and_has_its_header():
    assert {"sample", "flowers-convnet", "flowers-squeezenet", "flowers-xception"} < set(settings.preset_names())
    without = {"efficientnet_lite1"}  # flowers-lite0 with --set model.name=efficientnet_lite1
    assert {settings.load(name).model.name for name in settings.preset_names()} | without == set(FAMILIES)
    for name in settings.preset_names():
        config = settings.load(name)
        header = (settings.PRESETS / f"{name}.yaml").read_text().splitlines()[:5]
        assert config.name == name
        assert [line.partition(":")[0] for line in header[1:]] == ["# Source", "# Command", "# Expect", "# Time"]


def test_presets_state_only_differences():
    default = Config().model_dump(mode="json")

    def same(preset, defaults, where):
        for key, value in preset.items():
            if isinstance(value, dict):
                yield from same(value, defaults[key], f"{where}.{key}")
            elif value == defaults.get(key):
                yield f"{where}.{key}"

    for name in settings.preset_names():
        preset = yaml.safe_load((settings.PRESETS / f"{name}.yaml").read_text())
        assert list(same(preset, default, name)) == []
