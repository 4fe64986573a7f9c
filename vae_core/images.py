"""The form of an image, of which everything here is made."""

IMAGE_SIZE = 28
"""Height and width, in pixels."""
PIXELS = IMAGE_SIZE * IMAGE_SIZE
