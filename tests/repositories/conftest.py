from tests.activities.conftest import world

__all__ = ["world"]
