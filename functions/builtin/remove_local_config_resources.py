"""remove-local-config-resources v0.1: removes resources that are never applied to a cluster.

Other than in the catalog, the Kptfile stays: a package without it is no package, so its annotation is no wish to remove
it.

Source: docs/reference/kpt-functions.md, "remove-local-config-resources".
"""

from porchflow.functions.builtin.toolkit.sdk import LOCAL_CONFIG, Call, Item


def run(call: Call) -> None:
    """Remove every item annotated as local configuration."""
    kept = [item for item in call.items if not _is_pruned(item)]
    pruned = [item for item in call.items if _is_pruned(item)]
    if not pruned:
        call.say("Found no resources to prune with the local config annotation", "warning")
        return
    call.say(f"Number of resources pruned: {len(pruned)}", "info")
    for item in pruned:
        call.say(f"Resource name: [{item.name}]", "info", file={"path": item.path})
    call.items[:] = kept


def _is_pruned(item: Item) -> bool:
    is_kptfile = item.kind == "Kptfile" and item.group == "kpt.dev"
    return str(item.annotations.get(LOCAL_CONFIG, "")).lower() == "true" and not is_kptfile
