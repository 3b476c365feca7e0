"""The API's schema, for `kubectl explain` and for clients that validate before they send: OpenAPI 2 and 3."""

import copy
from typing import Any, Final

from porchflow.api.names import (
    PACKAGE_REVISION_RESOURCES_KIND,
    PACKAGE_REVISION_RESOURCES_PLURAL,
    PORCH_GROUP,
)
from porchflow.content.packages.bodies import PATCH_TYPES
from porchflow.content.serving.requests import ROOT, VERSION

_KIND: Final = PACKAGE_REVISION_RESOURCES_KIND
_PREFIX: Final = "dev.kpt.porch.v1alpha1."
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_GVK: Final = {"group": PORCH_GROUP, "version": VERSION, "kind": _KIND}

Schema = dict[str, Any]


def _text(description: str, **more: Any) -> Schema:  # noqa: ANN401 - JSON
    return {"type": "string", "description": description, **more}


def _object(description: str, properties: Schema, **more: Any) -> Schema:  # noqa: ANN401 - JSON
    return {"type": "object", "description": description, "properties": properties, **more}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


_TYPE_META: Final = {
    "apiVersion": _text("APIVersion of the object: porch.kpt.dev/v1alpha1."),
    "kind": _text("Kind of the object."),
}

_STRINGS: Final = {"type": "object", "additionalProperties": {"type": "string"}}

_OBJECT_META: Final = _object(
    "Metadata that all objects have. The resourceVersion is the Git commit that holds the content.",
    {
        "name": _text("Name of the package revision: repository.package.workspace."),
        "namespace": _text("Namespace of the package revision."),
        "uid": _text("Derived from namespace and name; it is not the uid of the PackageRevision."),
        "resourceVersion": _text("The version that was read; an update of another version is a conflict."),
        "creationTimestamp": _text("When the PackageRevision was created.", format="date-time"),
        "labels": {**_STRINGS, "description": "Labels of the PackageRevision; change them there."},
        "annotations": {**_STRINGS, "description": "The files that are not shown, and marks of a watch."},
    },
)

_LIST_META: Final = _object(
    "Metadata of a list.",
    {
        "resourceVersion": _text("A watch can start from it."),
        "continue": _text("Asks for the next page."),
        "remainingItemCount": {"type": "integer", "format": "int64", "description": "How many follow this page."},
    },
)

_SPEC: Final = _object(
    "The package revision and its content.",
    {
        "packageName": _text("Path of the package below the repository's directory. Cannot be changed."),
        "workspaceName": _text("Name of the line of work. Cannot be changed."),
        "revision": {
            "type": "integer",
            "format": "int32",
            "description": "Number of the published revision; 0 before, -1 for the content of the main branch.",
        },
        "repository": _text("Name of the Repository. Cannot be changed."),
        "resources": {
            **_STRINGS,
            "description": "The files of the package: text by path below the package's directory. An update replaces"
            " all of them; it needs a Kptfile at the root, and a package revision that is a Draft.",
        },
        "resourcePaths": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The paths of the files, in place of resources, where the name is followed by ?path-only.",
        },
    },
)

_STATUS: Final = _object(
    "Always empty: content is rendered after the push, and the PackageRevision's conditions report it.",
    {
        "renderStatus": _object(
            "Always empty.",
            {
                "error": _text("Always empty."),
                "result": {
                    "type": "object",
                    "description": "Always empty.",
                    "x-kubernetes-preserve-unknown-fields": True,
                },
            },
        )
    },
)

_DEFINITIONS: Final[Schema] = {
    f"{_PREFIX}{_KIND}": _object(
        "PackageRevisionResources is the content of a package revision. Reading shows it as it is in Git; writing it"
        " makes a commit on the draft, which is then rendered.",
        {
            **_TYPE_META,
            "metadata": _ref(_META + "ObjectMeta"),
            "spec": _ref(f"{_PREFIX}{_KIND}Spec"),
            "status": _ref(f"{_PREFIX}{_KIND}Status"),
        },
        **{"x-kubernetes-group-version-kind": [_GVK]},
    ),
    f"{_PREFIX}{_KIND}List": _object(
        "A list of PackageRevisionResources.",
        {
            **_TYPE_META,
            "metadata": _ref(_META + "ListMeta"),
            "items": {"type": "array", "items": _ref(f"{_PREFIX}{_KIND}"), "description": "The objects."},
        },
        required=["items"],
        **{"x-kubernetes-group-version-kind": [{**_GVK, "kind": f"{_KIND}List"}]},
    ),
    f"{_PREFIX}{_KIND}Spec": _SPEC,
    f"{_PREFIX}{_KIND}Status": _STATUS,
    _META + "ObjectMeta": _OBJECT_META,
    _META + "ListMeta": _LIST_META,
}

_LIST_PARAMETERS: Final = (
    ("labelSelector", "string"),
    ("fieldSelector", "string"),
    ("limit", "integer"),
    ("continue", "string"),
    ("watch", "boolean"),
    ("allowWatchBookmarks", "boolean"),
    ("sendInitialEvents", "boolean"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("timeoutSeconds", "integer"),
)
_WRITE_PARAMETERS: Final = (("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"))
_PATCH_PARAMETERS: Final = (*_WRITE_PARAMETERS, ("force", "boolean"))

_OPERATIONS: Final = (
    # path, method, action, query parameters, type of the answer
    ("", "get", "list", _LIST_PARAMETERS, f"{_KIND}List"),
    ("/namespaces/{namespace}", "get", "list", _LIST_PARAMETERS, f"{_KIND}List"),
    ("/namespaces/{namespace}/{name}", "get", "get", (), _KIND),
    ("/namespaces/{namespace}/{name}", "put", "put", _WRITE_PARAMETERS, _KIND),
    ("/namespaces/{namespace}/{name}", "patch", "patch", _PATCH_PARAMETERS, _KIND),
)


def openapi_v2() -> Schema:
    """Return the answer of `/openapi/v2`."""
    paths: Schema = {}
    for where, method, action, query, answer in _OPERATIONS:
        parameters: list[Schema] = [
            {"in": "query", "name": name, "type": kind, "uniqueItems": True} for name, kind in query
        ]
        if method in {"put", "patch"}:
            body = _ref(f"{_PREFIX}{_KIND}") if method == "put" else {"type": "object"}
            parameters.append({"in": "body", "name": "body", "required": True, "schema": body})
        operation = {
            **_operation(where, action),
            "consumes": list(PATCH_TYPES) if method == "patch" else ["*/*"],
            "produces": ["application/json"],
            "schemes": ["https"],
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "schema": _ref(f"{_PREFIX}{answer}")}},
        }
        names = [{"in": "path", "name": name, "type": "string", "required": True} for name in _path_names(where)]
        item = paths.setdefault(_path(where), {"parameters": names} if names else {})
        item[method] = operation
    return {
        "swagger": "2.0",
        "info": {"title": "porchflow content API", "version": VERSION},
        "paths": paths,
        "definitions": copy.deepcopy(_DEFINITIONS),
    }


def openapi_v3() -> Schema:
    """Return the answer of `/openapi/v3/apis/porch.kpt.dev/v1alpha1`."""
    paths: Schema = {}
    for where, method, action, query, answer in _OPERATIONS:
        operation = {
            **_operation(where, action),
            "parameters": [{"in": "query", "name": name, "schema": {"type": kind}} for name, kind in query],
            "responses": {"200": {"description": "OK", "content": _content(["application/json"], answer)}},
        }
        if method in {"put", "patch"}:
            types = list(PATCH_TYPES) if method == "patch" else ["*/*"]
            operation["requestBody"] = {"required": True, "content": _content(types, _KIND)}
        names = [
            {"in": "path", "name": name, "required": True, "schema": {"type": "string"}} for name in _path_names(where)
        ]
        item = paths.setdefault(_path(where), {"parameters": names} if names else {})
        item[method] = operation
    return {
        "openapi": "3.0.0",
        "info": {"title": "porchflow content API", "version": VERSION},
        "paths": paths,
        "components": {"schemas": _v3(_DEFINITIONS)},
    }


def openapi_v3_index(digest: str) -> Schema:
    """Return the answer of `/openapi/v3`: the path of each group's schema."""
    name = f"apis/{PORCH_GROUP}/{VERSION}"
    return {"paths": {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}}}


def _operation(where: str, action: str) -> Schema:
    scope = "Namespaced" if where else "AllNamespaces"
    return {
        "operationId": f"{action}PorchV1alpha1{scope}{_KIND}{'List' if action == 'list' else ''}",
        "description": f"{action} {PACKAGE_REVISION_RESOURCES_PLURAL}",
        "tags": ["porch_v1alpha1"],
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _GVK,
    }


def _path(where: str) -> str:
    folder, slash, name = where.partition("/{name}")
    return f"{ROOT}{folder}/{PACKAGE_REVISION_RESOURCES_PLURAL}{slash}{name}"


def _path_names(where: str) -> list[str]:
    return [name for name in ("namespace", "name") if f"{{{name}}}" in where]


def _content(types: list[str], name: str) -> Schema:
    return {each: {"schema": {"$ref": f"#/components/schemas/{_PREFIX}{name}"}} for each in types}


def _v3(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return definitions in the form of version 3: references lead to another place, and have no siblings."""
    if isinstance(value, dict):
        return {key: _v3(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_v3(each) for each in value]
    if isinstance(value, str):
        return value.replace("#/definitions/", "#/components/schemas/")
    return value
