import pytest

from porchflow.activities.run_links import run_url


@pytest.mark.parametrize(
    ("ui", "namespace", "workflow", "url"),
    [
        ("https://t.example.com", "default", "w", "https://t.example.com/namespaces/default/workflows/w/r/history"),
        (
            "http://t/",
            "a.b",
            "i/packagerevision/n/x",
            "http://t/namespaces/a.b/workflows/i%2Fpackagerevision%2Fn%2Fx/r/history",
        ),
        ("https://t/ui", "n m", "w?#", "https://t/ui/namespaces/n%20m/workflows/w%3F%23/r/history"),
        ("", "default", "w", ""),
    ],
)
def test_a_run_has_an_address_where_the_ui_has_one(ui: str, namespace: str, workflow: str, url: str) -> None:
    assert run_url(ui, namespace, workflow, "r") == url
    assert run_url(ui, namespace, workflow, "") == ""
