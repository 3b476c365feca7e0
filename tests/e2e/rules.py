"""The rules that the conditions of every object keep to at any moment (style reference: conditions/check, kstatus)."""

from typing import Any

ABNORMAL_TRUE = ("Reconciling", "Stalled", "Suspended")


def check_rules(obj: dict[str, Any]) -> None:
    """Fail with the rule that an object's status breaks."""
    status = obj.get("status") or {}
    conditions = status.get("conditions", [])
    kinds = [condition["type"] for condition in conditions]
    by_type = {condition["type"]: condition for condition in conditions}
    name, generation = obj["metadata"]["name"], obj["metadata"]["generation"]

    assert len(kinds) == len(set(kinds)), f"{name}: a condition stands twice: {kinds}"
    assert "Ready" in by_type, f"{name}: Ready is missing"
    for kind in ABNORMAL_TRUE:
        assert by_type.get(kind, {"status": "True"})["status"] == "True", f"{name}: {kind} exists while not True"
    assert len({*ABNORMAL_TRUE} & {*kinds}) <= 1, f"{name}: {kinds} at once"
    if by_type["Ready"]["status"] == "True":
        assert not {*ABNORMAL_TRUE} & {*kinds}, f"{name}: Ready while {kinds}"
        assert by_type.get("Rendered", {"status": "True"})["status"] != "False", f"{name}: Ready but not Rendered"
    if "Stalled" in by_type:
        assert by_type["Stalled"]["reason"] == by_type["Ready"]["reason"], f"{name}: Stalled and Ready disagree"
        assert status.get("observedGeneration") is not None, f"{name}: Stalled but no generation observed"
    assert status.get("observedGeneration", 0) <= generation, f"{name}: observed a generation that does not exist"
    for condition in conditions:
        assert condition.get("reason"), f"{name}: {condition['type']} has no reason"
        assert condition.get("lastTransitionTime"), f"{name}: {condition['type']} has no lastTransitionTime"
        assert condition.get("observedGeneration", 0) <= generation, f"{name}: {condition['type']} from the future"
        if condition["status"] == "False":
            assert condition.get("message"), f"{name}: {condition['type']} is False without a word"
