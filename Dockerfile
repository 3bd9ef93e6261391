# The appliance as a container: one static binary, the authorities' certificates, nothing else.
#   docker build -t dinkymail .
# Where there is neither an engine nor a registry, scripts/image.sh builds the final stage alone.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.version=${VERSION}" -o /rootfs/dinkymail . \
 && mkdir -p /rootfs/etc/ssl/certs /owned/data \
 && cp /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/

FROM scratch AS final
COPY --from=build /rootfs/ /
# The queue's directory belongs to the user below, and so does a new volume that is mounted there.
COPY --from=build --chown=65532:65532 /owned/ /
USER 65532:65532
# Inside a container its own loopback reaches nobody. What may send is still decided by TRUSTED_NETWORKS and SMTP_USERS, and
# which host addresses lead here by the published ports.
ENV DATA_DIR=/data \
    SMTP_LISTEN=0.0.0.0:587,0.0.0.0:25 \
    HTTP_LISTEN=0.0.0.0:20001
VOLUME /data
EXPOSE 25 587 20001
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 CMD ["/dinkymail", "health"]
ENTRYPOINT ["/dinkymail"]
