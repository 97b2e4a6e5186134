#!/usr/bin/env bash
# Usage: deploy/load/load.sh http://127.0.0.1:8000 users.txt [--connections 32 --seconds 10 ...]
set -euo pipefail
url=$1 users=$(realpath "$2")
shift 2
cd "$(dirname "$0")/../.."
exec "${PYTHON:-python3}" -m benchmarks.load "$url" --users "$users" "$@"
