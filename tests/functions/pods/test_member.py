import pytest

from porchflow.functions.pods.member import FunctionPod, Standing


def pod(standing: Standing) -> FunctionPod:
    made = FunctionPod({"metadata": {"name": "p", "uid": "u"}, "spec": {"containers": []}}, now=0.0)
    made.standing = standing
    return made


@pytest.mark.parametrize(
    ("before", "fits", "ours", "after"),
    [
        (Standing.FOREIGN, True, False, Standing.CURRENT),
        (Standing.FOREIGN, False, False, Standing.FOREIGN),
        (Standing.FOREIGN, False, True, Standing.OUTDATED),
        (Standing.CURRENT, False, False, Standing.OUTDATED),
        (Standing.OUTDATED, False, False, Standing.OUTDATED),
        (Standing.OUTDATED, True, False, Standing.CURRENT),
        (Standing.DOOMED, True, True, Standing.DOOMED),
        (Standing.GONE, True, True, Standing.GONE),
    ],
)
def test_what_a_pod_is_after_its_settings_were_looked_at(
    before: Standing, fits: bool, ours: bool, after: Standing
) -> None:
    judged = pod(before)
    judged.judge(fits=fits, ours=ours)
    assert judged.standing is after
    assert judged.is_live == (after is Standing.CURRENT)
