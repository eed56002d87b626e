"""``python -m clipc``."""

from clipc.cli import main

if __name__ == "__main__":
    main()
