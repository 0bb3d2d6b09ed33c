"""The duration grammar: what it takes, what it refuses and why, and that it round-trips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.contract.durations import (
    LONGEST_MS,
    parse_check_timeout,
    parse_duration_ms,
    render_duration,
    render_elapsed,
)

FACTORS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


@pytest.mark.parametrize(
    ("text", "ms"),
    [("500ms", 500), ("3s", 3000), ("2m", 120_000), ("1h", 3_600_000), ("250", 250), ("007s", 7000)],
)
def test_a_duration_is_read(text: str, ms: int) -> None:
    assert parse_duration_ms(text) == ms


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("0", "greater than zero"),
        ("0s", "greater than zero"),
        ("-3s", "greater than zero"),
        ("1.5s", "not a whole number"),
        ("1,5s", "not a whole number"),
        ("5 s", "is not a duration"),
        ("3S", "is not a duration"),
        ("3min", "is not a duration"),
        ("soon", "is not a duration"),
        ("1s\n", "is not a duration"),
        ("٣s", "is not a duration"),
        ("1e3", "is not a duration"),
        ("99999h", "longer than a year"),
        ("9" * 5000, "is not a duration"),
    ],
)
def test_a_bad_duration_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse_duration_ms(text)
    assert len(str(caught.value)) < 200


@given(st.integers(1, 9999), st.sampled_from(["ms", "s", "m", "h"]))
def test_a_duration_is_its_amount_times_its_unit(amount: int, unit: str) -> None:
    wanted = amount * FACTORS[unit]
    if wanted <= LONGEST_MS:
        assert parse_duration_ms(f"{amount}{unit}") == wanted
        assert parse_check_timeout(f"{amount}{unit}").ms == wanted


@given(st.integers(1, LONGEST_MS))
def test_a_rendered_duration_reads_back(ms: int) -> None:
    assert parse_duration_ms(render_duration(ms)) == ms


@given(st.text(max_size=30))
def test_any_text_is_a_duration_or_a_reason(text: str) -> None:
    for parse in (parse_duration_ms, parse_check_timeout):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)


@given(st.integers(1, LONGEST_MS // 1000))
def test_a_bare_check_timeout_is_seconds_below_a_thousand_and_milliseconds_from_it(amount: int) -> None:
    timeout = parse_check_timeout(str(amount))
    if amount < 1000:
        assert (timeout.ms, timeout.reading) == (amount * 1000, "seconds")
    else:
        assert (timeout.ms, timeout.reading) == (amount, "milliseconds")


def test_ten_and_ten_thousand_mean_the_same_check_timeout() -> None:
    assert parse_check_timeout("10").ms == parse_check_timeout("10000").ms == parse_check_timeout("10s").ms


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.04, "40 ms"), (1, "1 s"), (1.24, "1.2 s"), (4, "4 s"), (9.97, "10 s"), (60, "60 s"),
     (125, "2 min 5 s"), (180, "3 min"), (0.9999, "1 s"), (-1, "0 ms")],
)  # fmt: skip
def test_elapsed_times_read_naturally(seconds: float, text: str) -> None:
    assert render_elapsed(seconds) == text
