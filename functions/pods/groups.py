"""All pods that a runner knows, by image and owner."""

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
        self._by_key: dict[tuple[str, str], Group] = {}

    def __iter__(self) -> Iterator[Group]:
        """Iterate over a copy: groups may be added and dropped meanwhile."""
        return iter(list(self._by_key.values()))

    def of(self, image: str, owner: str = "") -> Group:
        """Return the group of an image, for an owner or for all."""
        key = (image, owner)
        if key not in self._by_key:
            self._by_key[key] = Group(image, limits_of(image, self._configs, self._settings), owner)
        return self._by_key[key]

    def of_pod(self, pod: FunctionPod) -> Group:
        """Return the group of a pod."""
        return self.of(pod.image, pod.owner)

    def drop(self, group: Group) -> None:
        """Remove an idle group."""
        del self._by_key[(group.image, group.owner)]

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
        """Return why some of the images have no pod for all; arguments and result as of `Group.trouble`."""
        groups = [(image, self._by_key.get((image, ""))) for image in images]
        found = [(image, group.trouble(old) if group is not None else None) for image, group in groups]
        words = "; ".join(f"{image}: {trouble}" for image, trouble in found if trouble)
        return words or (None if any(trouble is None for _, trouble in found) else "")
