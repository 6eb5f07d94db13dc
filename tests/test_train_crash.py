"""A run that is killed again and again loses nothing."""

import pytest

from tests.crash_runs import crash


@pytest.mark.slow
def test_fifty_kills_at_random_moments_lose_nothing(tmp_path):
    outcome = crash(tmp_path, kills=50)
    assert outcome.kills == 50 and outcome.compared > 0
    # Else none of them was a test of saving.
    assert outcome.while_saving > 0 and outcome.lives > 0
