"""Readers that never see a contact go back."""

import random
import time

import requests

from support.instance import session

from .writers import etag_version


def read_side(storm, number):
    draw, report, client = random.Random(storm.case.seed * 77 + number), storm.report, session(storm.case.key)
    position, mine = None, {}
    while not storm.drained.is_set():
        contact_id, at = draw.choice(storm.ids), draw.randrange(2)
        instance = storm.instances[at]
        at_position = position is not None and draw.random() < 0.6
        begun, need = storm.newest[at].get(contact_id, 0), mine.get(contact_id, 0)
        headers = {"Position": position} if at_position else {}
        url = f"{instance.url}/api/contacts/{contact_id}?includeDeleted=true"
        try:
            answer = client.get(url, headers=headers, timeout=12)
        except requests.RequestException:
            report.counts["read_unanswered"] += 1
            time.sleep(0.1)
            continue
        report.counts[f"read_{answer.status_code}"] += 1
        where = {"id": contact_id, "instance": instance.name}
        if answer.status_code == 200:
            version = answer.json()["version"]
            storm.saw(at, contact_id, version, answer.text, begun, "get")
            if at_position and version < need:
                report.fail("position_read_went_back", **where, version=version, before=need)
            if etag_version(answer.headers["ETag"]) != version:
                report.fail("etag_version", etag=answer.headers["ETag"], version=version)
            if at_position or position is None:
                mine[contact_id] = max(need, version)
                position = answer.headers.get("Position", position)
            storm.etags[contact_id] = answer.headers["ETag"]
        elif answer.status_code == 404:
            if begun:
                report.fail("read_went_back_404", **where, before=begun)
            if at_position and need:
                report.fail("position_read_went_back_404", **where)
        elif answer.status_code != 503:
            report.fail("read_status", status=answer.status_code, body=answer.text[:200])
        time.sleep(draw.expovariate(60))
