# docker build -t contactd --build-arg COMMIT=$(git rev-parse --short=12 HEAD) .
# docker run --read-only --tmpfs /tmp -p 3000:3000 -v contactd:/data -e KAFKA_BROKERS=kafka:9092 \
#   -e JWT_SECRET="$(openssl rand -base64 48)" contactd
#
# Both bases can be pinned by digest, or be of your own registry: --build-arg RUNTIME_IMAGE=…@sha256:…
ARG BUILD_IMAGE=docker.io/library/rust:1.95-bookworm
ARG RUNTIME_IMAGE=docker.io/library/debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ make perl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /contactd
COPY . .
ARG COMMIT=
ENV CONTACTD_COMMIT=$COMMIT
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/contactd/target \
    cargo build --release --locked --bin contactd && cp target/release/contactd /contactd/contactd

FROM ${RUNTIME_IMAGE}
ARG COMMIT=
LABEL org.opencontainers.image.title="contactd" \
      org.opencontainers.image.description="Keeps contacts current from Kafka and webhooks, and answers queries over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.revision="$COMMIT"
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1001 contactd \
    && useradd --uid 1001 --gid 1001 --home-dir /data --no-create-home --shell /usr/sbin/nologin contactd \
    && install -d -m 0700 -o contactd -g contactd /data /etc/contactd
COPY --from=build /contactd/contactd /usr/local/bin/contactd
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/contactd/
# By number: Kubernetes sees from it that the user is not root.
USER 1001:1001
WORKDIR /data
VOLUME /data
ENV CONTACTD_STORE__PATH=/data
EXPOSE 3000
STOPSIGNAL SIGTERM
# Follows /livez and needs no key: an instance that waits for Kafka is not restarted.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["contactd", "status", "--quiet"]
ENTRYPOINT ["contactd"]
CMD ["serve"]
