"""Tells a subscriber that a thumbnail is ready."""

import json
import urllib.request


def message(event):
    return {"text": f"{event['name']} is ready: {event['width']}x{event['height']}"}


def handler(event, context):
    request = urllib.request.Request(
        event["subscriber"],
        data=json.dumps(message(event)).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=3) as answer:
        return {"statusCode": answer.status}
