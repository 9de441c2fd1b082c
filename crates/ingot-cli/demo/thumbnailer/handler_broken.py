"""Makes a thumbnail's size from an image's size, keeping its proportions."""

import json

LONGEST = 256


def thumbnail(width, height, longest=LONGEST):
    """The size of the thumbnail, in pixels; never larger than the image."""
    if width <= 0 or height <= 0:
        raise ValueError("an image has at least one pixel")
    scale = max(1.0, longest / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def handler(event, context):
    width, height = thumbnail(event["width"], event["height"])
    return {"statusCode": 200, "body": json.dumps({"width": width, "height": height})}
