#!/bin/sh
# Write requirements.lock: exact pins with hashes for every platform, no index or file address.
set -eu
cd "$(dirname "$0")/.."
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
python3 -m venv "$tool"
"$tool/bin/pip" install --quiet uv
"$tool/bin/uv" pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
    --only-binary :all: --generate-hashes --no-emit-index-url --no-annotate --no-header \
    --quiet --output-file requirements.lock
if grep -nE '://' requirements.lock; then
    echo "requirements.lock must not name addresses" >&2
    exit 1
fi
