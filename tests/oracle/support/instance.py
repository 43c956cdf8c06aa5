"""One contactd: started, killed, asked; and what signs a webhook as its sender does."""

import atexit
import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter

JWT_SECRET = "the oracle signs its tokens with this secret of one run"
WEBHOOK_SECRET = "the oracle signs its webhooks with this secret of one run"
PASSWORD = "correct horse battery staple 9"

_started = []


@atexit.register
def _end_what_was_started():
    for process in _started:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def spawn(*args, **options):
    """A child that does not outlive this process."""
    process = subprocess.Popen(*args, **options)
    _started.append(process)
    return process


def session(key=None):
    made = requests.Session()
    made.mount("http://", HTTPAdapter(pool_connections=4, pool_maxsize=4, max_retries=0))
    if key:
        made.headers["X-API-Key"] = key
    return made


def sign(body, at=None):
    at = str(int(time.time()) if at is None else at)
    digest = hmac.new(WEBHOOK_SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Acme-Timestamp": at,
        "X-Acme-Signature": "sha256=" + digest,
    }


class Instance:
    """A process of the binary under test with a directory, a port and an environment of its own."""

    def __init__(self, binary, work, name, port, kafka=None, topic=None, redis=None, env=None, args=()):
        self.binary, self.name, self.port, self.topic = str(binary), name, port, topic
        self.directory = Path(work) / name
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.url, self.args, self.key = f"http://127.0.0.1:{port}", list(args), None
        self.process, self.starts, self.kills, self.export_text = None, 0, 0, ""
        self.env = self._environment(Path(work) / "users.toml", kafka, topic, redis)
        self.env.update({key: str(value) for key, value in (env or {}).items()})

    def _environment(self, users, kafka, topic, redis):
        ours = ("CONTACTD_", "PORT", "KAFKA_", "JWT_", "REDIS_", "ACME_")
        env = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        env.update(
            PORT=str(self.port),
            JWT_SECRET=JWT_SECRET,
            ACME_WEBHOOK_SECRET=WEBHOOK_SECRET,
            CONTACTD_SERVER__LISTEN="127.0.0.1",
            CONTACTD_SERVER__LAME_DUCK="0",
            CONTACTD_STORE__PATH=str(self.data),
            CONTACTD_STORE__CHECKPOINT_INTERVAL="2s",
            CONTACTD_AUTH__USERS_FILE=str(users),
            CONTACTD_LIMITS__AUTH="off",
            CONTACTD_LIMITS__ACCOUNT="off",
            CONTACTD_TELEMETRY__LOG_FORMAT="json",
        )
        if kafka:
            env.update(
                KAFKA_BROKERS=kafka.bootstrap,
                CONTACTD_KAFKA__TOPIC=topic,
                CONTACTD_KAFKA__CONTROL_TOPIC=topic + ".control",
                CONTACTD_BRIDGE__GROUP=topic + "-bridge",
            )
        if redis:
            env["REDIS_URL"] = redis.url
        return env

    def start(self, *args):
        log = open(self.log, "ab")
        command = [self.binary, "serve", *self.args, *args]
        self.process = spawn(command, env=self.env, cwd=self.directory, stdout=log, stderr=log)
        self.starts += 1
        return self

    def kill(self):
        if self.is_alive():
            self.process.kill()
            self.kills += 1
        if self.process:
            self.process.wait()

    def restart(self, pause=0.0):
        self.kill()
        time.sleep(pause)
        return self.start()

    def stop(self, seconds=60):
        """The exit code of an orderly end."""
        if not self.is_alive():
            return self.process and self.process.returncode
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "killed"

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def is_ready(self):
        try:
            return requests.get(self.url + "/readyz", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def ready(self, seconds=60):
        deadline = time.time() + seconds
        while time.time() < deadline:
            if self.is_ready():
                return True
            if not self.is_alive():
                return False
            time.sleep(0.05)
        return False

    def must_be_ready(self, seconds=60):
        if not self.ready(seconds):
            raise RuntimeError(f"{self.name} is not ready: {self.why_unready()} {self.tail()}")
        return self

    def why_unready(self):
        """(status, {part: reason}) of its readiness."""
        try:
            answer = requests.get(self.url + "/readyz?verbose", timeout=3)
            parts = answer.json()["parts"]
            return answer.status_code, {k: v.get("reason") for k, v in parts.items() if v.get("reason")}
        except requests.RequestException as error:
            return 0, repr(error)[:80]

    def tail(self, length=700):
        return self.log.read_text(errors="replace")[-length:] if self.log.exists() else ""

    def logged(self, level):
        """Its log lines of a level, and panics."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line[:400] for line in lines if f'"level":"{level}"' in line or "panicked" in line]

    def cli(self, *args, stdin=None, timeout=120):
        return subprocess.run(
            [self.binary, *self.args, *args],
            env=self.env,
            cwd=self.directory,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=timeout,
        )

    def request(self, method, path, **options):
        headers = {"X-API-Key": self.key, **options.pop("headers", {})}
        options.setdefault("timeout", 15)
        return requests.request(method, self.url + path, headers=headers, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def contact(self, contact_id):
        """As it stands, deleted too."""
        return self.get(f"/api/contacts/{contact_id}?includeDeleted=true").json()

    def webhook(self, event, at=None, timeout=15):
        body = json.dumps(event).encode()
        return requests.post(self.url + "/api/webhooks", data=body, headers=sign(body, at), timeout=timeout)

    def stats(self):
        return self.get("/api/stats").json()

    def metric(self, name, **labels):
        total = 0.0
        for line in requests.get(self.url + "/metrics", timeout=5).text.splitlines():
            found = re.match(r"(\w+)(\{[^}]*\})? (\S+)$", line)
            if found and found.group(1) == name:
                given = found.group(2) or ""
                if all(f'{label}="{value}"' in given for label, value in labels.items()):
                    total += float(found.group(3))
        return total

    def export(self):
        """Of the stopped instance: {id: contact}."""
        done = self.cli("store", "export", "--include-deleted")
        if done.returncode != 0:
            raise RuntimeError(f"export of {self.name}: {done.returncode} {done.stderr[-500:]}")
        self.export_text = done.stdout
        return {contact["id"]: contact for contact in map(json.loads, done.stdout.splitlines())}

    def make_key(self, role="admin", name="oracle"):
        done = self.cli("key", "create", name, "--role", role)
        assert done.returncode == 0, done.stderr
        return re.search(r"(\S{24,})", done.stdout).group(1)

    def add_user(self, name, role="editor"):
        done = self.cli("user", "add", name, "--role", role, "--password-stdin", stdin=PASSWORD + "\n")
        assert done.returncode == 0, done.stderr
