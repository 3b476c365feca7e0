"""What somebody wants to have installed, and the manifests of it."""

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel, Field

from porchflow.cli.manifests.manifest_kinds import in_order
from porchflow.cli.manifests.shipped import (
    FUNCTIONS_NAMESPACE,
    NAMESPACE,
    component_names,
    composed,
    crd_manifests,
    namespace_manifests,
)
from porchflow.cli.settings import ENV_PREFIX, Settings, load_settings, settings_of
from porchflow.kube.client import Object

BESIDE_PORCH: Final = "beside-porch"
RECORD_APPROVERS: Final = "record-approvers"
"""The component whose kinds older versions of Kubernetes do not serve; it is chosen where they are served."""

ANNOTATED_ONLY: Final = f"{ENV_PREFIX}ANNOTATED_REPOSITORIES_ONLY"
_CONTRADICTIONS: Final = {
    frozenset({"webhooks", "watch-secrets"}): "the process that the Internet reaches could read every Secret: take"
    " webhooks-apart instead of webhooks",
    frozenset({"webhooks", "webhooks-apart"}): "two processes would take webhooks: choose one of them",
    frozenset({BESIDE_PORCH, "cert-manager"}): "Porch answers for package content, so there is no content API whose"
    " certificate cert-manager could make: leave cert-manager out",
}


class ChoiceError(ValueError):
    """A choice that cannot be installed; the message says how to choose."""


class Choice(BaseModel, frozen=True):
    """What is to be installed."""

    namespace: str = NAMESPACE
    """Namespace of the processes."""
    components: tuple[str, ...] = ()
    """Names of components, in the order of the alphabet."""
    without: tuple[str, ...] = ()
    """Components that are not chosen by themselves."""
    settings: Mapping[str, str] = Field(default_factory=dict)
    """Entries of the ConfigMap with the settings, by variable."""
    image: str = ""
    """Reference of the image; empty for the one that the manifests name."""

    @property
    def beside_porch(self) -> bool:
        """Whether Porch runs in the same cluster."""
        return BESIDE_PORCH in self.components

    def changed(
        self,
        *,
        components: Sequence[str] = (),
        without: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
        image: str = "",
    ) -> "Choice":
        """Return this choice with changes.

        Args:
            components: Components to add.
            without: Components to leave out.
            settings: Settings to change; an empty value takes one away.
            image: Another image; empty leaves it.

        Raises:
            ChoiceError: There is no such component or setting, or two of them contradict each other.
        """
        _refuse_unknown([*components, *without])
        both = sorted(set(components) & set(without))
        if both:
            raise ChoiceError(f"{both[0]} is both chosen and left out: name it once")
        entries = {name: value for name, value in {**self.settings, **(settings or {})}.items() if value}
        changed = Choice(
            namespace=self.namespace,
            components=tuple(sorted({*self.components, *components} - set(without))),
            without=tuple(sorted({*self.without, *without} - set(components))),
            settings=entries,
            image=image or self.image,
        )
        changed.check()
        return changed

    def check(self) -> None:
        """Check that the parts of the choice fit one another.

        Raises:
            ChoiceError: They do not.
        """
        for pair, why in _CONTRADICTIONS.items():
            if pair <= set(self.components):
                raise ChoiceError(f"components {' and '.join(sorted(pair))}: {why}")
        _check_settings(self.settings)
        if self.beside_porch and self.settings.get(ANNOTATED_ONLY, "true").lower() != "true":
            raise ChoiceError(
                f"{ANNOTATED_ONLY}={self.settings[ANNOTATED_ONLY]}: beside Porch porchflow would work on Porch's"
                " Repositories; leave the setting out"
            )

    def foundations(self) -> list[Object]:
        """Return Namespaces and CRDs, which stay when porchflow is taken away.

        Beside Porch the namespace of functions is Porch's, and so is what its pods may do.
        """
        left_out = {FUNCTIONS_NAMESPACE} if self.beside_porch else set()
        namespaces = [one for one in namespace_manifests(self.namespace) if one["metadata"]["name"] not in left_out]
        return namespaces + crd_manifests()

    def manifests(self) -> list[Object]:
        """Return all else, in the order in which it is applied."""
        whole = composed(self.components, settings=self.settings, image=self.image, namespace=self.namespace)
        return in_order(whole)


def _refuse_unknown(names: Sequence[str]) -> None:
    known = component_names()
    for name in names:
        if name not in known:
            raise ChoiceError(f"there is no component {name!r}: choose among {', '.join(known)}")


def _check_settings(settings: Mapping[str, str]) -> None:
    known = {setting.variable: setting for setting in settings_of(Settings).values()}
    for name in settings:
        if name not in known:
            raise ChoiceError(f"there is no setting {name!r}: docs/reference/configuration.md lists all")
        if known[name].is_secret:
            raise ChoiceError(f"{name} is a secret, which every reader of a ConfigMap would see: put it into a Secret")
    load_settings({known[name].name: value for name, value in settings.items()})
