"""Models of the platform API, written by .ci/generate_platform.py; do not edit."""
