"""Runs programs, some beside each other, each in a process of its own, with services of its lane."""

import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RUN = Path(__file__).resolve().parents[1] / "run"
SERVICES = RUN.parents[1] / "services"
# A lane's broker has four ports; what runs beside it has those from the 300th on.
PORTS_A_LANE = 20
# The first one to start fetches the broker for all.
_starting = threading.Lock()


class Lane:
    """A broker and a Redis, and one program at a time beside them."""

    def __init__(self, given, work, number):
        self.given, self.work, self.child = given, work, None
        self.services = work / f"services-{number}"
        self.kafka_port, self.redis_port = given.kafka_port + PORTS_A_LANE * number, given.redis_port + number
        self.env = {
            **os.environ,
            "CONTACTD_TEST_KAFKA_PORT": str(self.kafka_port),
            "CONTACTD_TEST_REDIS_PORT": str(self.redis_port),
            "CONTACTD_TEST_WITHOUT": "s3 rabbitmq",
            "CONTACTD_ORACLE_SERVICES": str(self.services),
        }

    def up(self):
        """Both services, whatever the program before did to them."""
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        with _starting:
            done = subprocess.run([SERVICES / "up", self.services], env=self.env, text=True, **quiet)
        if done.returncode != 0:
            raise RuntimeError(f"the services do not start: {done.stderr}")

    def down(self):
        command = [SERVICES / "down", self.services, "--purge"]
        subprocess.run(command, env=self.env, stderr=subprocess.DEVNULL)

    def run(self, program, seed, fault):
        self.up()
        work = self.work / f"{program.name}-{seed}{fault.replace(':', '-')}"
        work.mkdir(parents=True)
        begun, minutes = time.time(), self.given.minutes
        seconds = program.seconds * 3 + 120 + (minutes * 60 * 2 if program.name.startswith("storm") else 0)
        command = [sys.executable, "-B", RUN, "--one", program.name, "--work", work, "--binary", self.given.binary]
        command += ["--seeds", str(seed), "--minutes", str(minutes), "--fault", fault]
        command += ["--kafka-port", str(self.kafka_port), "--redis-port", str(self.redis_port)]
        with open(work / "output", "wb") as output:
            self.child = subprocess.Popen(command, env=self.env, stdout=output, stderr=subprocess.STDOUT)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.terminate()
                self.child.wait()
        result = _result(work, program, seed)
        result.update(seconds=round(time.time() - begun), minutes=minutes)
        if not result["violations"] and not self.given.keep:
            subprocess.run(["rm", "-rf", work])
        return result


def _result(work, program, seed):
    try:
        return json.loads((work / "result.json").read_text())
    except (OSError, ValueError):
        nothing = {"shown": [], "counts": {}, "notes": []}
        return {"program": program.name, "seed": seed, "violations": {"no_result": 1}, **nothing}


class Runner:
    """Several lanes; what was run for this binary before is not run again."""

    def __init__(self, given, work):
        self.given = given
        self.build = hashlib.sha256(given.binary.read_bytes()).hexdigest()[:16]
        self.lanes = [Lane(given, work, number) for number in range(given.jobs)]
        self.free, self.pool, self.is_ending = queue.Queue(), ThreadPoolExecutor(given.jobs), False
        for lane in self.lanes:
            self.free.put(lane)

    def run(self, tasks):
        """The results of (program, seed, fault) in their order, each as soon as it is there."""
        return self.pool.map(lambda task: self._one(*task), tasks)

    def end(self):
        """Whatever is under way ends, and the services with it."""
        self.is_ending = True
        self.pool.shutdown(wait=False, cancel_futures=True)
        for lane in self.lanes:
            if lane.child:
                lane.child.terminate()
        self.pool.shutdown()
        for lane in self.lanes:
            lane.down()

    def _one(self, program, seed, fault):
        path = self.given.results and not fault and self.given.results / f"{program.name}-{seed}.json"
        if path and path.exists():
            before = json.loads(path.read_text())
            if before.get("build") == self.build:
                return before
        lane = self.free.get()
        try:
            result = {**lane.run(program, seed, fault), "build": self.build}
        finally:
            self.free.put(lane)
        # What was ended has no result, and is run again.
        if path and not self.is_ending:
            path.write_text(json.dumps(result, indent=1, default=str) + "\n")
        return result
