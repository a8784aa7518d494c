"""Pack pictures for training: python -m train.pack PHOTOS OUT"""

import sys

from cyclegan.training.cli import pack_main as main

if __name__ == "__main__":
    sys.exit(main())
