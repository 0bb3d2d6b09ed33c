"""What was archived cannot be read, is damaged, or tells too much: told, never taken for nothing."""

import hashlib
import json
import os

import pytest

from ota.evidence import baseline
from ota.evidence.archive import FOLDER, KEPT, POINTER, SPARED_S, retire
from ota.evidence.capture import archive_capture
from ota.evidence.snapshot import FOLDER as CONTRACTS

pytestmark = pytest.mark.edge

CONTRACT = "version: 1\nproject: {name: shop}\ntasks: {a: {run: a}}\n"


@pytest.fixture
def repo(project):
    return project({"ota.yaml": CONTRACT, ".gitignore": ".ota/\n"})


def archived(repo, *flags):
    return repo.run("receipt", "--archive", "--json", *flags).json


@pytest.mark.parametrize(
    "words",
    [
        ("--history",),
        *(
            (flag, each)
            for flag in ("--show", "--snapshot", "--baseline")
            for each in ("latest", "promoted", "x")
        ),
    ],
    ids=" ".join,
)
def test_a_folder_that_cannot_be_read_is_not_an_empty_one(repo, words):
    (repo.path / ".ota").mkdir()
    (repo.path / FOLDER).symlink_to("receipts")  # nobody can follow it, whoever asks
    done = repo.run("receipt", *words)
    assert done.code == 1
    told = done.out + done.err
    assert "go round in circles" in told
    assert "OTA_BUG" not in repo.run("receipt", *words, "--json").out


@pytest.mark.parametrize("flag", ["--show", "--snapshot", "--baseline"])
def test_a_name_no_file_can_have_is_refused(repo, flag):
    (repo.path / FOLDER).mkdir(parents=True)
    done = repo.run("receipt", flag, "x" * 300)
    assert (done.code, "the name is too long" in " ".join((done.out + done.err).split())) == (1, True), done


def test_a_promoted_archive_is_that_of_the_repository(repo):
    promoted = archived(repo, "--promote-baseline")["promoted_baseline"]
    name = promoted["archive_path"].rpartition("/")[2]
    repo.write({name: "{}"})
    done = repo.run("receipt", "--baseline", "promoted", "--json")
    assert (done.code, done.json["baseline"]["archive_path"]) == (0, promoted["archive_path"])
    assert repo.run("receipt", "--snapshot", "promoted").code == 0


@pytest.mark.parametrize("content", ["[1,2]\n", "no JSON"])
def test_a_snapshot_that_holds_no_contract_ends_no_comparison(repo, content):
    archive = repo.path / archived(repo, "--promote-baseline")["archive_path"]
    document = json.loads(archive.read_text())
    hash_ = hashlib.sha256(content.encode()).hexdigest()
    document["receipt"]["contract_snapshot_hash"] = f"sha256:{hash_}"
    archive.write_text(json.dumps(document))
    repo.write({f"{CONTRACTS}/sha256-{hash_}.json": content})
    done = repo.run("receipt", "--baseline", "promoted", "--json")
    assert (done.code, done.json["summary"]["comparison"]["contract_snapshot_changed"]) == (0, True)
    shown = repo.run("receipt", "--snapshot", "promoted")
    assert (shown.code, "is no contract snapshot" in shown.out + shown.err) == (1, True)


def test_what_became_a_secret_is_masked_in_what_the_contract_was(repo):
    long = "x" * 195 + "hunter2hunter2"
    repo.write({"ota.yaml": f"{CONTRACT}metadata: {{key: hunter2hunter2, note: {long}}}\n"})
    archived(repo, "--promote-baseline")
    repo.write(
        {
            "ota.yaml": f"{CONTRACT}env: {{vars: {{KEY: {{secret: true}}}}, "
            "sources: [{kind: dotenv, path: .env}]}\n",
            ".env": "KEY=hunter2hunter2\n",
        }
    )
    for words in (("--baseline", "promoted"), ("--snapshot", "promoted")):
        for flags in ((), ("--json",)):
            done = repo.run("receipt", *words, *flags)
            assert (done.code, "hunter" in done.out, "***" in done.out) == (0, False, True), done


def test_contracts_go_with_the_last_archive_about_them(tmp_path):
    folder, contracts = tmp_path / FOLDER, tmp_path / CONTRACTS
    folder.mkdir(parents=True)
    contracts.mkdir(parents=True)
    hashes = [hashlib.sha256(bytes([number])).hexdigest() for number in range(KEPT + 3)]
    for number, hash_ in enumerate(hashes):
        receipt = {"receipt": {"contract_snapshot_hash": f"sha256:{hash_}"}}
        (folder / f"repo-receipt-20260101-0000{number:02d}-000Z.json").write_text(json.dumps(receipt))
        stored = contracts / f"sha256-{hash_}.json"
        stored.write_text("{}")
        if number != 1:  # which somebody has just stored again
            os.utime(stored, (stored.stat().st_mtime - 2 * SPARED_S,) * 2)
    (contracts / "notes.txt").write_text("somebody's own")
    (folder / POINTER).write_text(json.dumps({"archive_file": "repo-receipt-20260101-000000-000Z.json"}))
    retire(tmp_path)
    left = {each.name for each in contracts.iterdir()}
    kept = {f"sha256-{each}.json" for each in (hashes[0], hashes[1], *hashes[3:])}
    assert left == {*kept, "notes.txt"}


def test_an_archive_stands_although_older_ones_could_not_be_retired(repo):
    for number in range(KEPT):
        (repo.path / FOLDER / f"repo-receipt-20200101-0000{number:02d}-000Z.json").mkdir(parents=True)
    done = repo.run("receipt", "--archive", "--promote-baseline", "--json")
    assert (done.code, done.json["mode"]) == (0, "receipt"), done.json["findings"]
    assert (repo.path / done.json["archive_path"]).is_file()


def test_an_interrupt_after_the_promotion_leaves_what_it_names(tmp_path, monkeypatch):
    from ota.contract.load import load

    (tmp_path / "ota.yaml").write_text(CONTRACT)
    loaded = load(tmp_path / "ota.yaml", "./ota.yaml")
    promote = baseline.promote

    def interrupted(root, document):
        promote(root, document)
        raise KeyboardInterrupt

    monkeypatch.setattr(baseline, "promote", interrupted)
    with pytest.raises(KeyboardInterrupt):
        archive_capture({"receipt": {"contract": "ota.yaml"}}, loaded, promotes=True)
    pointer = json.loads((tmp_path / FOLDER / POINTER).read_text())
    assert (tmp_path / FOLDER / pointer["archive_file"]).is_file()
