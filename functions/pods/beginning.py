"""What must be known before pods are started: those there are already, and the template they are made from."""

import logging
from collections.abc import Callable

from porchflow.functions.pods.background import Background
from porchflow.functions.pods.cluster import Cluster, ClusterError, Manifest
from porchflow.functions.pods.template import default_template

_log = logging.getLogger(__name__)


class Beginning:
    """Whether all is known, and what is in the way; makes the template where there is none.

    Attributes:
        listed: whether all pods that there are were told.
        obstacle: what keeps the pods or the PodTemplate from being told; empty if nothing does.
    """

    def __init__(self, cluster: Cluster, wrapper_image: str, background: Background) -> None:
        """Take where the template is made, the image with the wrapper server, and what works in the background."""
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
        """Whether pods may be started; once so, always so."""
        return self._known

    def set_template(self, template: Manifest | None) -> None:
        """There is a PodTemplate, or none: then it is made, and the watch will tell."""
        self._lacks_template = template is None
        self.make_template()

    def make_template(self) -> None:
        """Make the PodTemplate if there is none."""
        if self._lacks_template:
            self._background.spawn(self._create_template())

    def check(self, template: Manifest) -> bool:
        """Whether all is known from now on, and was not before."""
        if not self.listed or not template or self._known:
            return False
        self._known = True
        return True

    def trouble(self) -> str:
        """What is in the way of knowing all; empty if nothing is, as far as we know."""
        if self.is_known:
            return ""
        if self._lacks_template and self._template_problem:
            return f"there is no pod template, and it cannot be created: {self._template_problem}"
        return self.obstacle()

    def problem(self) -> str:
        """Why no pod can be started; empty once all is known."""
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
