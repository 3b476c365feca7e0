"""All pods that a runner knows, by image."""

from collections.abc import Iterator

from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.pods.group import Group
from porchflow.functions.pods.member import FunctionPod
from porchflow.functions.pods.pod_limits import limits_of
from porchflow.functions.runner_settings import PodSettings


class Groups:
    """The groups of pods; `of` creates a missing one."""

    def __init__(self, configs: FunctionConfigs, settings: PodSettings) -> None:
        """Create an empty collection.

        Args:
            configs: FunctionConfigs, which may limit the groups.
            settings: The limits of groups without a FunctionConfig.
        """
        self._configs = configs
        self._settings = settings
        self._by_image: dict[str, Group] = {}

    def __iter__(self) -> Iterator[Group]:
        """Iterate over a copy: groups may be added and dropped meanwhile."""
        return iter(list(self._by_image.values()))

    def of(self, image: str) -> Group:
        """Return the group of an image."""
        if image not in self._by_image:
            self._by_image[image] = Group(image, limits_of(image, self._configs, self._settings))
        return self._by_image[image]

    def drop(self, group: Group) -> None:
        """Remove an idle group."""
        del self._by_image[group.image]

    def review_limits(self) -> None:
        """Apply changed FunctionConfigs to the groups; a group with other limits may start pods at once."""
        for group in self:
            limits = limits_of(group.image, self._configs, self._settings)
            if limits != group.limits:
                group.limits = limits
                group.unblock()

    def pods(self) -> list[FunctionPod]:
        """Return all pods."""
        return [pod for group in self for pod in group.pods.values()]

    def find(self, name: str) -> FunctionPod | None:
        """Return the pod with a name; None if there is none."""
        return next((pod for pod in self.pods() if pod.name == name), None)

    def trouble(self, images: list[str], old: float) -> str | None:
        """Return why some of the images have no pod that can be called; arguments and result as of `Group.trouble`."""
        found = [(image, self._by_image[image].trouble(old) if image in self._by_image else None) for image in images]
        words = "; ".join(f"{image}: {trouble}" for image, trouble in found if trouble)
        return words or (None if any(trouble is None for _, trouble in found) else "")
