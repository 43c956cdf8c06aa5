"""Instances of contactd on the real Kafka and Redis that tests/services/up has started, for tests that look at them
from outside: processes with their logs in one directory, requests, and waiting for a condition."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse 42 battery"
JWT_SECRET = "this secret signs the tokens of one test run"
WEBHOOK_SECRET = "a webhook secret of 32 bytes or more"
DEADLINE = 60


def say(text):
    print(f"-- {text} ({time.strftime('%T', time.gmtime())})", flush=True)


def fail(text):
    raise SystemExit(f"FAILED: {text}")


def need(*commands):
    for command in commands:
        shutil.which(command) or fail(f"{command} is missing")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class World:
    """Everything that runs, with its directory; ended by `end`."""

    def __init__(self, binary, name, scheme):
        kafka, redis = os.environ.get("CONTACTD_TEST_KAFKA"), os.environ.get("CONTACTD_TEST_REDIS")
        if not (kafka and redis):
            fail('CONTACTD_TEST_KAFKA and CONTACTD_TEST_REDIS are not set: eval "$(tests/services/up)"')
        self.binary, self.scheme = Path(binary).resolve(), scheme
        self.directory = Path(tempfile.mkdtemp(prefix=f"contactd-{name}-"))
        self.processes = {}
        self.stop = threading.Event()
        self.ports = [free_port(), free_port()]
        self.topic = f"{name}-{os.getpid()}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "KAFKA_BROKERS": kafka,
            "REDIS_URL": f"redis://{redis}/7",
            "JWT_SECRET": JWT_SECRET,
            "ACME_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "CONTACTD_AUTH__USERS_FILE": str(self.directory / "users.toml"),
        } | self.of_topic(self.topic)
        # A certificate of our own; nobody here proves who he is to anybody else.
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        # Ended from outside, everything that was started ends too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    @staticmethod
    def of_topic(topic):
        return {
            "CONTACTD_KAFKA__TOPIC": topic,
            "CONTACTD_KAFKA__CONTROL_TOPIC": f"{topic}.control",
            "CONTACTD_DEAD_LETTERS__TOPIC": f"{topic}.dlq",
        }

    def of(self, number):
        return {
            "CONTACTD_STORE__PATH": str(self.directory / f"instance-{number}"),
            "CONTACTD_SERVER__LISTEN": f"127.0.0.1:{self.ports[number]}",
        }

    def contactd(self, *arguments, text=None, **environment):
        done = subprocess.run([self.binary, *arguments], env=self.environment | environment, cwd=self.directory,
                              input=text, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            fail(f"contactd {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def start(self, name, command, **environment):
        with open(self.directory / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(command, env=self.environment | environment, cwd=self.directory,
                                                    stdout=log, stderr=subprocess.STDOUT)

    def terminate(self, name):
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        return process.returncode

    def end(self):
        self.stop.set()
        for process in reversed(self.processes.values()):
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log_ends(self):
        for name in self.processes:
            lines = (self.directory / f"{name}.log").read_text(errors="replace").splitlines()
            print(f"-- the end of {name}'s log:", *lines[-8:], sep="\n")

    def ask(self, path, body=None, number=0, method=None, **headers):
        """One request to one of the instances; its status and body."""
        url = f"{self.scheme}://127.0.0.1:{self.ports[number]}{path}"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20, context=self.tls) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def wait(self, what, look):
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended:
                fail(f"{', '.join(ended)} ended while waiting for {what}")
            try:
                if look():
                    return
            except OSError:
                pass
            time.sleep(0.1)
        fail(f"{what} did not come about within {DEADLINE} s")

    def wait_until_ready(self, number):
        self.wait(f"instance {number} ready", lambda: self.ask("/readyz", number=number)[0] == 200)
