"""The page: one room a tab. Layout and wiring only; the pictures come from `cyclegan`."""
