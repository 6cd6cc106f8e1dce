#!/bin/bash
# Unit tests: `bash tests/test.sh`.
set -euo pipefail
cd "$(dirname "$0")/.."
source src/services.sh

SERVICES_FILE=$(mktemp)
trap 'rm -f "$SERVICES_FILE"' EXIT
cat > "$SERVICES_FILE" <<'JSON'
{
"users": {"requested": "1.x", "version": "1.4.2", "arn": "arn:users:42", "status": "active"},
"billing": {"requested": "1.x", "status": "missing", "error": "no version of 'billing' matches '==1.x'"}
}
JSON

[ "$(service_arn users)" = arn:users:42 ]
! service_arn billing
! service_arn orders
echo "3 tests passed"
