"""From an object to its run in Temporal's UI."""

from urllib.parse import quote


def run_url(ui: str, namespace: str, workflow: str, run: str) -> str:
    """Return the address of a run in Temporal's UI; empty where the UI has no address.

    Args:
        ui: Address of the UI; empty for none.
        namespace: Temporal namespace.
        workflow: Id of the workflow.
        run: Id of the run.
    """
    if not (ui and run):
        return ""
    place = "/".join(quote(part, safe="") for part in (workflow, run))
    return f"{ui.rstrip('/')}/namespaces/{quote(namespace, safe='')}/workflows/{place}/history"
