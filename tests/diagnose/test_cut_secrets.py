"""What a check or a service's question printed is shortened; nothing of a secret is left at the cut."""

import pytest

SECRET = "Zq7/+k:w@y%3tr_123456789x" * 10
CONTRACT = """
version: 1
project: {name: shop}
env: {vars: {TOKEN: {required: true, secret: true}}}
checks:
  - {name: login, kind: health, severity: error, run: 'echo "denied: $TOKEN"; exit 1'}
services:
  db:
    required: true
    start: "true"
    healthcheck: 'echo "denied: $TOKEN"; exit 1'
    timeout: 500
tasks:
  go: {run: "true", requires_services: [db]}
workflows: {default: work, work: {run: {task: go}}}
"""


@pytest.mark.parametrize("padding", ["", "x" * 90])
def test_a_secret_that_the_cut_falls_into_is_shown_nowhere(project, padding):
    repo = project({"ota.yaml": CONTRACT.replace("denied: ", f"denied: {padding}")})
    commands = [
        [name, *more]
        for name in ("check", "doctor", "explain", "receipt")
        for more in ([], ["--json"])
        if name != "explain" or not more
    ]
    for words in [*commands, ["receipt", "--archive"]]:
        done = repo.run(*words, env={"TOKEN": SECRET})
        assert SECRET[:6] not in done.out + done.err, words
        assert f"denied: {padding}***" in done.out + done.err or words[0] == "receipt", words
    archived = [path.read_text() for path in repo.path.glob(".ota/receipts/*.json")]
    assert archived
    assert not [text for text in archived if SECRET[:6] in text]
