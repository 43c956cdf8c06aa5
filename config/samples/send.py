"""Signs a webhook and sends it. Needs Python 3.8 or newer, and nothing else.

    WEBHOOK_SECRET=… python3 send.py FILE [URL]     FILE: one event, or an array of them

Without URL the headers are printed. WEBHOOK_SCHEME: acme (default), acme-body or standard.
"""

import base64
import hashlib
import hmac
import os
import sys
import time
import urllib.error
import urllib.request
import uuid


def sign(scheme, secret, body):
    """The headers that vouch for these bytes; `body` must be sent as it is."""
    now = str(int(time.time()))

    def mac(key, content):
        return hmac.new(key, content, hashlib.sha256)

    if scheme == "acme":
        signature = mac(secret.encode(), now.encode() + b"." + body).hexdigest()
        return {"X-Acme-Timestamp": now, "X-Acme-Signature": "sha256=" + signature}
    if scheme == "acme-body":
        return {"X-Acme-Signature": "sha256=" + mac(secret.encode(), body).hexdigest()}
    if scheme == "standard":
        message = "msg_" + uuid.uuid4().hex
        prefix = "whsec_"
        key = base64.b64decode(secret[len(prefix):] if secret.startswith(prefix) else secret)
        content = f"{message}.{now}.".encode() + body
        signature = base64.b64encode(mac(key, content).digest()).decode()
        return {"webhook-id": message, "webhook-timestamp": now, "webhook-signature": "v1," + signature}
    raise SystemExit("unknown scheme " + scheme)


def main():
    with open(sys.argv[1], "rb") as file:
        body = file.read()
    headers = sign(os.environ.get("WEBHOOK_SCHEME", "acme"), os.environ["WEBHOOK_SECRET"], body)
    if len(sys.argv) < 3:
        for name, value in headers.items():
            print(f"{name}: {value}")
        return
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(sys.argv[2], data=body, headers=headers)
    # 2xx: kept. 429 and 503: sign and send again after Retry-After. Another 4xx: sending again is in vain.
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            print(answer.read().decode())
    except urllib.error.HTTPError as error:
        print(error.read().decode())
        sys.exit(1)


main()
