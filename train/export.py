"""Export a run: python -m train.export runs/finetune my_weights"""

import sys

from cyclegan.training.cli import export_main as main

if __name__ == "__main__":
    sys.exit(main())
