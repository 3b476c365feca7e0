from tests.functions.lists import items, results, run, said
from tests.functions.packages import CONFIG_MAP, DEPLOYMENT

LOCAL = CONFIG_MAP.replace("annotations:\n", 'annotations:\n    config.kubernetes.io/local-config: "True"\n')
KPTFILE = "apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata:\n  name: p\n  annotations:\n"
KPTFILE += '    config.kubernetes.io/local-config: "true"\n'


def test_local_configuration_is_removed_but_for_the_kptfile() -> None:
    reply = run("remove-local-config-resources", KPTFILE, DEPLOYMENT, LOCAL)
    assert items(reply) == [KPTFILE, DEPLOYMENT]
    assert said(reply) == ["info: Number of resources pruned: 1", "info: Resource name: [cfg]"]
    assert results(reply)[1]["file"] == {"path": "d/b.yaml"}


def test_nothing_to_remove_is_said() -> None:
    reply = run("remove-local-config-resources", DEPLOYMENT)
    assert items(reply) == [DEPLOYMENT]
    assert said(reply) == ["warning: Found no resources to prune with the local config annotation"]
