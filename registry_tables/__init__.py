"""Both DynamoDB tables: records, layouts, calls, batches and what each error code means.

`registry_api` and `stream_sync` add their rules to it; neither calls DynamoDB by other means.
"""
