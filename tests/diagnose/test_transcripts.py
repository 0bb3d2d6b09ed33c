"""What people see of a diagnosis, compared with files that are reviewed as diffs."""

import pytest

from cli.transcripts import assert_transcript

pytestmark = pytest.mark.edge

CONTRACT = """\
version: 1
project: {name: shop}
tools:
  absent-tool: '>=3'
  absent-too: {version: '1', required: false}
env:
  vars:
    DATABASE_URL: {required: true}
    MODE: {default: fast, allowed: [quick, slow]}
  sources: [{kind: dotenv, path: .env}]
checks:
  - {name: config-valid, kind: precondition, severity: error, run: echo 'no config' >&2; exit 4}
  - {name: built, kind: file, severity: warn, path: dist, expect: directory}
  - {name: backend-up, kind: health, severity: error, probe: backend}
readiness:
  probes:
    backend: {kind: http, url: 'http://127.0.0.1:1/healthz', timeout: 1s}
services:
  queue: {required: true, start: 'true'}
tasks:
  setup: {run: 'true'}
  api: {run: 'true', safe_for_agent: true}
workflows:
  backend:
    description: The API alone
    run: {task: api}
    readiness: {probes: [backend]}
  quiet: {run: {task: api}, readiness: {checks: [built]}}
agent:
  entrypoint: api
  safe_tasks: [api]
  writable_paths: [src]
"""


@pytest.fixture
def repo(project):
    return project({"ota.yaml": CONTRACT, ".env": "DATABASE_URL=postgres://db/shop\n"}, git=True)


def test_check(repo):
    assert_transcript(
        "check", repo, "check", "check --workflow backend", "check --workflow quiet", "--concise check"
    )


def test_doctor(repo):
    assert_transcript(
        "doctor", repo, "doctor", "doctor --workflow quiet", "doctor --fix --dry-run --workflow quiet"
    )


def test_explain(repo):
    assert_transcript("explain", repo, "explain", "explain --workflow quiet --json")


def test_doctor_without_a_contract(project):
    assert_transcript("doctor-contractless", project({"notes.txt": ""}), "doctor .", "doctor . --json")
