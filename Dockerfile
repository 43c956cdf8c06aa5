# docker build -t contactd --build-arg COMMIT=$(git rev-parse --short=12 HEAD) .
# docker run -p 3000:3000 -v contactd:/data -e KAFKA_BROKERS=kafka:9092 \
#   -e JWT_SECRET="$(openssl rand -base64 48)" contactd
FROM rust:1.95-bookworm AS build
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

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 1001 --home-dir /data contactd \
    && install -d -o contactd -g contactd /data
COPY --from=build /contactd/contactd /usr/local/bin/contactd
USER contactd
WORKDIR /data
VOLUME /data
ENV CONTACTD_STORE__PATH=/data
EXPOSE 3000
STOPSIGNAL SIGTERM
ENTRYPOINT ["contactd"]
CMD ["serve"]
