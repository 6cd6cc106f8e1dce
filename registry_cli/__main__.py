"""`python -m registry_cli`: the command line from a checkout that is not installed."""

from registry_cli.main import main

if __name__ == "__main__":
    main()
