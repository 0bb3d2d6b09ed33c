"""Differences of contracts by path, and which of them may explain a finding."""

import msgspec
import pytest

from ota.env.masking import Masker
from ota.evidence.contract_changes import contract_changes, correlated


def snapshot(**sections):
    return msgspec.json.encode({"version": 1, **sections})


def changes(base, target):
    return [each.document for each in contract_changes(snapshot(**base), snapshot(**target))]


def finding(code, summary, why="", field=None):
    place = {"place": {"field": field}} if field else {}
    return {"code": code, "summary": summary, "why": why, **place}


def test_things_that_came_or_went_are_one_change_each():
    base = {"tasks": {"build": {"run": "make"}, "old": {"run": "x"}}}
    target = {
        "tasks": {"build": {"run": "make all"}, "dev": {"run": "serve"}},
        "env": {"vars": {"TOKEN": {"secret": True}}},
    }
    assert changes(base, target) == [
        {"path": "env.vars.TOKEN", "status": "add", "target": '{"secret":true}', "category": "env"},
        {
            "path": "tasks.build.run",
            "status": "change",
            "base": "make",
            "target": "make all",
            "category": "task",
        },
        {"path": "tasks.dev", "status": "add", "target": '{"run":"serve"}', "category": "task"},
        {"path": "tasks.old", "status": "remove", "base": '{"run":"x"}', "category": "task"},
    ]


def test_lists_of_named_things_go_by_name_and_workflows_stand_where_a_contract_has_them():
    one, two = {"name": "one", "run": "a"}, {"name": "two", "run": "b"}
    base = {"checks": [one, two], "workflows": {"entries": {"app": {"run": {"task": "dev"}}}}}
    target = {
        "checks": [{**two, "run": "c"}, one],
        "workflows": {"default": "app", "entries": {"app": {"run": {"task": "web"}}}},
    }
    assert [each["path"] for each in changes(base, target)] == [
        "checks.two.run",
        "workflows.app.run.task",
        "workflows.default",
    ]
    long = changes({}, {"notes": "x" * 1000})[0]
    assert (len(long["target"]), long["category"]) == (203, "contract")


@pytest.mark.parametrize(
    ("told", "expected", "word"),
    [
        (finding("OTA_TOOL_MISSING", "Missing tool: pnpm"), ["tools.pnpm"], "likely_related"),
        (
            finding("OTA_CHECK_FAILED", "Check failed: db", field="checks[0].run"),
            ["checks.db"],
            "likely_related",
        ),
        (
            finding("OTA_CHECK_FAILED", "Check failed: lint", "`pnpm lint` exited 1"),
            ["tools.pnpm", "checks.db"],
            "possibly_related",
        ),
        (finding("OTA_TOOL_MISSING", "Missing tool: npm"), ["tools.pnpm"], "possibly_related"),
        (finding("OTA_SERVICE_CHECK_FAILED", "Service is not healthy: db2"), [], "no_clear_correlation"),
        (finding("OTA_X", "x", field="tasks.dev.runtime"), ["tasks.dev"], "likely_related"),
    ],
)
def test_what_may_explain_a_finding_goes_by_path_then_name_then_family(told, expected, word):
    base = {"checks": [{"name": "db", "run": "old"}]}
    target = {
        "checks": [{"name": "db", "run": "new"}],
        "tasks": {"dev": {"run": "serve"}},
        "tools": {"pnpm": {"required": True, "version": ">=10"}},
    }
    correlation, related = correlated(contract_changes(snapshot(**base), snapshot(**target)), [told])
    assert correlation == word
    assert [each.document["path"].removesuffix(".run") for each in related] == expected


def test_nothing_introduced_explains_nothing():
    found = contract_changes(snapshot(), snapshot(tools={"pnpm": {"version": "*"}}))
    assert correlated(found, []) == ("no_clear_correlation", ())


def test_a_long_value_is_cut_and_its_masks_stay_whole():
    base, target = ({"tasks": {"a": {"run": text}}} for text in ("short", "x" * 199 + "hunter22" + "y" * 50))
    (change,) = contract_changes(snapshot(**base), snapshot(**target), Masker(["hunter22"]))
    assert change.target == "x" * 199 + "..."
