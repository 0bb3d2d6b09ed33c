"""The value grammar: what is accepted, what is refused, and why."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.contract import grammar
from ota.contract.grammar import GrammarError


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1", 1),
        ("512", 512),
        ("10B", 10),
        ("4KiB", 4096),
        ("512MiB", 512 << 20),
        ("4GiB", 4294967296),
        ("4gib", 4294967296),
        ("2TIB", 2 << 40),
        (" 1GiB ", 1 << 30),
        ("0001KiB", 1024),
    ],
)
def test_memory_sizes_are_bytes(text: str, size_bytes: int) -> None:
    assert grammar.parse_memory(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("0", "greater than zero"),
        ("000GiB", "greater than zero"),
        ("-1", "no sign"),
        ("+4GiB", "no sign"),
        ("1.5GiB", "without fractions"),
        ("1,5GiB", "without fractions"),
        ("4GB", "write `4GiB`"),
        ("4g", "write `4GiB`"),
        ("512m", "write `512MiB`"),
        ("4 GiB", "no blank"),
        ("4PiB", "`PiB` is not a supported unit"),
        ("lots", "not a number"),
        ("0x10", "not a number"),
        ("9" * 5000, "too large"),
        ("9000000TiB", "too large"),
        ("٣GiB", "not a number"),
    ],
)
def test_a_bad_memory_size_says_why_and_names_the_units(text: str, reason: str) -> None:
    with pytest.raises(GrammarError) as error:
        grammar.parse_memory(text)
    assert reason in error.value.reason
    assert "KiB" in error.value.reason


@given(st.integers(min_value=1, max_value=grammar.MEMORY_LIMIT_BYTES))
def test_a_formatted_memory_size_reads_back(size_bytes: int) -> None:
    assert grammar.parse_memory(grammar.format_memory(size_bytes)) == size_bytes


def test_memory_is_formatted_in_the_largest_exact_unit() -> None:
    sizes = [4 << 30, 1536 << 20, 1000, 1 << 40, 2048]
    assert [grammar.format_memory(size) for size in sizes] == ["4GiB", "1536MiB", "1000B", "1TiB", "2KiB"]


@pytest.mark.parametrize("port", [1, 80, 65535])
def test_ports_in_range_are_accepted(port: int) -> None:
    assert grammar.check_port(port) is None


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_other_ports_are_refused(port: int) -> None:
    assert "between 1 and 65535" in (grammar.check_port(port) or "")


def test_http_statuses_are_three_digits_below_600() -> None:
    assert [grammar.check_http_status(status) is None for status in (99, 100, 204, 599, 600)] == [
        False,
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (grammar.check_env_key, ["A", "_x", "a1_B"], ["", "1A", "A-B", "A.B", "É", "A ", "A\n"]),
        (grammar.check_input_name, ["a", "a_1", "a_"], ["", "A", "1a", "_a", "a-b"]),
        (
            grammar.check_state_token,
            ["a", "a1", "a-b", "a_b-c2"],
            ["", "A", "1a", "a-", "-a", "a--b", "a-_b", "a."],
        ),
        (grammar.check_arch_token, ["x64", "arm64", "x86_64"], ["", "x 64", "x/64"]),
        (grammar.check_os_token, ["linux", "macos", "windows"], ["", "darwin", "Linux"]),
        (grammar.check_shell_safe_token, ["pnpm@9.1.0", "@scope/pkg", "~1"], ["", "a;b", "a b", "$x", "a\n"]),
        (
            grammar.check_container_platform,
            ["linux/amd64", "linux/arm/v7"],
            ["", "linux", "windows/amd64", "linux/", "linux/arm/v7/x"],
        ),
    ],
)
def test_tokens(check: object, good: list[str], bad: list[str]) -> None:
    assert callable(check)
    assert [text for text in good if check(text) is not None] == []
    assert [text for text in bad if check(text) is None] == []


@pytest.mark.parametrize("path", [".", "a", "a/b", "./a", "a/./b", "a\\b", "..a", "a..b", "...", "a b"])
def test_paths_inside_the_repository_are_accepted(path: str) -> None:
    assert grammar.check_repo_path(path) is None


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("/etc", "absolute"),
        ("\\share", "absolute"),
        ("C:/x", "drive"),
        ("c:x", "drive"),
        ("..", "leave the repository"),
        ("a/../b", "leave the repository"),
        ("a\\..\\b", "leave the repository"),
        ("a\0b", "NUL"),
    ],
)
def test_paths_outside_the_repository_are_refused(path: str, reason: str) -> None:
    assert reason in (grammar.check_repo_path(path) or "")


def test_a_boundary_path_names_something_below_the_root() -> None:
    assert [grammar.check_boundary_path(path) is None for path in (".", "./", "a", "./a")] == [
        False,
        False,
        True,
        True,
    ]
    assert grammar.normalise_boundary_path("./a//b/.\\c/") == "a/b/c"
    with pytest.raises(GrammarError):
        grammar.normalise_boundary_path("../a")


def test_nesting_is_by_whole_segments() -> None:
    assert grammar.path_within("a/b", "a")
    assert grammar.path_within("./a", "a")
    assert not grammar.path_within("ab", "a")
    assert not grammar.path_within("a", "a/b")
    assert grammar.paths_overlap("a", "a/b")
    assert not grammar.paths_overlap("a/b", "a/c")


@given(st.text(max_size=30))
def test_normalising_a_boundary_path_twice_is_once(text: str) -> None:
    if grammar.check_boundary_path(text) is None:
        once = grammar.normalise_boundary_path(text)
        assert grammar.normalise_boundary_path(once) == once or grammar.check_boundary_path(once) is not None


def test_env_suffix_keeps_ascii_letters_and_digits_only() -> None:
    assert grammar.env_suffix("web:http") == "WEB_HTTP"
    assert grammar.env_suffix("a-b.9é") == "A_B_9_"


def test_loopback_only_addresses() -> None:
    loopback = ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1", "[::1]"]
    assert all(grammar.is_loopback_only(address) for address in loopback)
    assert not any(
        grammar.is_loopback_only(a) for a in ["0.0.0.0", "::", "10.0.0.1", "localhost.example", ""]
    )


def test_architectures_have_one_spelling() -> None:
    assert [grammar.canonical_arch(a) for a in ("x86_64", "AMD64", "aarch64", "x64", "riscv64")] == [
        "x64",
        "x64",
        "arm64",
        "x64",
        "riscv64",
    ]


@pytest.mark.parametrize(
    "ordered",
    [
        [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
        ],
        ["0.9.9", "1.6.16", "1.6.26", "1.10.0", "2.0.0"],
    ],
)
def test_semantic_versions_are_ordered(ordered: list[str]) -> None:
    parsed = [grammar.parse_semver(text) for text in ordered]
    for left, right in pairwise(parsed):
        assert grammar.compare_semver(left, right) < 0
        assert grammar.compare_semver(right, left) > 0
        assert grammar.compare_semver(left, left) == 0


def test_build_metadata_does_not_order() -> None:
    left, right = grammar.parse_semver("1.2.3+a"), grammar.parse_semver("1.2.3+b.1")
    assert grammar.compare_semver(left, right) == 0


@pytest.mark.parametrize(
    "text", ["", "1", "1.6", "v1.6.16", "1.6.x", "01.2.3", "1.2.3-", "1.2.3-01", ">=1.6.0"]
)
def test_what_is_not_a_semantic_version_is_refused(text: str) -> None:
    with pytest.raises(GrammarError):
        grammar.parse_semver(text)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("readines", "readiness"),
        ("tsaks", "tasks"),
        ("minimumVersion", "minimum_version"),
        ("minimum-version", "minimum_version"),
        ("Tasks", "tasks"),
        ("zzzzz", None),
        ("", None),
        ("x" * 500, None),
        ("a", None),
    ],
)
def test_the_nearest_known_word_is_suggested(word: str, meant: str | None) -> None:
    assert grammar.nearest(word, ["tasks", "readiness", "minimum_version", "env"]) == meant
