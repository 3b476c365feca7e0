from tests.e2e.conftest import temporal, temporal_namespace

__all__ = ["temporal", "temporal_namespace"]
