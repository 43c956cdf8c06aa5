"""What the API tester can't know: which values were given out, and how a webhook is signed.

Opaque values (cursors, Positions, states for If-Match) fit their schema however they are made, but
only those that were given out are accepted. Where the tester makes one up in a request that is to be
right, it is replaced by one that was given out, or left out. In requests that are to be wrong it
stays.
"""

import hashlib
import hmac
import os
import re
import time

import schemathesis
from requests.auth import AuthBase
from schemathesis.core.parameters import ParameterLocation

given_out = {}


class SignedAsAcme(AuthBase):
    """Signs the bytes that are really sent."""

    def __call__(self, request):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        timestamp = str(int(time.time()))
        secret = os.environ["WEBHOOK_SECRET"].encode()
        signature = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        request.headers["X-Acme-Timestamp"] = timestamp
        request.headers["X-Acme-Signature"] = signature
        return request


@schemathesis.hook
def after_call(context, case, response):
    for value in response.headers.get("position") or []:
        given_out["Position"] = value


def replace(values, name, given):
    """Instead of what was made up or stands in an example."""
    if values and name in values:
        if given is None:
            del values[name]
        else:
            values[name] = given


def combinable(query):
    """Which parameters of the list go together no schema can say."""
    if query.get("duplicates") in (True, "true"):
        beside = ("duplicates", "limit", "status", "includeDeleted", "count")
        for name in [name for name in query if name not in beside]:
            del query[name]
    if str(query.get("sort", "")).startswith("-"):
        query.pop("order", None)


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None:
        return
    path, position = case.operation.path, given_out.get("Position")
    for values, name in [(case.headers, "Position"), (case.headers, "Last-Event-ID"), (case.query, "after")]:
        # Right in form, and so no part of what is to be wrong.
        if re.match("p1-[0-9a-f]{16}", str((values or {}).get(name, ""))):
            replace(values, name, position)
    if not case.meta.is_negative_at(ParameterLocation.HEADER):
        if path.startswith("/api/webhooks"):
            kwargs["auth"] = SignedAsAcme()
        replace(case.headers, "Position", position)
        replace(case.headers, "Last-Event-ID", position)
        # Whether a contact is in some state depends on the contact, and is tested elsewhere.
        replace(case.headers, "If-Match", None)
        if case.method == "PUT":
            replace(case.headers, "If-None-Match", None)
    if path.startswith("/api/contacts/{id}"):
        if case.path_parameters.get("id") == "batch":
            # The path of another operation.
            case.path_parameters["id"] = "no-batch"
        if isinstance(case.body, dict) and not case.meta.is_negative_at(ParameterLocation.BODY):
            # The same as in the path, or none.
            case.body.pop("id", None)
    if not case.meta.is_negative_at(ParameterLocation.QUERY):
        # Good for one question only.
        replace(case.query, "cursor", None)
        replace(case.query, "after", position)
        if path == "/api/contacts":
            combinable(case.query)
    if path == "/api/feed" and not case.meta.is_negative_at(ParameterLocation.QUERY):
        # Else it has no end.
        case.query["follow"] = "false"


# Refusals of what is right in form, each with what no schema can say.
UNFORESEEN = {
    b"username is missing, and so is email": "one of the two is needed",
    b"email can't stand beside username": "and not both",
    b"names no contact that is there": "a merge needs another contact",
    b"is the survivor itself": "the same",
    b"IDEMPOTENCY_KEY_REUSED": "the tester sends one key with two requests",
    b"CONTACT_TOO_LARGE": "attributes are bounded in bytes all together",
    b'"field":"id"': "the id of a contact that an upsert makes is held to more than one in a path",
    b'"attributes': "names and depth of attributes are bounded, in bytes",
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if failure.code != "ST202" or response.status_code != 422:
        return True
    return not any(words in response.content for words in UNFORESEEN)
