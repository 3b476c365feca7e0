"""The namespaces, repositories, people and objects of a soak: the same in every run."""

from dataclasses import dataclass

from porchflow.api.names import object_name

WATCHED_SECONDS = 20
"""Seconds between two looks at the refs of a Repository: a push whose notice is lost in a fault is found by it."""
APPROVER = "cleo"
AUTHORS = ("ada", "ben")
ADMINISTRATOR = "admin"


@dataclass(frozen=True, order=True)
class Place:
    """A Repository object, and where it leads.

    Attributes:
        namespace: Of the Repository.
        repository: Its name.
        git: Name of the Git repository.
        directory: Of the packages in it; empty for its root.
    """

    namespace: str
    repository: str
    git: str
    directory: str = ""

    def path(self, package: str) -> str:
        """Return the folder of a package in Git, which begins the names of its refs."""
        return f"{self.directory}/{package}" if self.directory else package

    def __str__(self) -> str:
        return f"{self.namespace}/{self.repository}"


PLACES = (
    Place("soak-a", "blueprints", "shared", "catalog"),
    Place("soak-a", "apps", "apps-a"),
    Place("soak-b", "blueprints", "shared", "library"),
    Place("soak-b", "apps", "apps-b", "team/apps"),
)
"""Two namespaces share a Git repository, in folders of their own: their pushes meet."""
NAMESPACES = tuple(dict.fromkeys(place.namespace for place in PLACES))
GIT_REPOSITORIES = tuple(dict.fromkeys(place.git for place in PLACES))


@dataclass(frozen=True, order=True)
class Key:
    """A PackageRevision.

    Its refs are written down here, and not taken from `gitrepo`: what is checked must not be its own measure.
    """

    place: Place
    package: str
    workspace: str

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return self.place.namespace

    @property
    def name(self) -> str:
        """Its name."""
        return object_name(self.place.repository, self.package, self.workspace)

    @property
    def path(self) -> str:
        """The folder of its package in Git."""
        return self.place.path(self.package)

    @property
    def draft(self) -> str:
        """Its branch while it is a draft."""
        return f"refs/heads/drafts/{self.path}/{self.workspace}"

    @property
    def proposal(self) -> str:
        """Its branch while it is proposed."""
        return f"refs/heads/proposed/{self.path}/{self.workspace}"

    def tag(self, number: int) -> str:
        """Return its tag."""
        return f"refs/tags/{self.path}/v{number}"

    def mark(self, number: int) -> str:
        """Return the branch that marks it for deletion."""
        return f"refs/heads/deletionProposed/{self.path}/v{number}"

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
