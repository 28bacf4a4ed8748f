"""An export with what the Trainer says about it."""

import pytest

from tests.helpers.trained import Trained


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Trained:
    """A trained model, which a test exports."""
    return Trained(tmp_path_factory.mktemp("trained"))
