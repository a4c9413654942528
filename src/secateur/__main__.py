"""Run the command line as `python -m secateur`."""

from __future__ import annotations

from secateur.cli.main import main

if __name__ == "__main__":
    main()
