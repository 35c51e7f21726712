"""What the library costs beside what its users would write instead. Run `python -m benchmarks`."""
