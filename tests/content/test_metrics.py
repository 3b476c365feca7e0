from tests.content.direct import Direct


def counted(direct: Direct, verb: str, code: int) -> float:
    labels = {"verb": verb, "code": str(code)}
    return direct.metrics.get_sample_value("porchflow_content_request_seconds_count", labels) or 0.0


async def test_requests_are_counted_by_verb_and_answer(direct: Direct) -> None:
    assert (await direct.get("none-of-this-name")).status == 404
    assert (await direct.ask("GET", direct.path)).status == 200
    assert (await direct.ask("GET", direct.path, anonymous=True)).status == 401
    assert counted(direct, "get", 404) == 1
    assert counted(direct, "list", 200) == 1
    assert counted(direct, "unknown", 401) == 1
