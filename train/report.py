"""A run as one HTML page: python -m train.report runs/finetune"""

import sys

from cyclegan.training.cli import report_main as main

if __name__ == "__main__":
    sys.exit(main())
