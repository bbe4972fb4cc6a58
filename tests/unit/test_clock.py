"""Times as they come from outside: RFC 3339, of sane years, in UTC inside (R30)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from playpark.clock import UtcDatetime

Moment = TypeAdapter(UtcDatetime)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T15:42:00.123456+07:00", datetime(2026, 11, 21, 8, 42, 0, 123_000, UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2200-12-31T23:59:59Z", datetime(2200, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_time_of_any_offset_is_utc_inside_and_read_again_as_itself(
    text: str, moment: datetime
) -> None:
    assert Moment.validate_python(text) == moment
    assert Moment.validate_python(moment) == moment


@pytest.mark.parametrize(
    "wrong",
    [
        "2026-11-21T15:42:00",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+14:00",
        "2200-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        1_795_250_520,
        "1795250520",
    ],
)
def test_a_time_without_offset_or_outside_the_years_in_utc_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        Moment.validate_python(wrong)
