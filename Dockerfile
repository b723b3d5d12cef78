# One image for web and workers. Build: docker build -t mission-control .
FROM python:3.11-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# git 2.39 and bubblewrap 0.8 come from Debian; python3 there is what agents' commands see (only /usr is shown inside).
RUN apt-get update \
 && apt-get install -y --no-install-recommends bubblewrap git python3 util-linux \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .
RUN useradd --create-home --uid 10001 mcc \
 && mkdir -p /data && chown mcc /data \
 && MCC_DATA_DIR=/tmp/build python manage.py collectstatic --noinput -v0 && rm -rf /tmp/build \
 && python -m compileall -q mcc agents budgets projects githubsync notifications
USER mcc
ENV MCC_DATA_DIR=/data MCC_HOST=0.0.0.0 MCC_IGNORE_DOTENV=true
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"
CMD ["python", "manage.py", "up"]
