#!/bin/sh
# Signs a webhook with openssl, and sends it with curl.
#
#   WEBHOOK_SECRET=… ./send.sh FILE [URL]     FILE: one event, or an array of them
#
# Without URL the headers are printed. WEBHOOK_SCHEME: acme (default), acme-body or standard. While
# openssl runs, its arguments, and so the key, show in the list of processes: on a machine that others
# use, sign with one of the other samples.
set -eu
file=$1
url=${2:-}
scheme=${WEBHOOK_SCHEME:-acme}
time=$(date +%s)

# The bytes are signed as they are in the file, and sent as they are.
case $scheme in
acme)
    signature=$({ printf '%s.' "$time"; cat "$file"; } | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" -r | cut -d' ' -f1)
    set -- "X-Acme-Timestamp: $time" "X-Acme-Signature: sha256=$signature"
    ;;
acme-body)
    signature=$(openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" -r < "$file" | cut -d' ' -f1)
    set -- "X-Acme-Signature: sha256=$signature"
    ;;
standard)
    id=msg_$(openssl rand -hex 16)
    key=$(printf '%s' "${WEBHOOK_SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
    signature=$({ printf '%s.%s.' "$id" "$time"; cat "$file"; } |
        openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
    set -- "webhook-id: $id" "webhook-timestamp: $time" "webhook-signature: v1,$signature"
    ;;
*)
    echo "unknown scheme $scheme" >&2
    exit 2
    ;;
esac

if [ -z "$url" ]; then
    printf '%s\n' "$@"
    exit
fi
# 2xx: kept. 429 and 503: sign and send again after Retry-After. Another 4xx: sending again is in vain.
config=$(printf 'header = "%s"\n' "$@")
printf '%s\n' "$config" | curl --silent --show-error --fail-with-body --max-time 30 --config - \
    --header 'Content-Type: application/json' --data-binary "@$file" "$url"
