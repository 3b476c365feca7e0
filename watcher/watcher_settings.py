"""Settings of the watcher."""

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, Field, SecretStr

from porchflow.api.host_port import HostPort

WEBHOOK_PATH: Final = "/webhooks"
"""Path at which the watcher takes webhooks; the namespace and name of a Repository may follow."""


class WatcherSettings(BaseModel, frozen=True):
    """What is watched, how often everything is looked at again, and where forges tell about pushes."""

    watch_secrets: bool = Field(
        default=False,
        description="whether a changed Secret wakes at once what stalled on it, not only the next sync of its"
        " Repository; needs the right to list and watch Secrets, which lets its holder read them",
    )
    webhook_address: HostPort = Field(
        "",
        description="host:port where the watcher takes push webhooks of GitHub, GitLab and Gitea; unset means none;"
        " their secret is read from PORCHFLOW_WEBHOOK_SECRET",
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="secret of these webhooks; several, separated by commas, while they are changed"
    )
    signals_in_flight: int = Field(32, ge=1, le=1000, description="calls of the watcher to Temporal at once")
    sync_seconds: float = Field(
        300.0, ge=1, description="seconds between two looks at the refs of a Repository without a schedule of its own"
    )
    relist_seconds: float = Field(
        600.0,
        gt=0,
        description="seconds after which the watcher lists everything again and signals what is not converged",
    )

    @property
    def webhook_secrets(self) -> Sequence[str]:
        """Secrets of webhooks; a request signed with any of them is taken."""
        words = self.webhook_secret.get_secret_value().replace("\n", ",").split(",")
        return [word.strip() for word in words if word.strip()]
