"""Tokens over two instances, whatever Redis and the broker do."""

import collections
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from support.instance import PASSWORD
from support.registry import program
from support.services import wait_until

REVOKED_SECONDS = 2
CLIENTS = 16


class People:
    def __init__(self, instances):
        self.instances = instances

    def login(self, at=0):
        body = {"username": "ada", "password": PASSWORD}
        answer = requests.post(self.instances[at].url + "/api/auth/login", json=body, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refresh(self, token, at):
        url = self.instances[at].url + "/api/auth/refresh"
        return requests.post(url, json={"refreshToken": token}, timeout=20)

    def me(self, token, at):
        headers = {"Authorization": "Bearer " + token}
        return requests.get(self.instances[at].url + "/api/auth/me", headers=headers, timeout=10).status_code

    def logout(self, token, at):
        headers = {"Authorization": "Bearer " + token}
        return requests.post(self.instances[at].url + "/api/auth/logout", headers=headers, timeout=20).status_code

    def seconds_until_refused(self, token, at):
        begun = time.time()
        is_refused = wait_until(lambda: self.me(token, at) == 401, 6, 0.02)
        return time.time() - begun if is_refused else None


@program(seconds=70)
def signing_in(case):
    """One refresh token from all sides of two instances has one successor; a sign-out is known everywhere within two
    seconds, with Redis up, flushed, down and frozen, after a kill, and with the broker away."""
    report, topic = case.report, case.topic()
    instances = [case.instance(name, topic, start=False, redis=True) for name in "ab"]
    instances[0].add_user("ada")
    for instance in instances:
        instance.start()
    for instance in instances:
        instance.must_be_ready()
    people, pool = People(instances), ThreadPoolExecutor(CLIENTS)
    for number, mode in enumerate(["up", "flushed", "down", "frozen"]):
        if mode == "down":
            case.redis.kill()
        if mode == "frozen":
            case.redis.freeze()
        _refresh_from_all_sides(report, people, pool, mode)
        token = _sign_out(case, people, mode)
        if mode == "flushed":
            instances[number % 2].restart().must_be_ready()
            report.check("kill_forgets_nothing", people.me(token, number % 2) == 401)
        if mode == "down":
            case.redis.start()
        if mode == "frozen":
            case.redis.thaw()
            time.sleep(1)
    _broker_away(case, people)


def _refresh_from_all_sides(report, people, pool, mode):
    token, barrier = people.login()["refreshToken"], threading.Barrier(CLIENTS)

    def go(number):
        barrier.wait()
        return people.refresh(token, number % 2)

    answers = list(pool.map(go, range(CLIENTS)))
    statuses = collections.Counter(answer.status_code for answer in answers)
    successors = {answer.json()["refreshToken"] for answer in answers if answer.status_code == 200}
    report.check("one_successor", len(successors) <= 1, mode=mode, statuses=dict(statuses))
    first = people.login()["refreshToken"]
    second = people.refresh(first, 0)
    report.check("refresh_works", second.status_code == 200, mode=mode, body=second.text[:200])
    third = people.refresh(second.json()["refreshToken"], 1)
    report.check("refresh_goes_on_elsewhere", third.status_code == 200, mode=mode, body=third.text[:200])


def _sign_out(case, people, mode):
    report = case.report
    for at in (0, 1):
        tokens = people.login(at)
        for each in (0, 1):
            report.check("access_works", people.me(tokens["accessToken"], each) == 200, mode=mode, at=each)
        status = people.logout(tokens["accessToken"], at)
        report.check("sign_out_is_answered", status == 204, mode=mode, status=status)
        if mode == "flushed":
            case.redis.flush()
        for each in (0, 1):
            took = people.seconds_until_refused(tokens["accessToken"], each)
            report.check(
                "sign_out_within_2s", took is not None and took < REVOKED_SECONDS, mode=mode, at=each, seconds=took
            )
            refused = people.refresh(tokens["refreshToken"], each).status_code
            report.check("sign_out_ends_refresh", refused == 401, mode=mode, status=refused)
    return tokens["accessToken"]


def _broker_away(case, people):
    """A sign-out must not be answered 204 and then be forgotten."""
    token = people.login()["accessToken"]
    case.kafka.freeze()
    try:
        status = people.logout(token, 0)
    except requests.RequestException:
        status = 0
    case.report.note(f"a sign-out while the broker hangs: {status}")
    case.kafka.thaw()
    if status == 204:
        case.redis.flush()
        people.instances[0].restart().must_be_ready()
        took = people.seconds_until_refused(token, 0)
        case.report.check("sign_out_is_kept", took is not None, seconds=took)
