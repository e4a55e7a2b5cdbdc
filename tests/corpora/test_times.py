"""Times of messages, as files have them."""

import pytest

from eacl_jax.corpora.times import time_of


@pytest.mark.parametrize("start", [1712101560, 1712101562, 1712101620, 1731231000])
def test_seconds_since_1970_and_their_thousandths_are_numbers(start):
    for number in (start, start * 1000 + 123, start + 0.25):
        assert time_of(str(number), True) == time_of(number, True) == number


def test_a_date_of_digits_is_a_date():
    assert time_of("20240403", True) == time_of("2024-04-03", True)
    assert time_of("20240403T1042", True) == time_of("2024-04-03 10:42", True)
