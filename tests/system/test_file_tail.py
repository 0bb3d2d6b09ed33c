"""A file somebody else writes is followed, also when another one takes its place."""

from ota.system.file_tail import FileTail


def test_the_file_that_takes_its_place_is_read_from_its_beginning(tmp_path):
    log, seen = tmp_path / "log", []
    log.write_bytes(b"old ")
    with FileTail(log, seen.append) as tail:
        tail.skip_to_end()
        with log.open("ab") as file:
            file.write(b"one ")
        log.rename(tmp_path / "log.1")
        log.write_bytes(b"two ")
        tail.read()
        log.unlink()
        tail.read()
    assert b"".join(seen) == b"one two "
