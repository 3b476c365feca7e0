"""Targets: bodies and selectors of requests, webhooks, schedules."""

import json

from porchflow.api.crontab import InvalidSchedule, parse_crontab
from porchflow.content.packages.bodies import APPLY_PATCH
from porchflow.content.packages.bodies import parse as parse_body
from porchflow.content.refusals import ApiError
from porchflow.content.serving.selectors import read_selection
from porchflow.watcher.webhooks.payloads import Refused, read_push
from porchflow.yamltext.yaml_error import YamlError
from tests.fuzz.targets import Target, text_of


def _webhook(data: bytes) -> None:
    kinds = ("X-GitHub-Event", "X-Gitlab-Event", "X-Gitea-Event", "X-Event-Key")
    head, _, body = data.partition(b"\n")
    read_push({kinds[len(head) % len(kinds)]: text_of(head) or "push"}, body)


def _selector(data: bytes) -> None:
    fields, _, labels = text_of(data).partition("\n")
    read_selection({"fieldSelector": fields, "labelSelector": labels})


TARGETS = {
    "webhook": Target(_webhook, (Refused,)),
    "content-body": Target(lambda data: parse_body(data, APPLY_PATCH), (ValueError, RecursionError, YamlError)),
    "content-json": Target(lambda data: json.dumps(parse_body(data, "application/json")), (ValueError, RecursionError)),
    "content-selector": Target(_selector, (ApiError,)),
    "schedule": Target(lambda data: parse_crontab(text_of(data)), (InvalidSchedule,)),
}
