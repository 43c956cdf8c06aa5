"""API clients: writes of every kind, with and without conditions, repeated under their Idempotency-Key."""

import json
import random
import time
import urllib.parse
import uuid

import requests

from support.instance import session

from .producers import RATE

OPERATIONS = {
    "create": 10,
    "put": 10,
    "put_new": 5,
    "patch": 34,
    "upsert": 6,
    "delete": 8,
    "erase": 1,
    "restore": 6,
    "merge": 4,
    "batch": 6,
}
TRIES = 6


def etag_version(etag):
    return int(etag.strip('"').split("-")[0])


class Request:
    """What one client asked for once, with each of its attempts."""

    def __init__(self, operation, method, path, contact_id, body, headers):
        self.operation, self.method, self.path = operation, method, path
        self.contact_id, self.body, self.headers = contact_id, body, headers
        self.attempts = []

    def brief(self):
        return {
            "op": self.operation,
            "id": self.contact_id,
            "body": self.body,
            "headers": self.headers,
            "statuses": [attempt["status"] for attempt in self.attempts],
        }


class Client:
    def __init__(self, storm, number):
        self.storm, self.number, self.count, self.position = storm, number, 0, None
        self.random = random.Random(storm.case.seed * 31 + number)
        self.session = session(storm.case.key)

    def body(self):
        draw, tag = self.random, f"{self.number}-{self.count}"
        body = {"firstName": f"A{tag}", "email": f"a{tag}@x.y", "title": draw.choice([None, "T"])}
        if draw.random() < 0.4:
            body["attributes"] = {"n": self.count, "o": {"p": self.count}}
        return body

    def next_request(self):
        draw, storm = self.random, self.storm
        self.count += 1
        operation = draw.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
        contact_id = draw.choice(storm.ids)
        request = getattr(self, operation)(contact_id)
        if operation in ("put", "patch", "upsert", "delete") and draw.random() < 0.4 and contact_id in storm.etags:
            request.headers["If-Match"] = storm.etags[contact_id]
        if draw.random() < 0.5:
            request.headers["Idempotency-Key"] = str(uuid.UUID(int=draw.getrandbits(128)))
        if draw.random() < 0.1:
            request.headers["Prefer"] = "respond-async"
        storm.requests.append(request)
        return request

    def create(self, contact_id):
        draw, body = self.random, self.body()
        if draw.random() < 0.5:
            body["id"] = contact_id
        elif draw.random() < 0.5:
            contact_id = body["id"] = f"n{self.number}-{self.count}"
        else:
            contact_id = None
        return Request("create", "POST", "/api/contacts", contact_id, body, {})

    def put(self, contact_id):
        return Request("put", "PUT", f"/api/contacts/{contact_id}", contact_id, self.body(), {})

    def put_new(self, contact_id):
        if self.random.random() < 0.5:
            contact_id = f"p{self.number}-{self.count}"
        path, headers = f"/api/contacts/{contact_id}", {"If-None-Match": "*"}
        return Request("put_new", "PUT", path, contact_id, self.body(), headers)

    def patch(self, contact_id):
        return Request("patch", "PATCH", f"/api/contacts/{contact_id}", contact_id, self.body(), {})

    def upsert(self, contact_id):
        if self.random.random() < 0.3:
            contact_id = f"u{self.number}-{self.count}"
        return Request("upsert", "PATCH", f"/api/contacts/{contact_id}?upsert=true", contact_id, self.body(), {})

    def delete(self, contact_id):
        return Request("delete", "DELETE", f"/api/contacts/{contact_id}", contact_id, None, {})

    def erase(self, contact_id):
        return Request("erase", "DELETE", f"/api/contacts/{contact_id}?erase=true", contact_id, None, {})

    def restore(self, contact_id):
        return Request("restore", "POST", f"/api/contacts/{contact_id}/restore", contact_id, None, {})

    def merge(self, contact_id):
        other = self.random.choice([each for each in self.storm.ids if each != contact_id])
        return Request("merge", "POST", f"/api/contacts/{contact_id}/merge", contact_id, {"from": other}, {})

    def batch(self, _):
        items = []
        for contact_id in self.random.sample(self.storm.ids, self.random.randint(1, min(7, len(self.storm.ids)))):
            operation = self.random.choice(["create", "replace", "update", "upsert", "delete", "restore"])
            item = {"op": operation, "id": contact_id}
            if operation in ("create", "replace", "update", "upsert"):
                item["contact"] = self.body()
            items.append(item)
        return Request("batch", "POST", "/api/contacts/batch", None, items, {})

    def send(self, request):
        """One attempt, at one of the instances."""
        report, at = self.storm.report, self.random.randrange(2)
        request_id = f"oracle-{self.storm.case.seed}-{self.number}-{self.count}-{len(request.attempts)}"
        attempt = {"request_id": request_id, "at": at, "status": 0, "text": "", "headers": {}}
        request.attempts.append(attempt)
        headers = {**request.headers, "X-Request-Id": request_id}
        if self.position and self.random.random() < 0.5:
            headers["Position"] = self.position
        report.counts["api_requests"] += 1
        try:
            url = self.storm.instances[at].url + request.path
            answer = self.session.request(request.method, url, json=request.body, headers=headers, timeout=14)
        except requests.RequestException:
            report.counts["api_unanswered"] += 1
            time.sleep(0.2)
            return attempt
        report.counts[f"api_{answer.status_code}"] += 1
        attempt.update(status=answer.status_code, text=answer.text, headers=answer.headers)
        if answer.status_code == 503 and "Retry-After" not in answer.headers:
            report.fail("503_without_retry_after", body=answer.text[:200], path=request.path)
        return attempt

    def until_answered(self, request):
        for _ in range(TRIES):
            attempt = self.send(request)
            status = attempt["status"]
            is_open = status in (0, 202, 408, 500, 502, 503, 504) or (status == 409 and "IN_FLIGHT" in attempt["text"])
            again = is_open or self.random.random() < 0.15
            if "Idempotency-Key" not in request.headers or not again or self.storm.over.is_set():
                break
            if status in (0, 503):
                time.sleep(0.3)
        return attempt

    def look_at(self, request, attempt):
        """An image that was answered has its version in the ETag, and is read where its Position is asked for."""
        if attempt["status"] not in (200, 201, 204) or request.operation == "batch":
            return
        etag, position = (attempt["headers"].get(name) for name in ("ETag", "Position"))
        self.position = position or self.position
        if attempt["status"] == 204 or not etag:
            return
        contact, version = json.loads(attempt["text"]), etag_version(etag)
        self.storm.etags[contact["id"]] = etag
        if contact["version"] != version:
            self.storm.report.fail("etag_version", etag=etag, body=attempt["text"][:200])
        if position and self.random.random() < 0.5:
            self.read_what_was_written(contact["id"], version, position)

    def read_what_was_written(self, contact_id, version, position):
        report, at = self.storm.report, self.random.randrange(2)
        instance = self.storm.instances[at]
        url = instance.url + f"/api/contacts/{urllib.parse.quote(contact_id)}?includeDeleted=true"
        try:
            answer = self.session.get(url, headers={"Position": position}, timeout=12)
        except requests.RequestException:
            return
        report.counts["read_your_writes"] += 1
        if answer.status_code == 200:
            read = answer.json()["version"]
            if read < version:
                report.fail(
                    "read_your_writes",
                    id=contact_id,
                    wrote=version,
                    read=read,
                    position=position,
                    instance=instance.name,
                )
            self.storm.saw(at, contact_id, read, answer.text, 0, "after a write")
        elif answer.status_code != 503:
            report.fail("read_your_writes_status", id=contact_id, status=answer.status_code, body=answer.text[:200])


def api_side(storm, number):
    client = Client(storm, number)
    while not storm.over.is_set():
        request = client.next_request()
        client.look_at(request, client.until_answered(request))
        time.sleep(client.random.expovariate(RATE / 3))
