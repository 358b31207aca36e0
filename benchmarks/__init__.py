"""What Portward costs beside the tools that people use today. `python -m benchmarks.run` measures; nothing here is a test."""
