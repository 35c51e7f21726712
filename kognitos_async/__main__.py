"""`python -m kognitos_async`: the `kognitos` command."""

from kognitos_async.cli import main

if __name__ == "__main__":
    main()
