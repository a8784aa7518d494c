"""Train a CycleGAN: python -m train train/configs/finetune.toml --set data.photos=MY_PHOTOS"""

import sys

from cyclegan.training.cli import main

if __name__ == "__main__":
    sys.exit(main())
