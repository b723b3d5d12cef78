"""Twenty rounds of the fault campaign; ``make chaos`` plays two hundred."""

import pytest

from tests.journeys.__main__ import rounds, summary
from tests.servers import Missing

pytestmark = [pytest.mark.journey, pytest.mark.sandbox, pytest.mark.timeout(1_800)]

SEED = "ci"


@pytest.mark.parametrize(
    ("house", "number"),
    [
        pytest.param("sqlite", 11, id="sqlite"),
        pytest.param("postgresql", 9, id="postgresql", marks=[pytest.mark.postgres, pytest.mark.redis]),
    ],
)
def test_whatever_is_killed_everything_is_done_once_and_nothing_is_left(house, number, record_property):
    try:
        played = list(rounds(house, number, SEED))
    except Missing as missing:
        pytest.skip(str(missing))

    assert len(played) == number
    assert "\n".join(str(now) for now in played if now.findings) == ""
    for line in summary(played).splitlines():
        record_property("did", f"{house}: {line}")
