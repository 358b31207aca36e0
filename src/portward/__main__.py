"""`python -m portward`"""

import sys

from portward.cli import main

if __name__ == "__main__":
    sys.exit(main())
