# One image for every process: the API by default, `worker`, `migrate` and the rest by command.

FROM python:3.13-slim AS build
RUN python -m venv --without-pip /opt/venv
COPY requirements/service.txt /build/
# Only wheels, and only those that the lock knows: nothing is compiled or executed at install time.
RUN pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --root-user-action ignore --only-binary :all: \
        --require-hashes --requirement /build/service.txt
WORKDIR /srv
COPY alembic.ini ./
COPY app app
COPY migrations migrations
# Readable whatever the umask of the checkout was, and compiled once instead of at each start.
RUN chmod -R a+rX . && python -m compileall -q app migrations

FROM python:3.13-slim
# Nothing is installed into a running service.
RUN python -m pip uninstall --quiet --yes --root-user-action ignore pip \
    && useradd --system --uid 10001 --user-group --no-create-home --home-dir /srv service \
    && install --directory --owner service --group service /data /data/proofs /data/mail \
    # Proofs and mail are in var/ unless settings name other places.
    && install --directory /srv && ln --symbolic /data /srv/var
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv /srv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
