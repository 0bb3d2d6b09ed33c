"""Secrets are masked however the output is cut, spelled or nested, and leaks are found."""

import base64
import json
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ota.env.leaks import scan
from ota.env.masking import MASK, Masker
from ota.system.cutting import cut as shortened

secret_values = st.lists(
    st.one_of(
        st.text(alphabet="ab", min_size=1, max_size=7),
        st.text(alphabet="abc\n*-", min_size=4, max_size=12),
        st.text(min_size=1, max_size=10),
    ),
    max_size=4,
)


def through_a_stream(masker: Masker, chunks: list[bytes]) -> bytes:
    stream = masker.stream()
    return b"".join([stream.feed(chunk) for chunk in chunks] + [stream.flush()])


def cut(content: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(content) + 1) for place in places), len(content)]
    return [content[start:end] for start, end in pairwise(bounds)]


def test_every_occurrence_in_text_is_masked() -> None:
    assert Masker(["hunter22"]).mask("a=hunter22;b=hunter22hunter22") == "a=***;b=******"


def test_no_secrets_means_no_change() -> None:
    masker = Masker(["", "   ", "\n"])
    assert not masker
    assert masker.mask("text") == "text"
    assert masker.mask_bytes(b"\xff") == b"\xff"
    assert masker.stream().feed(b"x") == b"x"


def test_the_longest_of_overlapping_secrets_wins() -> None:
    assert Masker(["pass", "password1"]).mask("password1 pass") == "*** ***"
    assert Masker(["abcd", "cdef"]).mask("xabcdefx") == "x***x"
    assert Masker(["aaaa"]).mask("aaaaaaa") == "***"


def test_short_values_are_masked_only_alone_and_in_structures() -> None:
    masker = Masker(["1", "abc"])
    assert masker.mask("port 1, abc") == "port 1, abc"
    assert masker.mask_value("1") == "***"
    assert masker.mask_value("level 1 abc_x abcd 11") == "level *** ***_x abcd 11"
    assert masker.mask_json({"a": ["abc", 1, None, {"b": "1"}]}) == {"a": ["***", 1, None, {"b": "***"}]}


def test_four_characters_are_enough_for_running_text() -> None:
    assert Masker(["abcd"]).mask("xabcdx") == "x***x"


def test_the_mask_itself_is_no_secret() -> None:
    assert Masker(["***", "*", "****"]).mask_value("a *** b") == "a *** b"


@pytest.mark.parametrize("secret", ["p@ss w/rd&=", 'q"uo\\te\n2', "päßword€", "line one\nline two", "𝄞clef"])
def test_common_spellings_are_masked(secret: str) -> None:
    masker = Masker([secret])
    spellings = [
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        secret.replace("\n", "\r\n"),
    ]
    for spelling in spellings:
        assert masker.mask(f"<{spelling}>") == "<***>"
        assert masker.mask_bytes(f"<{spelling}>".encode()) == b"<***>"


@pytest.mark.parametrize("lead", ["", "u", "us", "user:"])
def test_base64_is_masked_wherever_it_falls(lead: str) -> None:
    secret = "correct horse?>"
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(f"{lead}{secret}:tail".encode()).decode()
        masked = Masker([secret]).mask(encoded)
        assert MASK in masked
        for offset in range(3):
            core = encode(b"\0" * offset + secret.encode()).decode()[2:-4]
            assert core not in masked


def test_lines_of_a_key_are_masked_one_by_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEAA\n-----END KEY-----\n"
    masked = Masker([key]).mask("log: MIIEvQIBADANBgkqhkiG9w0\nlog: -----BEGIN KEY-----")
    assert masked == "log: ***\nlog: -----BEGIN KEY-----"
    assert Masker([key]).mask(key.rstrip()) == "***"


@pytest.mark.parametrize("limit", range(8, 60))
def test_a_text_that_was_cut_inside_a_secret_shows_next_to_nothing_of_it(limit: int) -> None:
    secret = "Zq7/+k:w@y%3..tr_1234...56"
    shown = Masker([secret]).mask(shortened(f"denied: {secret} {quote(secret, safe='')} or {MASK}", limit))
    assert not any(shown.find(secret[at : at + 4]) != -1 for at in range(len(secret) - 8))
    assert len(shortened(MASK * 30, limit).strip("*.")) == 0


@pytest.mark.parametrize("secret", ["4711", "Zq7/+k:w@y%3"])
def test_of_a_secret_that_was_cut_no_more_than_one_character_is_shown(secret: str) -> None:
    for kept in range(2, len(secret)):
        text = shortened(f"pin {secret} or more", len("pin ") + kept + 3)
        assert text == f"pin {secret[:kept]}..."
        assert Masker([secret, "other"]).mask(text) == f"pin {MASK}..."
    assert Masker([secret]).mask("still waiting... and waiting...") == "still waiting... and waiting..."


def test_undecodable_secret_bytes_are_masked_in_bytes() -> None:
    secret = b"se\xffcret".decode("utf-8", "surrogateescape")
    assert Masker([secret]).mask_bytes(b"<se\xffcret>") == b"<***>"


@given(secret_values, st.text(max_size=60), st.lists(st.integers(min_value=0, max_value=500), max_size=8))
def test_any_way_of_cutting_gives_what_the_whole_gives(
    values: list[str], noise: str, places: list[int]
) -> None:
    masker = Masker(values)
    text = noise + "".join(values) + noise[:3] + "".join(value[1:] + value for value in values)
    content = text.encode("utf-8", "surrogatepass")
    assert through_a_stream(masker, cut(content, places)) == masker.mask_bytes(content)


@given(
    st.lists(st.text(alphabet="ab", min_size=4, max_size=9), min_size=1, max_size=4),
    st.text(alphabet="abc", max_size=60),
)
def test_byte_by_byte_gives_what_the_whole_gives(values: list[str], text: str) -> None:
    masker = Masker(values)
    content = text.encode()
    chunks = [content[at : at + 1] for at in range(len(content))]
    assert through_a_stream(masker, chunks) == masker.mask_bytes(content)


@given(
    st.lists(st.text(alphabet="ab", min_size=4, max_size=9), min_size=1, max_size=4),
    st.text(alphabet="abc", max_size=60),
)
def test_never_more_is_held_back_than_a_secret_less_one_byte(values: list[str], text: str) -> None:
    masker = Masker(values)
    stream = masker.stream()
    for char in text:
        stream.feed(char.encode())
        assert stream.held_bytes <= masker.longest_bytes - 1
    stream.flush()
    assert stream.held_bytes == 0


@given(secret_values, st.binary(max_size=80))
def test_no_secret_survives_in_the_output(values: list[str], content: bytes) -> None:
    masker = Masker(values)
    for value in values:
        if len(value) >= 4 and value.strip(" \t\r\n\f\v*") and value.isascii() and value.isalnum():
            assert value.encode() not in masker.mask_bytes(content + value.encode() + content)


def test_text_is_passed_on_at_once_when_no_secret_can_begin() -> None:
    stream = Masker(["hunter22"]).stream()
    assert stream.feed(b"Password for h") == b"Password for "
    assert stream.feed(b"ost: ") == b"host: "
    assert stream.feed(b"line\n") == b"line\n"
    assert stream.feed(b"hunter") == b""
    assert stream.feed(b"\n") == b"hunter\n"


def test_an_idle_stream_shows_a_short_tail_and_still_masks_the_rest() -> None:
    stream = Masker(["hunter22"]).stream()
    assert stream.feed(b"name: hu") == b"name: "
    assert stream.idle() == b"hu"
    assert stream.idle() == b""
    assert stream.feed(b"nter22 x") == b"*** x"
    assert stream.feed(b"name: hu") + stream.idle() == b"name: hu"
    assert stream.feed(b"man") == b"man"
    assert stream.flush() == b""


def test_a_secret_typed_slowly_is_not_shown_piece_by_piece() -> None:
    stream = Masker(["hunter22"]).stream()
    shown = b"".join(stream.feed(bytes([byte])) + stream.idle() for byte in b"hunter22")
    assert shown + stream.flush() == b"hun***"


@given(
    st.lists(st.text(alphabet="ab", min_size=4, max_size=9), min_size=1, max_size=3),
    st.lists(st.tuples(st.text(alphabet="abc", max_size=9), st.booleans()), max_size=12),
)
def test_idling_never_loses_or_repeats_ordinary_text(
    values: list[str], steps: list[tuple[str, bool]]
) -> None:
    masker = Masker(values)
    stream = masker.stream()
    output = b""
    for text, is_idle in steps:
        output += stream.feed(text.encode())
        if is_idle:
            output += stream.idle()
    output += stream.flush()
    content = "".join(text for text, _ in steps)
    if MASK not in masker.mask_bytes(content.encode()).decode():
        assert output.decode() == content
    for value in values:
        assert value.encode() not in output


def test_a_secret_that_only_began_when_the_stream_ended_is_masked() -> None:
    assert through_a_stream(Masker(["Zq7/+k:w@y%3tr"]), [b"a Zq7/+", b"k:w@y"]) == b"a ***"
    assert through_a_stream(Masker(["Zq7/+k:w@y%3tr"]), [b"a Zq7"]) == b"a Zq7"


def test_secrets_learned_on_the_way_count_for_what_is_held_back() -> None:
    stream = Masker(["abcdefgh"]).stream()
    shown = stream.feed(b"abcd")
    stream.learn(Masker(["abcdefgh", "abcdxyz"]))
    assert shown + stream.feed(b"xyz.") + stream.flush() == b"***."


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_what_is_too_short_for_running_text_is_masked_as_a_whole_line(size: int) -> None:
    masker = Masker(["k7", "-----BEGIN-----\nMIIEvQIBADANBg\nq0Tz=="])
    printed = b"k7\na k7\nk7x\r\nk7\r\nMIIEvQIBADANBg\nq0Tz==\nsee q0Tz==x\nk\nk7"
    shown = b"***\na k7\nk7x\r\n***\r\n***\n***\nsee q0Tz==x\nk\n***"
    chunks = [printed[at : at + size] for at in range(0, len(printed), size)]
    assert through_a_stream(masker, chunks) == shown
    assert masker.mask_bytes(printed) == shown
    assert masker.mask(printed.decode()) == shown.decode()


def test_idling_between_secrets_with_a_common_part_masks_both() -> None:
    masker = Masker(["abab"])
    stream = masker.stream()
    output = stream.feed(b"ab") + stream.idle() + stream.feed(b"ab") + stream.idle() + stream.feed(b"ab")
    assert output + stream.flush() == b"ab***"


def test_further_secrets_can_be_added() -> None:
    assert Masker(["first-one"]).with_more(["other-one"]).mask("first-one other-one") == "*** ***"


def test_the_masker_does_not_show_what_it_knows() -> None:
    assert "hunter22" not in repr(Masker(["hunter22"]))


def test_leaks_are_found_and_located_without_being_quoted(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "stdout.log").write_bytes(b"fine\nx=hunter22 hunter22\n")
    (tmp_path / "receipt.json").write_bytes(b'{"env": "***"}')
    (tmp_path / "logs" / "link").symlink_to(tmp_path / "logs" / "stdout.log")
    found = scan(Masker(["hunter22"]), [tmp_path, tmp_path / "absent"])
    assert [(Path(leak.path).name, leak.line, leak.column) for leak in found.leaks] == [
        ("stdout.log", 2, 3),
        ("stdout.log", 2, 12),
    ]
    assert "hunter22" not in repr(found)
    assert found.unreadable == ()


def test_a_leak_across_the_edge_of_two_pieces_is_found_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ota.env.leaks._CHUNK_BYTES", 7)
    content = b"0123\n56hunter22\nabc hunter22 x hunter22\n"
    (tmp_path / "log").write_bytes(content)
    masker = Masker(["hunter22"])
    found = scan(masker, [tmp_path])
    assert [(leak.line, leak.column) for leak in found.leaks] == [(2, 3), (3, 5), (3, 16)]
    assert masker.find(content) == ((2, 3), (3, 5), (3, 16))


@settings(max_examples=50)
@given(st.binary(max_size=200), st.integers(min_value=1, max_value=30))
def test_reading_in_pieces_finds_what_reading_whole_finds(content: bytes, piece: int) -> None:
    import tempfile

    from ota.env import leaks

    masker = Masker(["abcde", "\nxyz9"])
    content = content[:50] + b"abcde" + content[50:] + b"\nxyz9abcde"
    before = leaks._CHUNK_BYTES
    leaks._CHUNK_BYTES = piece
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log"
            path.write_bytes(content)
            found = scan(masker, [path]).leaks
    finally:
        leaks._CHUNK_BYTES = before
    assert [(leak.line, leak.column) for leak in found] == list(masker.find(content))


def test_many_long_secrets_and_much_output_are_quick_enough() -> None:
    keys = ["".join(chr(33 + (at * 7 + key) % 90) for at in range(3000)) for key in range(5)]
    masker = Masker(keys)
    stream = masker.stream()
    output = sum(len(stream.feed(b"x" * 4096)) for _ in range(250))
    assert output + len(stream.flush()) == 250 * 4096
