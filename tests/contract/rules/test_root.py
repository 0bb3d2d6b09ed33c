"""Root rules, each broken alone."""

import pytest

from contract.rules.table import Case, only, prove, told

CASES = (
    Case("V001", "version", "version: 2\nproject: {name: a}\n", "version: 1\nproject: {name: a}\n"),
    Case("V002", "project.name", 'version: 1\nproject: {name: " "}\n', "version: 1\nproject: {name: a}\n"),
    Case(
        "V003",
        "metadata.ota.minimum_version",
        'metadata: {ota: {minimum_version: "1.6"}}\n',
        'metadata: {ota: {minimum_version: "1.6.16"}}\n',
    ),
    Case(
        "V003",
        "metadata.ota.minimum_version",
        "metadata: {ota: {minimum_version: 1.6}}\n",
        "metadata: {ota: {minimum_version: 1.6.16}}\n",
    ),
    Case("V006", "policies.env", "policies: {env: {}}\n", "policies: {review: {}}\n"),
    Case("V007", "policies.version_policy", "policies: {version_policy: {}}\n", "policies: {x: 1}\n"),
    Case("V008", "policies.provisioning", "policies: {provisioning: {}}\n", "policies: {x: 1}\n"),
    Case("V009", "policies.adapter_bootstrap", "policies: {adapter_bootstrap: {}}\n", "policies: {x: 1}\n"),
    Case(
        "V010",
        "workspace.members",
        "workspace: {type: monorepo, members: []}\n",
        "workspace: {type: monorepo, members: [a]}\n",
    ),
    Case(
        "V011",
        "workspace.members[1]",
        'workspace: {type: monorepo, members: [a, ""]}\n',
        "workspace: {type: monorepo, members: [a, b]}\n",
    ),
    *(
        Case(
            "V011",
            "workspace.members[1]",
            f"workspace: {{type: monorepo, members: [a, '{member}']}}\n",
            "workspace: {type: monorepo, members: [a, ./..b/]}\n",
        )
        for member in (".", "./", "/etc", "../a", "b/../../a")
    ),
    Case(
        "V012",
        "workspace.members[1]",
        "workspace: {type: monorepo, members: [a, ./a/]}\n",
        "workspace: {type: monorepo, members: [a, a/b]}\n",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_root_rule_is_broken_alone(case: Case) -> None:
    prove(case)


def test_a_newer_minimum_version_is_told_before_any_rule() -> None:
    found = told("version: 7\nproject: {name: a}\nmetadata: {ota: {minimum_version: 99.0.0}}\n")
    assert [finding.code for finding in found] == ["OTA_V004"]


def test_org_policy_keys_name_the_file_they_belong_to() -> None:
    assert ".ota/org-policy.yaml" in only("policies: {provisioning: {}}\n").next
