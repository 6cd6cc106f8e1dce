"""The examples in the API's description."""

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:users:42"
CALLER = "arn:aws:sts::123456789012:assumed-role/deploy/pipeline"
RECORD = {
    "name": "users",
    "version": "1.4.2",
    "arn": ARN,
    "status": "active",
    "metadata": {"commit": "4f2a9c1"},
    "published_at": "2026-11-23T08:00:00Z",
    "published_by": CALLER,
    "revision": 7,
}
YANKED = {**RECORD, "status": "yanked", "reason": "loses writes, see incident 42", "revision": 8}
SUMMARY = {"name": "users", "latest": RECORD, "revision": 7}
MEMBER = {
    "requested": "1.x",
    "version": "1.4.2",
    "arn": ARN,
    "status": "active",
    "resolved_at": "2026-11-23T08:00:00Z",
}
SERVICE = {
    **SUMMARY,
    "channels": {"beta": "2.0.0-rc.1"},
    "created_at": "2026-11-20T10:00:00Z",
    "updated_at": "2026-11-23T08:00:00Z",
}
EVENT = {
    "revision": 8,
    "at": "2026-11-23T09:00:00Z",
    "by": CALLER,
    "action": "yank",
    "version": "1.4.2",
    "reason": "loses writes, see incident 42",
}
RESOLUTION = {
    "services": {
        "users": MEMBER,
        "billing": {
            "requested": "latest",
            "status": "missing",
            "error": "no version of 'billing' matches '==latest'",
        },
    },
    "resolved": False,
}
IMPACT = {
    "changes": [{"selector": "1.x", "from": "1.4.1", "to": "1.4.2"}],
    "consumers": [],
    "consumers_total": 0,
}
CONSUMER = {
    "consumer": "orders",
    "needed": "users==1.x,billing",
    "arn": "arn:aws:lambda:eu-west-1:123456789012:function:orders",
    "owner": "team-orders",
    "source": "declared",
    "seen_at": "2026-11-23T08:00:00Z",
}
SERVICE_CONSUMER = {
    "consumer": "orders",
    "key": "users",
    "requested": "1.x",
    "version": "1.4.2",
    "source": "declared",
    "seen_at": "2026-11-23T08:00:00Z",
}
