"""Writes by the API: races, refusals, what is accepted and decided later."""

import collections
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from support import checks
from support.instance import session
from support.registry import program
from support.services import wait_until

EDITORS = 64


class Editors:
    """Sessions of many people on two instances."""

    def __init__(self, case, instances):
        self.instances, self.report = instances, case.report
        self.sessions = [session(case.key) for _ in range(EDITORS)]
        self.pool = ThreadPoolExecutor(EDITORS)

    def request(self, editor, method, path, at=None, **options):
        instance = self.instances[editor % 2 if at is None else at]
        return self.sessions[editor].request(method, instance.url + path, timeout=20, **options)

    def all_at_once(self, function):
        barrier = threading.Barrier(EDITORS)

        def one(editor):
            barrier.wait()
            return function(editor)

        return list(self.pool.map(one, range(EDITORS)))


@program(seconds=60)
def editors(case):
    """64 editors of one contact over two instances with If-Match: one wins each round, everybody else is told 412;
    counters lose nothing, one creator of many wins, one Idempotency-Key gives one answer."""
    report, topic = case.report, case.topic()
    instances = case.pair(topic)
    people = Editors(case, instances)
    made = people.request(0, "POST", "/api/contacts", json={"id": "hot", "attributes": {"n": 0}})
    etag, position = made.headers["ETag"], made.headers["Position"]
    rounds = 20
    for number in range(rounds):
        etag, position = _round(people, report, number, etag, position)
    wins = _everybody_adds(people, report)
    case.settled(topic, instances)
    for at in (0, 1):
        counted = people.request(0, "GET", "/api/contacts/hot", at).json()["attributes"]["n"] - rounds
        most = wins + report.counts["unknown"]
        report.check("no_lost_update", wins <= counted <= most, counted=counted, wins=wins)
    for number in range(8):
        _creators(people, report, number)
        _one_key(people, report, f"key-{case.seed}-{case.stamp}-{number}")
    case.settled(topic, instances)
    world = case.fold(topic)
    keyed = sum(1 for contact in world.export().values() if contact["firstName"] == "keyed")
    report.check("keyed_once", keyed == 8, got=keyed)
    for instance in instances:
        checks.history(report, world, instance, "hot")
    case.finish(instances, world, topic)


def _round(people, report, number, etag, position):
    def edit(editor):
        headers = {"If-Match": etag, **({"Position": position} if number % 3 == 0 else {})}
        body = {"attributes": {"n": number + 1, "by": editor}, "title": f"{number}-{editor}"}
        return people.request(editor, "PATCH", "/api/contacts/hot", json=body, headers=headers)

    answers = people.all_at_once(edit)
    winners = [answer for answer in answers if answer.status_code == 200]
    statuses = collections.Counter(answer.status_code for answer in answers)
    unknown = statuses[202] + statuses[503]
    is_one = len(winners) == 1 or (not winners and unknown)
    report.check("one_winner", is_one, round=number, statuses=dict(statuses))
    for answer in answers:
        if answer.status_code not in (200, 202, 412, 503):
            report.fail("loser_status", status=answer.status_code, body=answer.text[:300])
        if answer.status_code == 412 and "ETag" not in answer.headers:
            report.fail("412_without_etag", body=answer.text[:200])
    headers = {"Position": winners[0].headers["Position"]} if winners else {}

    def look():
        answer = people.request(0, "GET", "/api/contacts/hot", headers=headers)
        return answer if answer.status_code == 200 and answer.json()["attributes"]["n"] == number + 1 else None

    read = wait_until(look, 20)
    if not report.check("counter", read is not None, round=number):
        read = people.request(0, "GET", "/api/contacts/hot")
    elif winners:
        report.check("winner_is_read", read.json()["title"] == winners[0].json()["title"], read=read.json())
    return read.headers["ETag"], read.headers["Position"]


def _everybody_adds(people, report):
    """16 people add one, five times each, by compare and set; returns how often one was told it had."""

    def add(editor):
        won, draw = 0, random.Random(editor)
        while won < 5:
            read = people.request(editor, "GET", "/api/contacts/hot", draw.randrange(2))
            if read.status_code != 200:
                continue
            body = {"attributes": {"n": read.json()["attributes"]["n"] + 1}}
            headers = {"If-Match": read.headers["ETag"]}
            answer = people.request(editor, "PATCH", "/api/contacts/hot", draw.randrange(2), json=body, headers=headers)
            won += answer.status_code == 200
            report.counts["unknown"] += answer.status_code not in (200, 412)
            time.sleep(draw.random() * 0.2)
        return won

    return sum(people.pool.map(add, range(16)))


def _creators(people, report, number):
    path = f"/api/contacts/new{number}"

    def make(editor):
        if number % 2:
            return people.request(
                editor, "POST", "/api/contacts", json={"id": f"new{number}", "firstName": str(editor)}
            )
        return people.request(editor, "PUT", path, json={"firstName": str(editor)}, headers={"If-None-Match": "*"})

    statuses = collections.Counter(answer.status_code for answer in people.all_at_once(make))
    report.check("one_creator", statuses[201] == 1, round=number, statuses=dict(statuses))


def _one_key(people, report, key):
    def keyed(editor):
        headers = {"Idempotency-Key": key}
        return people.request(editor, "POST", "/api/contacts", json={"firstName": "keyed"}, headers=headers)

    answers = people.all_at_once(keyed)
    texts = {answer.text for answer in answers if answer.status_code == 201}
    statuses = collections.Counter(answer.status_code for answer in answers)
    report.check("one_key_one_answer", len(texts) == 1, answers=list(texts)[:3], statuses=dict(statuses))


@program(seconds=30)
def upserts(case):
    """64 people at two instances upsert one contact that is not there: one of them makes it, nobody's part is lost, and
    each key has one answer; accepted ones, batches and those of an outage mean the same; a deleted one stays deleted."""
    report, topic = case.report, case.topic(4)
    instances = case.pair(topic)
    people = Editors(case, instances)
    for number in range(6):
        _everybody_upserts(people, report, number)
    path = "/api/contacts/{}?upsert=true".format
    one = instances[0]
    told = {"batched": []}
    told["async"] = [one.request("PATCH", path("async"), json=body, headers=ASYNC) for body in PARTS]
    items = [{"op": "upsert", "id": "batched", "contact": body} for body in PARTS]
    batch = one.request("POST", "/api/contacts/batch", json=items).json()
    report.check("batch_upserts", [item["status"] for item in batch["data"]] in ([201, 200], [202, 202]), got=batch)
    people.request(0, "POST", "/api/contacts", json={"id": "gone", "firstName": "Before"})
    people.request(0, "DELETE", "/api/contacts/gone")
    refused = people.request(0, "PATCH", path("gone"), json=PARTS[0])
    report.check("deleted_is_refused", (refused.status_code, refused.json()["error"]["code"]) == (409, "CONTACT_DELETED"))
    for name, status in (("gone", 409), ("none", 412)):
        condition = {"If-Match": '"1-0000000000000000"'} if name == "none" else {}
        again = people.request(1, "PATCH", path(name), json=PARTS[1], headers=condition)
        report.check("refused_upsert", again.status_code == status, id=name, body=again.text[:200])
    case.settled(topic, instances)
    case.kafka.kill()
    told["outage"] = [one.request("PATCH", path("outage"), json=body) for body in PARTS]
    waiting = one.request("PATCH", path("gone"), json=PARTS[0])
    case.kafka.start()
    case.settled(topic, instances)
    for way, answers in told.items():
        contact, verdicts = one.contact(way), _decided(one, answers)
        got = (contact["firstName"], contact["phone"], contact["attributes"])
        want = ("A", "2", {"o": {"x": 1, "y": 2}})
        report.check("upserts_mean_the_same", got == want, way=way, verdicts=verdicts, contact=contact)
    report.check("accepted_on_deleted", _decided(one, [waiting]) == ["conflict"], status=waiting.status_code)
    report.check("still_deleted", one.contact("gone")["status"] == "DELETED", contact=one.contact("gone"))
    case.finish(instances, case.fold(topic), topic)


# Two parts of a contact, sent one after the other.
PARTS = [
    {"firstName": "A", "attributes": {"o": {"x": 1, "gone": None}}},
    {"phone": "2", "attributes": {"o": {"y": 2}}},
]


def _everybody_upserts(people, report, number):
    name = f"shared{number}"

    def upsert(editor):
        headers = {"Idempotency-Key": f"{name}-{editor}"} if number % 2 else {}
        body, tries = {"attributes": {f"e{editor}": editor}}, []
        for at in (0, 1) if headers else (editor % 2,):
            path = f"/api/contacts/{name}?upsert=true"
            tries.append(people.request(editor, "PATCH", path, at, json=body, headers=headers))
        return tries

    answers = people.all_at_once(upsert)
    statuses = collections.Counter(tries[0].status_code for tries in answers)
    is_open = statuses[202] + statuses[503]
    report.check("one_maker", statuses[201] == 1 or is_open, round=number, statuses=dict(statuses))
    for tries in answers:
        report.check("upsert_is_done", tries[0].status_code in (200, 201, 202, 503), body=tries[0].text[:200])
        same = {(answer.status_code, answer.text) for answer in tries if answer.status_code in (200, 201)}
        report.check("one_key_one_answer", len(same) <= 1, answers=sorted(same))

    def is_whole():
        attributes = people.request(0, "GET", f"/api/contacts/{name}").json().get("attributes", {})
        return len(attributes) == EDITORS

    report.check("no_part_is_lost", wait_until(is_whole, 20) or statuses[503], round=number)


@program(seconds=40)
def refused_writes(case):
    """A PATCH at one instance races a DELETE at the other: who is answered 4xx changed nothing, and the same
    Idempotency-Key is tried anew once the contact is active again."""
    report, topic = case.report, case.topic()
    first, second = case.pair(topic)
    pool = ThreadPoolExecutor(2)
    clients = [session(case.key), session(case.key)]

    def ask(at, method, path, **options):
        instance = (first, second)[at]
        return clients[at].request(method, instance.url + "/api/contacts" + path, timeout=10, **options)

    for number in range(150):
        name, key = f"x{number}", {"Idempotency-Key": f"k{number}"}
        made = ask(0, "POST", "", json={"id": name, "firstName": "Before", "title": "Before"})
        ask(1, "GET", f"/{name}", headers={"Position": made.headers["Position"]})
        barrier, pause = threading.Barrier(2), case.random.random() * 0.002

        def delete():
            barrier.wait()
            return ask(0, "DELETE", f"/{name}")

        def patch():
            barrier.wait()
            time.sleep(pause)
            return ask(1, "PATCH", f"/{name}", json={"firstName": "After"}, headers=key)

        deleted, patched = [future.result() for future in (pool.submit(delete), pool.submit(patch))]
        report.counts[f"delete_{deleted.status_code}_patch_{patched.status_code}"] += 1
        if patched.status_code in (404, 409, 412) and deleted.status_code == 204:
            headers = {"Position": deleted.headers["Position"]}
            restored = ask(0, "POST", f"/{name}/restore", headers=headers)
            contact = restored.json()
            report.check(
                "refused_write_did_nothing",
                contact["firstName"] == "Before",
                answer=patched.text[:200],
                restored=contact,
            )
            again = ask(
                1,
                "PATCH",
                f"/{name}",
                json={"firstName": "After"},
                headers={**key, "Position": restored.headers["Position"]},
            )
            is_done = again.status_code == 200 and again.json()["firstName"] == "After"
            report.check("refused_write_is_tried_anew", is_done, status=again.status_code, body=again.text[:200])
    case.settled(topic, [first, second])
    case.finish([first, second], case.fold(topic), topic)


def _decided(instance, answers, seconds=20):
    """The verdicts of accepted writes, once they have them; the status of others."""
    verdicts = []
    for answer in answers:
        location = answer.headers.get("Location")
        if answer.status_code != 202 or not location:
            verdicts.append(answer.status_code)
            continue
        verdicts.append(wait_until(lambda: _verdict(instance, location), seconds))
    return verdicts


def _verdict(instance, location):
    status = instance.get(location).json().get("status")
    return status if status not in (None, "pending") else None


ASYNC = {"Prefer": "respond-async"}


@program(seconds=20)
def async_writes(case):
    """Accepted writes mean the same as waited-for ones: the last of two PUTs stands, and PUT, PUT, DELETE, restore in a
    row leaves what the last PUT said, ACTIVE."""
    report, topic = case.report, case.topic(4)
    instance = case.instance("a", topic)
    for number in range(30):
        name = f"s{number}"
        instance.request("POST", "/api/contacts", json={"id": name, "firstName": "First", "phone": "1"})
        path = f"/api/contacts/{name}"
        puts = [instance.request("PUT", path, json={"firstName": text}, headers=ASYNC) for text in ("A", "B")]
        rest = []
        if number % 2:
            rest = [
                instance.request("DELETE", path, headers=ASYNC),
                instance.request("POST", path + "/restore", headers=ASYNC),
            ]
        verdicts, contact = _decided(instance, puts + rest), instance.contact(name)
        want = ("B", None, "ACTIVE")
        got = (contact["firstName"], contact["phone"], contact["status"])
        report.check("last_accepted_write_stands", got == want, id=name, verdicts=verdicts, contact=contact)
    case.settled(topic, [instance])
    case.finish([instance], case.fold(topic), topic)


@program(seconds=30)
def outage_writes(case):
    """Writes without a condition while the broker is away: each counts in the order it was answered; one with a condition
    that no longer holds is refused and changes nothing."""
    report, topic = case.report, case.topic(4)
    instance = case.instance("a", topic)
    for number in range(6):
        instance.request(
            "POST", "/api/contacts", json={"id": f"o{number}", "firstName": "First", "attributes": {"k": {"a": 1}}}
        )
    etag = instance.get("/api/contacts/o4").headers["ETag"]
    case.kafka.kill()

    def write(number, method, body=None, path="", **headers):
        answer = instance.request(method, f"/api/contacts/o{number}{path}", json=body, headers=headers)
        report.counts[f"{method}_{answer.status_code}"] += 1
        return answer

    told = {
        0: [write(0, "PUT", {"firstName": text}) for text in "AB"],
        1: [write(1, "PATCH", {"firstName": text}) for text in "AB"],
        2: [write(2, "PATCH", {"attributes": {"k": {"b": 2}}}), write(2, "PATCH", {"attributes": {"k": {"c": 3}}})],
        3: [write(3, "DELETE"), write(3, "POST", path="/restore")],
        4: [write(4, "PATCH", {"firstName": text}, **{"If-Match": etag}) for text in "AB"],
        5: [
            write(5, "PUT", {"firstName": "A"}),
            write(5, "DELETE"),
            write(5, "POST", path="/restore"),
            write(5, "PATCH", {"title": "T"}),
        ],
    }
    new = [instance.request("POST", "/api/contacts", json={"id": "new", "firstName": text}) for text in "NM"]
    new.append(instance.request("PATCH", "/api/contacts/new", json={"title": "T"}))
    case.kafka.start()
    case.settled(topic, [instance])
    want = {
        0: {"firstName": "B", "attributes": {}},
        1: {"firstName": "B"},
        2: {"attributes": {"k": {"a": 1, "b": 2, "c": 3}}},
        3: {"status": "ACTIVE", "firstName": "First"},
        4: {"firstName": "A"},
        5: {"status": "ACTIVE", "firstName": "A", "title": "T", "attributes": {}},
    }
    for number, wanted in want.items():
        contact, verdicts = instance.contact(f"o{number}"), _decided(instance, told[number])
        got = {key: contact[key] for key in wanted}
        report.check("outage_write_counts", got == wanted, id=f"o{number}", verdicts=verdicts, want=wanted, got=got)
    contact, verdicts = instance.contact("new"), _decided(instance, new)
    got = (contact.get("firstName"), contact.get("title"))
    report.check("outage_create_then_patch", got == ("N", "T"), verdicts=verdicts, contact=contact)
    case.finish([instance], case.fold(topic), topic)


BATCH = [
    {"op": "create", "contact": {"firstName": "A"}},
    {"op": "update", "contact": {"title": "T"}},
    {"op": "replace", "contact": {"firstName": "C"}},
    {"op": "update", "contact": {"phone": "9"}},
    {"op": "delete"},
    {"op": "restore"},
]


@program(seconds=30)
def batches(case):
    """A batch about one contact means the same waited for, with respond-async, and while the broker is away."""
    report, topic = case.report, case.topic(4)
    instance = case.instance("a", topic)

    def send(name, headers):
        items = [{**item, "id": name} for item in BATCH]
        answer = instance.request("POST", "/api/contacts/batch", json=items, headers=headers)
        return [item["status"] for item in answer.json()["data"]] if answer.status_code == 200 else answer.text[:300]

    statuses = {"waited": send("waited", {}), "async": send("async", ASYNC)}
    case.settled(topic, [instance])
    case.kafka.kill()
    statuses["outage"] = send("outage", {})
    case.kafka.start()
    case.settled(topic, [instance])
    for name, told in statuses.items():
        contact = instance.contact(name)
        got = tuple(contact.get(key) for key in ("firstName", "title", "phone", "status"))
        report.check("batch_means_the_same", got == ("C", None, "9", "ACTIVE"), id=name, statuses=told, contact=contact)
    case.finish([instance], case.fold(topic), topic)


@program(seconds=60)
def merges(case):
    """A merge that was answered 200 or accepted is done, both halves: waited for, with respond-async, while the broker is
    away, and through a kill; one of which nothing is known is done once it is asked for again."""
    report, topic = case.report, case.topic(4)
    first, second = case.pair(topic)
    ways = {"waited": {}, "async": ASYNC, "outage": {}, "killed": {}}
    for way in ways:
        for number in (1, 2):
            body = {"id": f"{way}{number}", "firstName": way, **({"phone": "1"} if number == 2 else {})}
            first.request("POST", "/api/contacts", json=body)
    told = {}
    for way, headers in ways.items():
        if way == "outage":
            case.kafka.kill()
        path, body = f"/api/contacts/{way}1/merge", {"from": f"{way}2"}
        killer = threading.Timer(0.02, first.kill) if way == "killed" else None
        if killer:
            killer.start()
        try:
            answer = first.request("POST", path, json=body, headers=headers)
            told[way] = (answer.status_code, answer.text[:200])
        except requests.RequestException as error:
            told[way] = (0, repr(error)[:80])
        if way == "outage":
            case.kafka.start()
        if killer:
            killer.join()
            first.start().must_be_ready()
    case.settled(topic, [first, second])
    for way, (status, text) in told.items():

        def is_done():
            return second.contact(way + "2")["status"] == "DELETED" and second.contact(way + "1")["phone"] == "1"

        report.counts[f"{way}_{status}"] += 1
        if status not in (200, 202):
            # It may be under way all the same.
            answer = second.request("POST", f"/api/contacts/{way}1/merge", json={"from": f"{way}2"})
            status, text = answer.status_code, answer.text[:200]
            report.check("merge_can_be_asked_for_again", status in (200, 202), way=way, answer=text)
        done = wait_until(is_done, 60)
        survivor, other = second.contact(way + "1"), second.contact(way + "2")
        report.check("accepted_merge_is_done", done, way=way, answer=text, survivor=survivor, other=other)
    case.settled(topic, [first, second])
    case.finish([first, second], case.fold(topic), topic)
