"""Training: data, augmentation, the CycleGAN step, the loop around it."""
