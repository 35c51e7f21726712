"""`python -m kognitos_async.cli`."""

from kognitos_async.cli import main

if __name__ == "__main__":
    main()
