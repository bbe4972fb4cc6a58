# The API. Tills, gates and the back office run on their own machines.
FROM python:3.11-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
WORKDIR /srv/playpark
COPY requirements.lock ./
RUN pip install --require-hashes --only-binary :all: --requirement requirements.lock
COPY . .
RUN pip install --no-build-isolation --no-deps . && useradd --system playpark
USER playpark
EXPOSE 48080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD \
    ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:48080/readyz', timeout=2)"]
CMD ["playpark", "api", "--host", "0.0.0.0"]
