"""Conditions for starting pods: the existing pods are listed, and the PodTemplate is known."""

import logging
from collections.abc import Callable

from porchflow.functions.pods.background import Background
from porchflow.functions.pods.cluster import Cluster, ClusterError, Manifest
from porchflow.functions.pods.template import default_template

_log = logging.getLogger(__name__)


class Beginning:
    """Tracks whether pods may be started and the obstacles to it; creates a missing PodTemplate.

    Attributes:
        listed: Whether all existing pods were listed.
        obstacle: Returns why the watch has not delivered the pods or the PodTemplate; empty if it has no problem.
    """

    def __init__(self, cluster: Cluster, wrapper_image: str, background: Background) -> None:
        """Create a tracker for a cluster of which nothing is known.

        Args:
            cluster: Where a PodTemplate is created.
            wrapper_image: Image with the wrapper server, for the PodTemplate.
            background: Runs the creation.
        """
        self._cluster = cluster
        self._wrapper_image = wrapper_image
        self._background = background
        self._known = False
        self._lacks_template = False
        self._template_problem = ""
        self.listed = False
        self.obstacle: Callable[[], str] = str

    @property
    def is_known(self) -> bool:
        """Whether pods may be started; once true, it stays true."""
        return self._known

    def set_template(self, template: Manifest | None) -> None:
        """Note the PodTemplate; None means a missing one, which is created and comes back through the watch."""
        self._lacks_template = template is None
        self.make_template()

    def make_template(self) -> None:
        """Create the PodTemplate if there is none."""
        if self._lacks_template:
            self._background.spawn(self._create_template())

    def check(self, template: Manifest) -> bool:
        """Note that pods may be started, if that is so.

        Returns:
            Whether this call is the first that finds it so.
        """
        if not self.listed or not template or self._known:
            return False
        self._known = True
        return True

    def trouble(self) -> str:
        """Return the known obstacle to listing the pods or reading the PodTemplate; empty if there is none."""
        if self.is_known:
            return ""
        if self._lacks_template and self._template_problem:
            return f"there is no pod template, and it cannot be created: {self._template_problem}"
        return self.obstacle()

    def problem(self) -> str:
        """Return why no pod can be started yet; empty once pods may be started."""
        if self.is_known:
            return ""
        return self.trouble() or f"the pods of namespace {self._cluster.namespace} are not listed yet"

    async def _create_template(self) -> None:
        try:
            await self._cluster.create_template(default_template(self._wrapper_image))
        except ClusterError as error:
            self._template_problem = str(error)
            _log.warning("cannot create the pod template: %s", error)
        else:
            self._template_problem = ""
